"""Gates of a day's events: how many there are, of whom, of which types and weights, and which repeat."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import exp, inf, log
from statistics import median, stdev
from typing import Final

from recsys_cli.configs.gate_sections import InputGatesSettings
from recsys_cli.data_preparation.tables.input_figures import (
    ALL_TYPES,
    DAYS,
    SAMPLE,
    SAMPLED_DAYS,
    WEEK,
    InputFigures,
)
from recsys_cli.pipelines.monitoring.input_gate import (
    LEAST_IDS,
    Count,
    InputGate,
    Past,
    relative_gate,
    share_gate,
)

_FEW_WEEKS: Final = 4  # weeks, or runs, from which a spread is learnt
_DEVIATIONS: Final = 3.0
_LEAST_EVENTS: Final = 200  # of a week, or of a type in a week: shares of fewer mean little
_LEAST_TYPE: Final = 50
_OPEN_DAYS: Final = 3  # with events: a week of holidays is no week
_LEAST_SAMPLE: Final = 30
_DAY_WARNINGS: Final = (0.3, 3.0)  # the newest day, as a multiple of the same days of the weeks before


def event_gates(today: InputFigures, past: Past, settings: InputGatesSettings) -> Iterator[InputGate]:
    """Yield the gates of the events."""
    yield from _of_counts(today, past, settings)
    yield from _of_known_days(today, past, settings)
    yield from _of_same_events(today, past, settings)
    yield from _of_newest_days(today, settings)
    yield from _of_repeats(today, past, settings)
    yield from _of_shares(today, past, settings)
    yield from _of_types(today, past, settings)
    yield from _of_weights(today, past, settings)


def _of_counts(today: InputFigures, past: Past, settings: InputGatesSettings) -> Iterator[InputGate]:
    """Yield gates of what has happened so far: what the last runs counted, and what is new since them."""
    sides: tuple[tuple[str, list[int], Count], ...] = (
        ("events", today.events_by_day, lambda one: one.events),
        ("users with events", today.new_users_by_day, lambda one: one.warm_users),
        ("items with events", today.new_items_by_day, lambda one: one.active_items),
    )
    for what, new, count in sides:
        expected = [count(one) + sum(new[: _days_since(today, one)]) for one in past]
        all_known = all(_days_since(today, one) <= DAYS for one in past)
        figure = float(count(today))
        if expected and median(expected):
            most = settings.max_events if all_known else inf
            yield relative_gate(what, figure, median(expected), (settings.min_events, most), "events")


def _of_known_days(today: InputFigures, past: Past, settings: InputGatesSettings) -> Iterator[InputGate]:
    """Yield the gate of the newest week's days that earlier runs have counted, too."""
    then, now = 0.0, 0
    for ago in range(WEEK):
        places = [(one, ago - _days_since(today, one)) for one in past]
        counted = [one.events_by_day[place] for one, place in places if 0 <= place < len(one.events_by_day)]
        if counted:
            then, now = then + median(counted), now + today.events_by_day[ago]
    if then >= _LEAST_EVENTS:
        bounds = settings.min_events, settings.max_events
        yield relative_gate(
            "events of last week's days that earlier runs counted, too", now, then, bounds, "events"
        )


def _of_same_events(today: InputFigures, past: Past, settings: InputGatesSettings) -> Iterator[InputGate]:
    """Yield the gate of the share of the same events in the days of the newest run's samples."""
    if not past:
        return
    since, same, seen = _days_since(today, past[0]), 0, 0
    for ago in range(since, SAMPLED_DAYS):
        then, now = set(past[0].samples[ago - since]), set(today.samples[ago])
        smallest = sorted(then | now)[:SAMPLE]
        same, seen = same + len(then & now & set(smallest)), seen + len(smallest)
    if seen >= _LEAST_SAMPLE:
        what = "share of the same events in the days before the last run"
        yield InputGate(what, same / seen, 1.0, settings.min_same_events, inf, "min_same_events")


def _of_newest_days(today: InputFigures, settings: InputGatesSettings) -> Iterator[InputGate]:
    """Yield the gates of the newest week and day against the weeks before, whose spread widens the bounds."""
    by_day = today.events_by_day
    weeks = [_a_day(by_day[start : start + WEEK]) for start in range(0, len(by_day), WEEK)]
    usual = [one for one in weeks[1:] if one]
    is_open = sum(one > 0 for one in by_day[:WEEK]) >= _OPEN_DAYS
    if len(usual) >= _FEW_WEEKS and is_open and WEEK * median(usual) >= _LEAST_EVENTS:
        bounds = _widened((settings.min_week, settings.max_week), usual)
        what = "events a day of the newest week"
        yield relative_gate(what, weeks[0], median(usual), bounds, "week")
    same_days = [one for one in by_day[WEEK::WEEK] if one]
    if len(same_days) >= _FEW_WEEKS and by_day[0] and median(same_days) >= _LEAST_EVENTS:
        gate = relative_gate(
            "events of the newest day",
            by_day[0],
            median(same_days),
            _widened(_DAY_WARNINGS, same_days),
            "week",
        )
        yield replace(gate, severity="warning")


def _a_day(events: Sequence[int]) -> float:
    """Return the events of a day that has any: closed days do not count."""
    days = [one for one in events if one]
    return sum(days) / len(days) if days else 0.0


def _widened(bounds: tuple[float, float], values: Sequence[float]) -> tuple[float, float]:
    """Return the bounds, or those of three standard deviations of the logs, whichever are wider."""
    spread = _DEVIATIONS * stdev(log(one) for one in values)
    return min(bounds[0], exp(-spread)), max(bounds[1], exp(spread))


def _of_repeats(today: InputFigures, past: Past, settings: InputGatesSettings) -> Iterator[InputGate]:
    figure = share_gate(settings, "max_repeats")
    yield figure(
        "share of events that are there more than once", today.repeats, [one.repeats for one in past]
    )
    if today.week >= _LEAST_EVENTS:
        usual = [one.repeats_of_week for one in past] or [today.repeats]
        yield figure("the same of the newest week", today.repeats_of_week, usual)


def _of_shares(today: InputFigures, past: Past, settings: InputGatesSettings) -> Iterator[InputGate]:
    """Yield the gates of one user's and one item's share."""
    week_counts = today.week >= settings.from_events and _is_whole_week(today)
    if today.warm_users >= LEAST_IDS:
        figure = share_gate(settings, "max_user_share")
        yield figure("one user's share of the events", today.top_user, [one.top_user for one in past])
        if week_counts:
            usual = [one.top_user_of_week for one in past]
            yield figure("one user's share of the newest week's", today.top_user_of_week, usual)
    if today.active_items >= LEAST_IDS:
        figure = share_gate(settings, "max_item_share")
        yield figure("one item's share of the events", today.top_item, [one.top_item for one in past])
        if week_counts:
            usual = [one.top_item_of_week for one in past]
            yield figure("one item's share of the newest week's", today.top_item_of_week, usual)


def _is_whole_week(today: InputFigures) -> bool:
    """Return whether the newest week has half of the events of a usual one: else it is one of holidays."""
    starts = range(WEEK, len(today.events_by_day), WEEK)
    weeks = [sum(today.events_by_day[start : start + WEEK]) for start in starts]
    usual = [one for one in weeks if one]
    return not usual or today.week >= median(usual) / 2


def _of_types(today: InputFigures, past: Past, settings: InputGatesSettings) -> Iterator[InputGate]:
    """Yield the gate of each type's share of the newest week's events."""
    if today.week < _LEAST_EVENTS:
        return
    now = _week_shares(today)
    for name in sorted({*now, *(name for one in past for name in one.types)} - {ALL_TYPES}):
        usual = [_week_shares(one).get(name, 0.0) for one in past if one.week >= _LEAST_EVENTS]
        usual = usual or _earlier_shares(today, name)
        if usual and median(usual) * today.week >= _LEAST_TYPE:
            bounds = settings.min_type, inf
            what = f"share of {name!r} in the newest week's events"
            yield relative_gate(what, now.get(name, 0.0), median(usual), bounds, "type")


def _week_shares(figures: InputFigures, week: int = 0) -> dict[str, float]:
    """Return each type's share of a week's events."""
    counts = {name: one.weeks[week] for name, one in figures.types.items()}
    total = sum(counts.values())
    return {name: count / total for name, count in counts.items()} if total else {}


def _earlier_shares(today: InputFigures, name: str) -> list[float]:
    """Return a type's share of the events of each week before the newest, where these are enough."""
    weeks = range(1, DAYS // WEEK)
    shares = [_week_shares(today, week).get(name, 0.0) for week in weeks if _week_shares(today, week)]
    return shares if len(shares) >= _FEW_WEEKS else []


def _of_weights(today: InputFigures, past: Past, settings: InputGatesSettings) -> Iterator[InputGate]:
    """Yield the gate of the median weight of each type in the newest week."""
    bounds = 1 / settings.max_scale, settings.max_scale
    for name, one in today.types.items():
        known = [then.types[name].weight for then in past if name in then.types]
        usual = [weight for weight in known if weight]
        if usual and one.weight and one.weeks[0] >= _LEAST_EVENTS and _is_whole_week(today):
            what = f"median weight of {name!r}" if name != ALL_TYPES else "median weight of the events"
            gate = relative_gate(f"{what} in the newest week", one.weight, median(usual), bounds, "")
            yield replace(gate, setting="max_scale")


def _days_since(today: InputFigures, one: InputFigures) -> int:
    return (today.day - one.day).days

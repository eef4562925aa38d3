"""Input gates: how a day's inputs compare with what the last runs read, and with their own history."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import exp, inf, log
from statistics import median, stdev
from typing import Literal

from recsys_cli.configs.gate_sections import InputGatesSettings
from recsys_cli.data_preparation.tables.input_figures import (
    ALL_TYPES,
    DAYS,
    SAMPLE,
    SAMPLED_DAYS,
    WEEK,
    InputFigures,
)

_FEW_WEEKS = 4  # weeks, or runs, from which a spread is learnt
_DEVIATIONS = 3.0
_LEAST_EVENTS = 200  # of a week, or of a type in a week: shares of fewer mean little
_LEAST_TYPE = 50
_OPEN_DAYS = 3  # with events: a week of holidays is no week
_LEAST_IDS = 100  # users or items, and rows of a table
_LEAST_SAMPLE = 30
_SLIGHT_SCALE = 1.05  # of all values of a column: worth a look
_UNIFORM = 0.02  # how far the logs of the quartiles' factors may be apart
_DAY_WARNINGS = 0.3, 3.0  # the newest day, as a multiple of the same days of the weeks before

Past = Sequence[InputFigures]
Count = Callable[[InputFigures], int]
Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class InputGate:
    """A figure of the inputs beside what is usual, and its bounds.

    Attributes:
        usual: by the last runs, else by the weeks before; None: there is neither.
        setting: of the bound that is missed, or may be.
    """

    what: str
    today: float
    usual: float | None
    low: float
    high: float
    setting: str
    severity: Severity = "error"

    @property
    def holds(self) -> bool:
        """Whether the figure keeps its bounds."""
        return self.low <= self.today <= self.high

    @property
    def bound(self) -> str:
        """The bounds, as text."""
        if self.high == inf:
            return f"at least {in_digits(self.low)}"
        if self.low == -inf:
            return f"at most {in_digits(self.high)}"
        return f"{in_digits(self.low)} to {in_digits(self.high)}"

    def as_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        bounds = {"low": self.low, "high": self.high}
        return {
            "what": self.what,
            "today": self.today,
            "usual": self.usual,
            **{name: bound for name, bound in bounds.items() if abs(bound) != inf},
            "setting": self.setting,
            "holds": self.holds,
        }


def in_digits(value: float | None) -> str:
    """Return a figure as text."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1_000 or value == int(value) else f"{value:.3g}"


def input_gates(
    today: InputFigures, past: Past, accepted: InputFigures | None, settings: InputGatesSettings
) -> list[InputGate]:
    """Return every gate of the inputs; one that `accepted` figures would hold counts by these.

    A pure function of figures: no table is read.

    Args:
        past: of the last good runs, for earlier dates each; the newest first.
        accepted: of the last run that was let through on demand, if it is among the last ones.
    """
    events = [one.events for one in [*past, *([accepted] if accepted else []), today]]
    if max(events) < settings.from_events:
        return []
    gates = list(_gates(today, past, settings))
    if accepted is None:
        return gates
    others = {one.what: one for one in _gates(today, [accepted], settings)}
    if not past:
        return list(others.values())
    return [gate if gate.holds else _by_accepted(gate, others) for gate in gates]


def _by_accepted(gate: InputGate, others: dict[str, InputGate]) -> InputGate:
    """Return the gate by accepted figures, where these know the figure and it holds."""
    other = others.get(gate.what)
    if other is not None:
        return other if other.holds else gate
    return replace(gate, low=-inf, high=inf)  # what was accepted had no such figure


def _gates(today: InputFigures, past: Past, settings: InputGatesSettings) -> Iterator[InputGate]:
    yield from _of_counts(today, past, settings)
    yield from _of_known_days(today, past, settings)
    yield from _of_same_events(today, past, settings)
    yield from _of_newest_days(today, settings)
    yield from _of_repeats(today, past, settings)
    yield from _of_shares(today, past, settings)
    yield from _of_items(today, past, settings)
    yield from _of_types(today, past, settings)
    yield from _of_weights(today, past, settings)
    yield from _of_features(today, past, settings)


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
            yield _relative(what, figure, median(expected), (settings.min_events, most), "events")


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
        yield _relative(
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
        yield _relative(what, weeks[0], median(usual), bounds, "week")
    same_days = [one for one in by_day[WEEK::WEEK] if one]
    if len(same_days) >= _FEW_WEEKS and by_day[0] and median(same_days) >= _LEAST_EVENTS:
        gate = _relative(
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
    figure = _share_gate(settings, "max_repeats")
    yield figure(
        "share of events that are there more than once", today.repeats, [one.repeats for one in past]
    )
    if today.week >= _LEAST_EVENTS:
        usual = [one.repeats_of_week for one in past] or [today.repeats]
        yield figure("the same of the newest week", today.repeats_of_week, usual)


def _of_shares(today: InputFigures, past: Past, settings: InputGatesSettings) -> Iterator[InputGate]:
    """Yield the gates of one user's and one item's share, and of ids that are not in their table."""
    week_counts = today.week >= settings.from_events and _is_whole_week(today)
    if today.warm_users >= _LEAST_IDS:
        figure = _share_gate(settings, "max_user_share")
        yield figure("one user's share of the events", today.top_user, [one.top_user for one in past])
        if week_counts:
            usual = [one.top_user_of_week for one in past]
            yield figure("one user's share of the newest week's", today.top_user_of_week, usual)
    if today.active_items >= _LEAST_IDS:
        figure = _share_gate(settings, "max_item_share")
        yield figure("one item's share of the events", today.top_item, [one.top_item for one in past])
        if week_counts:
            usual = [one.top_item_of_week for one in past]
            yield figure("one item's share of the newest week's", today.top_item_of_week, usual)
    figure = _share_gate(settings, "max_share_rise")
    for key, share in today.unknown.items():
        usual = [one.unknown[key] for one in past if key in one.unknown]
        if usual:
            yield figure(f"share of events whose {key} is not in its table", share, usual)


def _is_whole_week(today: InputFigures) -> bool:
    """Return whether the newest week has half of the events of a usual one: else it is one of holidays."""
    starts = range(WEEK, len(today.events_by_day), WEEK)
    weeks = [sum(today.events_by_day[start : start + WEEK]) for start in starts]
    usual = [one for one in weeks if one]
    return not usual or today.week >= median(usual) / 2


def _of_items(today: InputFigures, past: Past, settings: InputGatesSettings) -> Iterator[InputGate]:
    sides: tuple[tuple[str, Count], ...] = (
        ("items", lambda one: one.items),
        ("items that may be recommended", lambda one: one.recommendable_items),
    )
    for what, count in sides:
        usual = median(count(one) for one in past) if past else 0
        if usual >= _LEAST_IDS:
            yield _relative(what, count(today), usual, (settings.min_items, settings.max_items), "items")


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
            yield _relative(what, now.get(name, 0.0), median(usual), bounds, "type")


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
            gate = _relative(f"{what} in the newest week", one.weight, median(usual), bounds, "")
            yield replace(gate, setting="max_scale")


def _of_features(today: InputFigures, past: Past, settings: InputGatesSettings) -> Iterator[InputGate]:
    """Yield the gates of the features' nulls and of the scale of their numbers."""
    rows = {"users": today.warm_users, "items": today.items}
    figure = _share_gate(settings, "max_share_rise")
    for name, share in today.nulls.items():
        usual = [one.nulls[name] for one in past if name in one.nulls]
        if usual and rows[name.partition(".")[0]] >= _LEAST_IDS:
            yield figure(f"nulls of {name}", share, usual)
    for name, now in today.quartiles.items():
        then = [one.quartiles[name] for one in past if name in one.quartiles]
        if then and rows[name.partition(".")[0]] >= _LEAST_IDS:
            yield from _of_scale(name, now, then, settings)


def _of_scale(
    name: str, now: Sequence[float], then: Sequence[Sequence[float]], settings: InputGatesSettings
) -> Iterator[InputGate]:
    """Yield the gate of a feature whose three quartiles are the same multiple of the last runs'."""
    usual = [median(values) for values in zip(*then, strict=True)]
    if not all(one * other > 0 for one, other in zip(now, usual, strict=True)):
        return
    factors = [one / other for one, other in zip(now, usual, strict=True)]
    if log(max(factors)) - log(min(factors)) > _UNIFORM:
        factors = [1.0]  # another distribution, not another unit
    factor = median(factors)
    is_gross = not 1 / settings.max_scale <= factor <= settings.max_scale
    scale = settings.max_scale if is_gross else _SLIGHT_SCALE
    severity: Severity = "error" if is_gross else "warning"
    what = f"all values of {name}, as a multiple of what they were"
    yield InputGate(what, factor, 1.0, 1 / scale, scale, "max_scale", severity)


def _days_since(today: InputFigures, one: InputFigures) -> int:
    return (today.day - one.day).days


def _relative(what: str, figure: float, usual: float, bounds: tuple[float, float], setting: str) -> InputGate:
    """Return the gate of a figure between two multiples of what is usual."""
    low, high = usual * bounds[0], usual * bounds[1]
    side = "max" if figure > high else "min"
    return InputGate(what, figure, usual, low, high, f"{side}_{setting}")


def _share_gate(
    settings: InputGatesSettings, setting: str
) -> Callable[[str, float, Sequence[float]], InputGate]:
    """Return what makes the gate of a share: it may not rise above a bound of its own, nor above its past."""

    def gate(what: str, share: float, past: Sequence[float]) -> InputGate:
        usual = median(past) if past else None
        risen = inf if usual is None else usual + settings.max_share_rise
        most: float = inf if setting == "max_share_rise" else getattr(settings, setting)
        name = setting if most <= risen else "max_share_rise"
        return InputGate(what, share, usual, -inf, min(most, risen), name)

    return gate

"""Gates of the tables beside the events: items, ids without a row, nulls and the scale of features."""

from collections.abc import Iterator, Sequence
from math import log
from statistics import median
from typing import Final

from recsys_cli.configs.gate_sections import InputGatesSettings
from recsys_cli.data_preparation.tables.input_figures import InputFigures
from recsys_cli.pipelines.monitoring.input_gate import (
    LEAST_IDS,
    Count,
    InputGate,
    Past,
    Severity,
    relative_gate,
    share_gate,
)

_SLIGHT_SCALE: Final = 1.05  # of all values of a column: worth a look
_UNIFORM: Final = 0.02  # how far the logs of the quartiles' factors may be apart


def table_gates(today: InputFigures, past: Past, settings: InputGatesSettings) -> Iterator[InputGate]:
    """Yield the gates of users and items, and of their features."""
    yield from _of_unknown_ids(today, past, settings)
    yield from _of_items(today, past, settings)
    yield from _of_features(today, past, settings)


def _of_items(today: InputFigures, past: Past, settings: InputGatesSettings) -> Iterator[InputGate]:
    sides: tuple[tuple[str, Count], ...] = (
        ("items", lambda one: one.items),
        ("items that may be recommended", lambda one: one.recommendable_items),
    )
    for what, count in sides:
        usual = median(count(one) for one in past) if past else 0
        if usual >= LEAST_IDS:
            yield relative_gate(what, count(today), usual, (settings.min_items, settings.max_items), "items")


def _of_unknown_ids(today: InputFigures, past: Past, settings: InputGatesSettings) -> Iterator[InputGate]:
    """Yield the gates of the events whose user or item is not in its table."""
    figure = share_gate(settings, "max_share_rise")
    for key, share in today.unknown.items():
        usual = [one.unknown[key] for one in past if key in one.unknown]
        if usual:
            yield figure(f"share of events whose {key} is not in its table", share, usual)


def _of_features(today: InputFigures, past: Past, settings: InputGatesSettings) -> Iterator[InputGate]:
    """Yield the gates of the features' nulls and of the scale of their numbers."""
    rows = {"users": today.warm_users, "items": today.items}
    figure = share_gate(settings, "max_share_rise")
    for name, share in today.nulls.items():
        usual = [one.nulls[name] for one in past if name in one.nulls]
        if usual and rows[name.partition(".")[0]] >= LEAST_IDS:
            yield figure(f"nulls of {name}", share, usual)
    for name, now in today.quartiles.items():
        then = [one.quartiles[name] for one in past if name in one.quartiles]
        if then and rows[name.partition(".")[0]] >= LEAST_IDS:
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

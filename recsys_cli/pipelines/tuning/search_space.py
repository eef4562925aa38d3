"""What `recsys tune` tries: each setting with its bounds."""

from collections.abc import Mapping
from typing import Any, Final

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from recsys_cli.configs.dotted_keys import value_at
from recsys_cli.configs.sections import Settings
from recsys_cli.models.candidates.definition import Between
from recsys_cli.models.candidates.registry import sources

Space = Mapping[str, BaseDistribution]

_OTHERS: Final[Space] = {
    "features.half_life_days": FloatDistribution(5.0, 120.0, log=True),
    "ranker.iterations": IntDistribution(150, 800, log=True),
    "ranker.depth": IntDistribution(4, 8),
    "ranker.learning_rate": FloatDistribution(0.02, 0.12, log=True),
    "ranker.rsm": FloatDistribution(0.15, 1.0, log=True),
    "ranker.n_negatives": IntDistribution(40, 300, log=True),
}
_COUNT: Final = "num_candidates"
_DIGITS: Final = 3  # that matter of a number


def settings_that_need_a_refit() -> dict[str, BaseDistribution]:
    """Return settings of which each new combination costs a long fit: few values, changed in few trials."""
    return {
        f"candidates.{one.name}.{key}": CategoricalDistribution(bounds.values)
        for one in sources().values()
        for key, bounds in one.fit_bounds.items()
    }


def whole_space() -> dict[str, BaseDistribution]:
    """Return every setting that may be tried, with the bounds that sources and ranker give."""
    bounds = {
        f"candidates.{one.name}.{key}": _distribution(between)
        for one in sources().values()
        for key, between in one.bounds.items()
    }
    return {**settings_that_need_a_refit(), **bounds, **_OTHERS}


def _distribution(bounds: Between) -> BaseDistribution:
    low, high = bounds.low, bounds.high
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log=bounds.log)
    return FloatDistribution(low, high, log=bounds.log)


def space_of(settings: Settings) -> dict[str, BaseDistribution]:
    """Return the search space: it contains today's values, and sources that are off stay off."""
    return {
        key: _reaching(bounds, value_at(settings, key), settings.evaluation.k if _is_count(key) else None)
        for key, bounds in whole_space().items()
        if _is_on(key, settings)
    }


def values_of(settings: Settings, space: Space) -> dict[str, Any]:
    """Return the settings' own values of all that is tried."""
    return {key: value_at(settings, key) for key in space}


def tidied(tried: Mapping[str, Any], today: Mapping[str, Any]) -> dict[str, Any]:
    """Return tried values with no more digits than matter; today's stay as they are."""
    return {key: value if value == today[key] else _short(value) for key, value in tried.items()}


def _short(value: Any) -> Any:
    return float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value


def _is_count(key: str) -> bool:
    return key.endswith(f".{_COUNT}")


def _is_on(key: str, settings: Settings) -> bool:
    """Return whether a setting matters: a count of 0 stays, and nothing of a fit that no source uses."""
    section, _, name = key.rpartition(".")
    if not section.startswith("candidates."):
        return True
    source = section.partition(".")[2]
    if name == _COUNT:
        return bool(value_at(settings, key))
    sections = settings.candidates.sections()
    users = (one for one in sources().values() if one.fit_section == source)
    return any(sections[one.name].num_candidates for one in users)


def _reaching(bounds: BaseDistribution, today: Any, least: int | None) -> BaseDistribution:
    """Return the bounds, widened to today's value, from `least` on: a list must be filled."""
    if isinstance(bounds, CategoricalDistribution):
        return CategoricalDistribution(sorted({*bounds.choices, today}))
    assert isinstance(bounds, IntDistribution | FloatDistribution)
    low = min(max(bounds.low, least or bounds.low), today)
    return type(bounds)(low, max(bounds.high, today), log=bounds.log)

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

Space = Mapping[str, BaseDistribution]

# Each new combination of these costs a fit a label window: they take a few values, and change in few trials.
LIGHTFM_FIT: Final[Space] = {
    "candidates.lightfm.no_components": CategoricalDistribution((32, 64, 128)),
    "candidates.lightfm.learning_rate": CategoricalDistribution((0.02, 0.05, 0.1)),
    "candidates.lightfm.epochs": CategoricalDistribution((10, 20, 40)),
    "candidates.lightfm.half_life_days": CategoricalDistribution((0.0, 30.0, 60.0, 120.0)),
}
OTHERS: Final[Space] = {
    "candidates.lightfm.num_candidates": IntDistribution(40, 200, log=True),
    "candidates.item_knn.num_candidates": IntDistribution(40, 200, log=True),
    "candidates.item_knn.recent_candidates": IntDistribution(40, 200, log=True),
    "candidates.item_knn.neighbours": IntDistribution(20, 400, log=True),
    "candidates.ease.num_candidates": IntDistribution(40, 200, log=True),
    "candidates.ease.recent_candidates": IntDistribution(40, 200, log=True),
    "candidates.ease.regularization": FloatDistribution(50.0, 5_000.0, log=True),
    "candidates.popular.num_candidates": IntDistribution(40, 200, log=True),
    "features.half_life_days": FloatDistribution(5.0, 120.0, log=True),
    "ranker.iterations": IntDistribution(150, 800, log=True),
    "ranker.depth": IntDistribution(4, 8),
    "ranker.learning_rate": FloatDistribution(0.02, 0.12, log=True),
    "ranker.rsm": FloatDistribution(0.15, 1.0, log=True),
    "ranker.n_negatives": IntDistribution(40, 300, log=True),
}
SPACE: Final[Space] = {**LIGHTFM_FIT, **OTHERS}
_COUNTS: Final = ("num_candidates", "recent_candidates")
_DIGITS: Final = 3  # that matter of a number


def space_of(settings: Settings) -> dict[str, BaseDistribution]:
    """Return what is tried: today's values are among it, sources that are off stay off."""
    return {
        key: _reaching(bounds, value_at(settings, key), settings.evaluation.k if _is_count(key) else None)
        for key, bounds in SPACE.items()
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
    return key.endswith(_COUNTS)


def _is_on(key: str, settings: Settings) -> bool:
    """Return whether a setting matters: a count of 0 stays, and of a source that is off nothing does."""
    section, _, name = key.rpartition(".")
    if not section.startswith("candidates."):
        return True
    counts = {one: value for one, value in value_at(settings, section) if one in _COUNTS}
    return bool(counts[name]) if name in counts else any(counts.values())


def _reaching(bounds: BaseDistribution, today: Any, least: int | None) -> BaseDistribution:
    """Return the bounds wide enough for today's value, and nothing below `least`: a list must be filled."""
    if isinstance(bounds, CategoricalDistribution):
        return CategoricalDistribution(sorted({*bounds.choices, today}))
    assert isinstance(bounds, IntDistribution | FloatDistribution)
    low = min(max(bounds.low, least or bounds.low), today)
    return type(bounds)(low, max(bounds.high, today), log=bounds.log)

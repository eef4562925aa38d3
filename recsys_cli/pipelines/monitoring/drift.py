"""Drift: how far features and scores have changed since earlier lists."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys_cli.data_preparation.features.feature_tables import DayFeatures
from recsys_cli.utils.columns import is_for_models

_BINS = 10
_LEAST = 1e-4  # the share that an empty bin counts as
_CLOCKS = ("item_age_days", "item_days_since_first", "user_days_since_first")  # grow by a day every night
_CATEGORIES = 50  # the most frequent ones; the others count together


@dataclass(frozen=True)
class Drift:
    """One column then and now.

    Attributes:
        table: "users", "items" or "scores".
        psi: the population stability index; by custom, below .1 is stable and above .25 is a shift.
        before, now: means of a numeric column, else the share of its most frequent value before.
    """

    table: str
    name: str
    psi: float
    before: float | None
    now: float | None


def feature_drift(before: DayFeatures, now: DayFeatures) -> list[Drift]:
    """Return the drift of every number, text and boolean column that both days have, the largest first.

    Columns that merely count the days since something began are left out.
    """
    found = [
        drift_of(table, name, *(_column(one, table, name) for one in (before, now)))
        for table, name in _shared(before, now)
    ]
    return sorted(found, key=lambda one: (-one.psi, one.table, one.name))


def drift_of(table: str, name: str, before: pl.Series, now: pl.Series) -> Drift:
    """Return the drift of a column."""
    psi = stability_index(before, now)
    if before.dtype.is_numeric():
        return Drift(table, name, psi, _mean(before), _mean(now))
    top = before.drop_nulls().mode().sort().first()
    return Drift(table, name, psi, *(_mean((one == top).cast(pl.Float64)) for one in (before, now)))


def stability_index(before: pl.Series, now: pl.Series) -> float:
    """Return the population stability index: the sum of (q - p) ln(q / p) over shares p before and q now.

    Numbers fall into ten bins that hold equally many of the earlier ones, text into its most frequent values;
    nulls and NaN are a bin of their own. With few rows chance alone gives about 18 / rows.

    Source: Siddiqi (2006), Credit Risk Scorecards, chapter 10.
    """
    if before.is_empty() or now.is_empty():
        return 0.0
    counts = _binned(before, now) if before.dtype.is_numeric() else _counted(before, now)
    p, q = (np.maximum(one / one.sum(), _LEAST) for one in counts)
    return float(((q - p) * np.log(q / p)).sum())


def _binned(before: pl.Series, now: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    known = _values(before)
    known = known[np.isfinite(known)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, _BINS + 1)[1:-1])) if len(known) else known
    return _bins(before, edges), _bins(now, edges)


def _bins(values: pl.Series, edges: np.ndarray) -> np.ndarray:
    numbers = _values(values)
    missing = np.isnan(numbers)
    bins = np.bincount(np.searchsorted(edges, numbers[~missing], side="left"), minlength=_BINS + 1)
    return np.append(bins, missing.sum()).astype(np.float64)


def _values(values: pl.Series) -> np.ndarray:
    return values.cast(pl.Float64).fill_null(float("nan")).to_numpy()


def _counted(before: pl.Series, now: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    known = before.alias("value").value_counts(sort=True, name="before").head(_CATEGORIES)
    both = known.join(now.alias("value").value_counts(name="now"), on="value", how="left", nulls_equal=True)
    first, second = (both[side].fill_null(0).to_numpy() for side in ("before", "now"))
    rest = len(before) - first.sum(), len(now) - second.sum()
    return np.append(first, rest[0]).astype(np.float64), np.append(second, rest[1]).astype(np.float64)


def _shared(before: DayFeatures, now: DayFeatures) -> Iterator[tuple[str, str]]:
    for table in ("users", "items"):
        then, today = (one.lazy(table).collect_schema() for one in (before, now))
        for name, kind in today.items():
            usable = kind.is_numeric() or kind in (pl.String(), pl.Boolean())
            if usable and is_for_models(name) and name not in _CLOCKS and then.get(name) == kind:
                yield table, name


def _column(features: DayFeatures, table: str, name: str) -> pl.Series:
    return features.lazy(table).select(name).collect()[name]


def _mean(values: pl.Series) -> float | None:
    numbers = _values(values)
    known = numbers[np.isfinite(numbers)]
    return float(known.mean()) if len(known) else None

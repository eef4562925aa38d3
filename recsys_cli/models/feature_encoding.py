"""Encode declared features as one-hot columns, with a vocabulary that is fixed at training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from scipy import sparse

BINS = 8  # per numeric feature
_MOST_BESIDE_OTHER = 253  # with one code for missing and one for other values: as many as the ranker can hold


@dataclass(frozen=True)
class FeatureEncoder:
    """The vocabulary of the declared features of users or of items.

    Attributes:
        edges: ascending bin edges of each numeric feature.
        values: known values of each text or list feature, the most frequent ones.
        wide: text features with more values than these; the others share a code.
    """

    edges: Mapping[str, tuple[float, ...]]
    values: Mapping[str, tuple[str, ...]]
    wide: frozenset[str] = frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the features, numeric ones first: the order of the columns."""
        return (*sorted(self.edges), *sorted(self.values))

    @property
    def size(self) -> int:
        """Number of one-hot columns."""
        return sum(self._widths())

    def one_hot(self, entities: pl.DataFrame) -> sparse.csr_matrix:
        """Return an (entities, size) matrix; each row sums to 1, or to 0 if no feature is known."""
        from scipy import sparse

        rows, columns = [], []
        offsets = accumulate(self._widths(), initial=0)
        for name, offset in zip(self.names, offsets, strict=False):
            row, code = self._codes(entities, name)
            rows.append(row)
            columns.append(code + offset)
        row_of, column_of = np.concatenate([*rows, np.empty(0, int)]), np.concatenate(
            [*columns, np.empty(0, int)]
        )
        counts = np.bincount(row_of, minlength=len(entities)).astype(np.float32)
        shape = (len(entities), self.size)
        return sparse.csr_matrix((1.0 / counts[row_of], (row_of, column_of)), shape=shape, dtype=np.float32)

    def category_codes(self, entities: pl.DataFrame, name: str) -> pl.Series:
        """Return the code of each row's value, from 1; 0 for a missing or unknown value.

        The last code of a wide feature is for all values without a code of their own, also unknown ones.
        """
        known = self.values[name]
        codes = entities[name].cast(pl.Enum(known), strict=False).to_physical().cast(pl.Int32) + 1
        if name in self.wide:
            codes = codes.fill_null(entities[name].is_not_null().cast(pl.Int32) * (len(known) + 1))
        return codes.fill_null(0)

    def in_words(self, name: str, value: str | None) -> str | None:
        """Return a value as a person would say it: with what the model makes of it, if it has no own code."""
        if value is None or value in self.values[name]:
            return value
        return f"{value} (other)" if name in self.wide else f"{value} (not met in training)"

    def lost_features(self, entities: pl.LazyFrame) -> list[str]:
        """Return, one line each, the features that had values in training and have none of them now."""
        had_values = [name for name in self.names if self.edges.get(name) or self.values.get(name)]
        filled = {f"filled {name}": pl.col(name).count() for name in had_values}
        known = {
            f"known {name}": pl.col(name).explode().cast(pl.String).is_in(self.values[name]).sum()
            for name in had_values
            if name in self.values
        }
        found = entities.select(pl.len().alias("rows"), **filled, **known).collect().row(0, named=True)
        if not found["rows"]:
            return []
        lines = {
            name: (
                f"feature {name} had values in training, and is missing in all {found['rows']:,} rows now"
                if not found[f"filled {name}"]
                else f"feature {name} has no value that was met in training"
            )
            for name in had_values
            if not found[f"filled {name}"] or not found.get(f"known {name}", 1)
        }
        return list(lines.values())

    def _widths(self) -> list[int]:
        return [
            len(self.edges[name]) + 1 if name in self.edges else len(self.values[name]) for name in self.names
        ]

    def _codes(self, entities: pl.DataFrame, name: str) -> tuple[np.ndarray, np.ndarray]:
        column = entities[name].rename("code")
        if name in self.edges:
            known = column.is_not_null().to_numpy()
            codes = np.digitize(column.fill_null(0.0).to_numpy(), self.edges[name])
            return np.flatnonzero(known), codes[known]
        frame = column.to_frame().with_row_index("row")
        if isinstance(column.dtype, pl.List):
            frame = frame.explode("code")
        frame = frame.with_columns(
            pl.col("code").cast(pl.Enum(self.values[name]), strict=False).to_physical()
        )
        frame = frame.drop_nulls().unique(maintain_order=True)
        return frame["row"].to_numpy().astype(int), frame["code"].to_numpy().astype(int)


@dataclass(frozen=True)
class Encoders:
    """The vocabularies of users and of items."""

    users: FeatureEncoder
    items: FeatureEncoder


def fit_encoder(entities: pl.DataFrame, names: tuple[str, ...], max_categories: int) -> FeatureEncoder:
    """Fit the vocabulary of the declared features `names`: quantile bins and the most frequent values."""
    numeric = [name for name in names if entities.schema[name].is_numeric()]
    texts = [name for name in names if name not in numeric]
    edges = {name: _edges(entities[name]) for name in numeric}
    wide = frozenset(
        name
        for name in texts
        if entities.schema[name] == pl.String and entities[name].drop_nulls().n_unique() > max_categories
    )
    most = {
        name: min(max_categories, _MOST_BESIDE_OTHER) if name in wide else max_categories for name in texts
    }
    values = {name: _frequent_values(entities[name], most[name]) for name in texts}
    return FeatureEncoder(edges, values, wide)


def _edges(numbers: pl.Series) -> tuple[float, ...]:
    known = numbers.drop_nulls().drop_nans().to_numpy()
    if known.size == 0:
        return ()
    return tuple(float(edge) for edge in np.unique(np.quantile(known, np.arange(1, BINS) / BINS)))


def _frequent_values(texts: pl.Series, max_categories: int) -> tuple[str, ...]:
    flat = texts.explode() if isinstance(texts.dtype, pl.List) else texts
    counts = flat.drop_nulls().rename("value").value_counts()
    frequent = counts.sort("count", "value", descending=[True, False])["value"].head(max_categories)
    return tuple(sorted(frequent.to_list()))

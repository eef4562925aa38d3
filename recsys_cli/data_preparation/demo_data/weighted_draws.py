"""Weighted random draws from many rows at once, by one binary search."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]
Flags = npt.NDArray[np.bool_]

_EDGE = 1e-9  # keeps a draw away from the row's ends: sums are rounded there


@dataclass(frozen=True)
class WeightedRows:
    """Rows of weights as cumulative sums in one ascending array: row r covers the values from r to r + 1."""

    ascending: Floats
    empty: Flags

    @classmethod
    def of(cls, weights: Floats, lengths: Integers) -> "WeightedRows":
        """Stack rows of the given lengths; `weights` holds them one after the other."""
        sums = np.cumsum(weights, dtype=np.float64)
        ends = sums[np.cumsum(lengths) - 1]
        starts = np.concatenate([[0.0], ends[:-1]])
        totals = ends - starts
        empty = totals <= 0
        sums -= np.repeat(starts, lengths)
        sums /= np.repeat(np.where(empty, 1.0, totals), lengths)
        sums[np.repeat(empty, lengths)] = 1.0
        sums += np.repeat(np.arange(len(lengths)), lengths)
        return cls(sums, empty)

    def draw(self, rows: Integers, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Return a position in the stacked weights for each of `rows`, none of which may be empty."""
        targets = np.clip(rng.random(len(rows)), _EDGE, 1.0 - _EDGE) + rows
        return np.searchsorted(self.ascending, targets, side="right").astype(np.int64)

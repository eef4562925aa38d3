"""How often each value occurs in a column that is read batch by batch."""

import numpy as np
import polars as pl

_LEAST_NEW = 100_000  # values that are merged at a time; with many known ones more
_SHARE_NEW = 8


class Tally:
    """Counts values in sorted arrays: they take a fraction of the memory of hash tables.

    Args:
        kind: of the values.
    """

    def __init__(self, kind: pl.DataType) -> None:
        self._values = pl.Series([], dtype=kind)
        self._counts = np.zeros(0, dtype=np.uint32)
        self._nulls = 0
        self._new: list[tuple[pl.Series, np.ndarray]] = []

    def add(self, values: pl.Series) -> None:
        """Count the values of a batch."""
        self._nulls += values.null_count()
        if values.null_count() == len(values):
            return
        runs = values.drop_nulls().sort().rle().struct.unnest()
        found, counts = runs["value"], runs["len"].to_numpy()
        is_known = self._count_known(found, counts)
        self._new.append((found.filter(~is_known), counts[~is_known.to_numpy()]))
        if sum(len(new) for new, _ in self._new) > max(_LEAST_NEW, len(self._values) // _SHARE_NEW):
            self._merge()

    def counted(self, name: str, count: str) -> pl.DataFrame:
        """Return a row for each value, sorted, nulls first, with its number as a u32 of the name `count`."""
        self._merge()
        known = pl.DataFrame([self._values.alias(name), pl.Series(count, self._counts)])
        if not self._nulls:
            return known
        nulls = pl.DataFrame([self._values.clear(1).alias(name), pl.Series(count, [self._nulls], pl.UInt32)])
        return pl.concat([nulls, known])

    def _count_known(self, found: pl.Series, counts: np.ndarray) -> pl.Series:
        """Count what is known already; return which of the sorted values that are."""
        if self._values.is_empty():
            return pl.repeat(False, len(found), eager=True)
        places = self._values.search_sorted(found).clip(upper_bound=len(self._values) - 1)
        is_known = self._values.gather(places) == found
        self._counts[places.filter(is_known).to_numpy()] += counts[is_known.to_numpy()]
        return is_known

    def _merge(self) -> None:
        """Give the new values their places among the known ones."""
        if not self._new:
            return
        values = pl.concat([self._values, *(new for new, _ in self._new)])
        counts = np.concatenate([self._counts, *(some for _, some in self._new)])
        order = values.arg_sort()
        runs = values.gather(order).rle().struct.unnest()
        lengths = runs["len"].to_numpy().astype(np.int64)
        starts = np.cumsum(lengths) - lengths
        self._values = runs["value"]
        self._counts = np.add.reduceat(counts[order.to_numpy()], starts).astype(np.uint32)
        self._new = []

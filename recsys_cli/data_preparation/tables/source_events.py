"""Events that stay in their source until they are placed in the table: nothing holds them twice.

A first reading counts the events of each id, so the table has its full size from the start; a second one
writes each event to the place of its user.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from recsys_cli.data_preparation.readers.local_files import collect_source
from recsys_cli.data_preparation.readers.polars_errors import as_input_error
from recsys_cli.data_preparation.tables.ids import ROWS
from recsys_cli.utils.columns import EVENT_TYPE, ITEM, ITEM_ID, TIMESTAMP, USER, USER_ID, WEIGHT
from recsys_cli.utils.errors import InputError

FIRST_PLAUSIBLE = datetime(1971, 1, 1)  # zeros and wrong units give dates in 1970
LARGEST_WEIGHT = 1e15  # so that sums and means stay finite
_SOURCE = "__source_id"
_BATCH = 250_000  # events that are placed, or sorted, at a time


@dataclass(frozen=True)
class SourceEvents:
    """The checked events of a source.

    Attributes:
        rows: user_id and item_id as the source has them, timestamp, weight, perhaps event_type; any order.
        users, items: one row per id of the source: the id as it counts, and the number of its events.
    """

    rows: pl.LazyFrame
    files: list[Path]
    where: str
    users: pl.DataFrame
    items: pl.DataFrame


class EventFigures(NamedTuple):
    """How many events there are, and how many of them have something wrong."""

    events: int
    without_time: int
    impossible: int  # before the year 1, which Python has no date for
    early: int
    bad_weights: int


def event_figures(rows: pl.LazyFrame, files: list[Path], *, signed: bool = False) -> EventFigures:
    """Return the figures of events.

    Args:
        signed: whether a weight may be negative.

    Raises: InputError that names the files if they cannot be read.
    """
    time, weight = pl.col(TIMESTAMP), pl.col(WEIGHT).abs() if signed else pl.col(WEIGHT)
    fits = weight.is_between(0, LARGEST_WEIGHT).fill_null(False)
    firsts = (datetime.min, FIRST_PLAUSIBLE)
    figures = [pl.len(), time.null_count(), *((time < first).sum() for first in firsts), (~fits).sum()]
    named = [one.alias(name) for name, one in zip(EventFigures._fields, figures, strict=True)]
    return EventFigures(*map(int, collect_source(rows.select(named), files).row(0)))


def ids_of(rows: pl.LazyFrame, key: str, files: list[Path]) -> pl.DataFrame:
    """Return each id of the source once, sorted, with the number of its events.

    Raises: InputError that names the files if they cannot be read.
    """
    kind = rows.collect_schema()[key]
    if kind.is_nested() or kind == pl.Object:
        return pl.DataFrame(schema={key: kind, ROWS: pl.UInt32})
    counted = collect_source(rows.group_by(key).agg(pl.len().alias(ROWS)), files)
    return counted.sort(key).with_columns(pl.col(key).alias(_SOURCE))


def counted_again(ids: pl.DataFrame, rows: pl.LazyFrame, key: str) -> pl.DataFrame:
    """Return the ids that are still among the events, with the number of those."""
    left = rows.group_by(pl.col(key).alias(_SOURCE)).agg(pl.len().alias(ROWS)).collect()
    return ids.drop(ROWS).join(left, on=_SOURCE, how="inner", maintain_order="left")


def event_table(
    events: SourceEvents, users: pl.DataFrame, items: pl.DataFrame, *, typed: bool
) -> pl.DataFrame:
    """Return the events by internal index, sorted by all columns.

    Args:
        users, items: those of the events with the internal index of each id.
        typed: whether event_type is a column.

    Raises: InputError if the source cannot be read, or has others than when they were counted.
    """
    counts = np.zeros(int(users[USER].max() or 0) + 1, dtype=np.int64)  # type: ignore[arg-type]
    np.add.at(counts, users[USER].to_numpy(), users[ROWS].to_numpy())
    table = _Table(counts, typed=typed)
    with as_input_error(events.files):
        for batch in _indexed(events, users, items, table.names):
            if not table.place(batch):
                raise _changed(events)
    if not table.is_full:
        raise _changed(events)
    table.sort()
    return table.frame()


def _indexed(
    events: SourceEvents, users: pl.DataFrame, items: pl.DataFrame, names: list[str]
) -> Iterator[pl.DataFrame]:
    """Yield the events with the internal indices of their ids."""
    rows = events.rows
    for key, index, ids in ((USER_ID, USER, users), (ITEM_ID, ITEM, items)):
        known = ids.select(pl.col(_SOURCE).alias(key), index)
        if known.schema[key].is_float():
            known, rows = known.cast({key: pl.Int64}), rows.with_columns(
                pl.col(key).cast(pl.Int64, strict=False)
            )
        rows = rows.join(known.lazy(), on=key, how="inner", build_side="force_right")
    yield from rows.select(names).collect_batches(
        chunk_size=_BATCH, maintain_order=False, lazy=True, engine="streaming"
    )


def _changed(events: SourceEvents) -> InputError:
    return InputError(
        "the events have changed while they were read",
        where=events.where,
        fix="run it again once they are complete; deliver a file under another name, then rename it",
    )


class _Table:
    """The columns of the events, with a stretch of rows for each user.

    Args:
        counts: events of each user, by internal index.
    """

    def __init__(self, counts: np.ndarray, *, typed: bool) -> None:
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._next = self._starts[:-1].copy()
        size = int(self._starts[-1])
        self._columns: dict[str, np.ndarray] = {
            USER: np.empty(size, np.uint32),
            ITEM: np.empty(size, np.uint32),
            TIMESTAMP: np.empty(size, np.int64),
            WEIGHT: np.empty(size, np.float32),
        }
        if typed:
            self._columns[EVENT_TYPE] = np.empty(size, np.uint8)

    @property
    def names(self) -> list[str]:
        """The columns' names, in the order by which the events are sorted."""
        return list(self._columns)

    @property
    def is_full(self) -> bool:
        """Whether each user has as many events as were counted."""
        return bool((self._next == self._starts[1:]).all())

    def place(self, batch: pl.DataFrame) -> bool:
        """Write events to the rows of their users; return False if a user has more than were counted."""
        if batch.is_empty():
            return True
        batch = batch.sort(USER)
        users = batch[USER].to_numpy()
        firsts = np.flatnonzero(np.concatenate([[True], users[1:] != users[:-1]]))
        sizes = np.diff(np.concatenate([firsts, [len(users)]]))
        places = self._next[users] + np.arange(len(users)) - np.repeat(firsts, sizes)
        self._next[users[firsts]] += sizes
        if (self._next[users[firsts]] > self._starts[users[firsts] + 1]).any():
            return False
        for name, column in self._columns.items():
            column[places] = _as_numbers(batch[name])
        return True

    def sort(self) -> None:
        """Sort the rows of each user."""
        for begin, end in self._stretches():
            frame = self._frame(begin, end).sort(self.names)
            for name, column in self._columns.items():
                column[begin:end] = _as_numbers(frame[name])

    def frame(self) -> pl.DataFrame:
        """Return the table; it takes the columns over without a copy."""
        return self._frame(0, len(self._columns[USER]))

    def _frame(self, begin: int, end: int) -> pl.DataFrame:
        return pl.DataFrame([_as_series(name, column[begin:end]) for name, column in self._columns.items()])

    def _stretches(self) -> Iterator[tuple[int, int]]:
        """Yield bounds of rows with whole users, about a batch each."""
        begin, end = 0, int(self._starts[-1])
        while begin < end:
            after = int(np.searchsorted(self._starts, begin + _BATCH, side="left"))
            until = int(self._starts[min(after, len(self._starts) - 1)])
            yield begin, until
            begin = until


def _as_numbers(column: pl.Series) -> np.ndarray:
    return column.to_physical().to_numpy()


def _as_series(name: str, column: np.ndarray) -> pl.Series:
    """Return an array as a column that shares its memory."""
    import pyarrow as pa

    kind = pa.timestamp("us") if name == TIMESTAMP else pa.from_numpy_dtype(column.dtype)
    return pl.Series(name, pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(column)]))

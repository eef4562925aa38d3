"""The table of events: each one is written to its place as it is read, so that nothing holds them twice.

The first reading has counted the events of each id, so the table has its full size from the start.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recsys_cli.data_preparation.tables.event_counts import BATCH, SOURCE_ID, EventSource
from recsys_cli.data_preparation.tables.event_reading import within_caps
from recsys_cli.data_preparation.tables.event_types import EventRules
from recsys_cli.data_preparation.tables.ids import ROWS
from recsys_cli.utils.columns import EVENT_TYPE, ITEM, ITEM_ID, TIMESTAMP, USER, USER_ID, WEIGHT
from recsys_cli.utils.errors import InputError

if TYPE_CHECKING:
    import pyarrow as pa


def event_table(
    source: EventSource, users: pl.DataFrame, items: pl.DataFrame, rules: EventRules, timezone: str
) -> pl.DataFrame:
    """Return the events by internal index, sorted by all columns.

    With rules those that count, with event_type: not those of weight 0, nor what a day has beyond its type's
    cap. What cancels others has a positive weight: how much it takes back.

    Args:
        users, items: the ids that were counted, sorted, with the internal index of each.

    Raises: InputError if the source cannot be read, or has others than when they were counted.
    """
    counts = np.zeros(int(users[USER].max() or 0) + 1, dtype=np.int64)  # type: ignore[arg-type]
    np.add.at(counts, users[USER].to_numpy(), users[ROWS].to_numpy())
    table = _Table(counts, typed=bool(rules))
    for batch in source.batches():
        if not table.place(_indexed(_counting(batch, rules), users, items)):
            raise _changed(source)
    if not table.is_full:
        raise _changed(source)
    table.settle(rules, timezone)
    return table.frame()


def _counting(batch: pl.DataFrame, rules: EventRules) -> pl.DataFrame:
    return batch.with_columns(pl.col(WEIGHT).abs()).filter(pl.col(WEIGHT) > 0) if rules else batch


def _indexed(batch: pl.DataFrame, users: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Return the events with the internal indices of their ids; those of other ids are left out."""
    for key, index, known in ((USER_ID, USER, users), (ITEM_ID, ITEM, items)):
        places = known[SOURCE_ID].search_sorted(batch[key]).clip(upper_bound=len(known) - 1)
        is_known = known[SOURCE_ID].gather(places) == batch[key]
        batch = batch.with_columns(known[index].gather(places)).filter(is_known)
    return batch


def _changed(source: EventSource) -> InputError:
    return InputError(
        "the events have changed while they were read",
        where=source.where,
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

    def settle(self, rules: EventRules, timezone: str) -> None:
        """Sort the rows of each user, and leave out those beyond the caps of their types."""
        size = 0
        for begin, end in self._stretches():
            frame = within_caps(self._frame(begin, end).sort(*self._columns), rules, timezone)
            for name, column in self._columns.items():
                column[size : size + len(frame)] = _as_numbers(frame[name])
            size += len(frame)
        self._columns = {name: column[:size] for name, column in self._columns.items()}

    def frame(self) -> pl.DataFrame:
        """Return the table; it takes the columns over without a copy."""
        return self._frame(0, len(self._columns[USER]))

    def _frame(self, begin: int, end: int) -> pl.DataFrame:
        import pyarrow as pa

        arrays = [_as_arrow(name, column[begin:end]) for name, column in self._columns.items()]
        return pl.DataFrame(pl.from_arrow(pa.RecordBatch.from_arrays(arrays, names=list(self._columns))))

    def _stretches(self) -> Iterator[tuple[int, int]]:
        """Yield bounds of rows with whole users, about a batch each."""
        begin, end = 0, int(self._starts[-1])
        while begin < end:
            after = int(np.searchsorted(self._starts, begin + BATCH, side="left"))
            until = int(self._starts[min(after, len(self._starts) - 1)])
            yield begin, until
            begin = until


def _as_numbers(column: pl.Series) -> np.ndarray:
    return column.to_physical().to_numpy()


def _as_arrow(name: str, column: np.ndarray) -> "pa.Array":
    """Return a column that shares the array's memory."""
    import pyarrow as pa

    kind = pa.timestamp("us") if name == TIMESTAMP else pa.from_numpy_dtype(column.dtype)
    return pa.Array.from_buffers(kind, len(column), [None, pa.py_buffer(column)])

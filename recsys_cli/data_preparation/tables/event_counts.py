"""The first reading of a source's events: their figures, and each id with the number of its events."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from recsys_cli.data_preparation.readers.polars_errors import as_input_error
from recsys_cli.data_preparation.tables.event_reading import has_no_meaning
from recsys_cli.data_preparation.tables.event_types import EventRules
from recsys_cli.data_preparation.tables.ids import ROWS
from recsys_cli.data_preparation.tables.tally import Tally
from recsys_cli.utils.columns import EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID, WEIGHT
from recsys_cli.utils.freed_memory import give_back

FIRST_PLAUSIBLE: Final = datetime(1971, 1, 1)  # zeros and wrong units give dates in 1970
LARGEST_WEIGHT: Final = 1e15  # so that sums and means stay finite
SOURCE_ID: Final = "__source_id"  # an id as the source has it
BATCH: Final = 100_000  # events that are held at a time
_WEIGHTY = "__weighty"  # how many events of an id have a weight other than 0


@dataclass(frozen=True)
class EventSource:
    """Events as their source has them, under the contract's names.

    Attributes:
        pieces: user_id, item_id, timestamp, weight, perhaps event_type as its code; to be read one by one.
        are_small: whether each piece fits in little memory.
        where: what messages name.
    """

    pieces: Sequence[pl.LazyFrame]
    files: list[Path]
    where: str
    are_small: bool = False

    def batches(self) -> Iterator[pl.DataFrame]:
        """Yield all of them, some at a time.

        Raises: InputError that names the files if they cannot be read.
        """
        with as_input_error(self.files):
            for piece in self.pieces:
                yield from [piece.collect()] if self.are_small else _batches(piece)


def _batches(rows: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    return rows.collect_batches(chunk_size=BATCH, maintain_order=False, lazy=True, engine="streaming")


class EventFigures(NamedTuple):
    """How many events there are, and how many of them have something wrong."""

    events: int
    without_time: int
    impossible: int  # before the year 1, which Python has no date for
    early: int
    bad_weights: int
    negative: int  # weights of events that do not cancel others
    weightless: int
    without_meaning: int  # of a type that the settings do not name, or of none


@dataclass(frozen=True)
class EventCounts:
    """What the first reading finds.

    Attributes:
        users, items: each id of the source once, sorted, with the number of its events as ROWS.
    """

    figures: EventFigures
    users: pl.DataFrame
    items: pl.DataFrame


def count_events(source: EventSource, rules: EventRules) -> EventCounts:
    """Read all events once, and count them.

    Raises: InputError that names the files if they cannot be read.
    """
    kinds = source.pieces[0].collect_schema()
    users, items = (_Ids(key, kinds[key], may_be_weightless=bool(rules)) for key in (USER_ID, ITEM_ID))
    sums = [0] * len(EventFigures._fields)
    figures = list(_figures(rules, EVENT_TYPE in kinds).values())
    for batch in source.batches():
        sums = [total + int(one or 0) for total, one in zip(sums, batch.select(figures).row(0), strict=True)]
        users.add(batch)
        items.add(batch)
    counted = EventCounts(EventFigures(*sums), users.counted(), items.counted())
    give_back()
    return counted


def with_weight(ids: pl.DataFrame) -> pl.DataFrame:
    """Return the ids that have an event with a weight other than 0, with the number of those."""
    return ids.with_columns(pl.col(_WEIGHTY).alias(ROWS)).filter(pl.col(ROWS) > 0)


def _figures(rules: EventRules, has_types: bool) -> dict[str, pl.Expr]:
    """Return how the figures of a batch are counted, by their names."""
    time, weight = pl.col(TIMESTAMP), pl.col(WEIGHT).abs() if rules else pl.col(WEIGHT)
    negative = (pl.col(WEIGHT) < 0) & (pl.col(EVENT_TYPE) < len(rules.types)) if rules else pl.lit(False)
    counted = {
        "events": pl.len(),
        "without_time": time.null_count(),
        "impossible": (time < datetime.min).sum(),
        "early": (time < FIRST_PLAUSIBLE).sum(),
        "bad_weights": (~weight.is_between(0, LARGEST_WEIGHT).fill_null(False)).sum(),
        "negative": negative.sum(),
        "weightless": (weight == 0).sum(),
        "without_meaning": has_no_meaning().sum() if has_types else pl.lit(0),
    }
    return {name: counted[name].alias(name) for name in EventFigures._fields}


class _Ids:
    """Counts the events of each id, batch by batch.

    Args:
        kind: of the ids; those that cannot be ids are not counted, for they are refused later.
        may_be_weightless: count those with a weight other than 0, too.
    """

    def __init__(self, key: str, kind: pl.DataType, *, may_be_weightless: bool) -> None:
        self._key = key
        self._can_be_ids = kind != pl.Object and not kind.is_nested()
        self._all = Tally(kind)
        self._weighty = Tally(kind) if may_be_weightless else None

    def add(self, batch: pl.DataFrame) -> None:
        """Count the events of a batch."""
        if not self._can_be_ids:
            return
        self._all.add(batch[self._key])
        if self._weighty is not None:
            self._weighty.add(batch.filter(pl.col(WEIGHT) != 0)[self._key])

    def counted(self) -> pl.DataFrame:
        """Return each id once, sorted, with its counts; the id as the source has it again as SOURCE_ID."""
        ids = self._all.counted(self._key, ROWS)
        if self._weighty is not None:
            weighty = self._weighty.counted(self._key, _WEIGHTY)
            ids = ids.join(weighty, on=self._key, how="left", maintain_order="left").fill_null(0)
        return ids.with_columns(pl.col(self._key).alias(SOURCE_ID))

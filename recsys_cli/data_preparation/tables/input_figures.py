"""Figures of a day's inputs, small enough for a run's record, by which a delivery is compared with others."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Annotated, Final

import numpy as np
import polars as pl
from pydantic import Field

from recsys_cli.data_preparation.features.eligibility import eligible
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.utils.columns import (
    EVENT_TYPE,
    ITEM,
    ITEM_ID,
    TIMESTAMP,
    USER,
    USER_ID,
    WEIGHT,
    is_for_models,
)
from recsys_cli.utils.dates import day_start
from recsys_cli.utils.json_record import Count, Day, Figure, JsonRecord, Share, Word

WEEK: Final = 7
DAYS: Final = 9 * WEEK  # with figures of their own: the newest week and the eight before
SAMPLED_DAYS: Final = 14
SAMPLE: Final = 16  # events of a day, those with the smallest hashes
ALL_TYPES: Final = ""  # where events have no types
_AGO = "days_ago"
_SECONDS_A_DAY = 86_400
_MOST_NAMES, _LONGEST_NAME = 1_000, 500  # of columns, in a record
_HASH_BITS = 11  # are dropped: every reader of JSON keeps the others
_QUARTILES = (0.25, 0.5, 0.75)

ByDay = Annotated[list[Count], Field(max_length=DAYS)]  # newest first: of the day before the date, …


class TypeFigures(JsonRecord):
    """Events of a type.

    Attributes:
        weeks: of the newest week and of those before it; weight: the newest week's median.
    """

    events: Count
    weeks: ByDay
    weight: Figure | None


class InputFigures(JsonRecord):
    """What is compared of a day's inputs: of the events before the day, and of the tables as delivered.

    Attributes:
        reading: a hash of how the sources are read; figures of another reading mean something else.
        repeated_events: those that equal another event in all columns that are used.
        repeats: share of the different events that are there more than once; also of the newest week's.
        top_user, top_item: the largest share of the events; also of the newest week's.
        events_by_day, new_users_by_day, new_items_by_day: by local day; new: with their first event.
        samples: hashes of some events of each day.
        unknown: share of the events whose id is not in its own table, by the id's name.
        nulls: share of the rows without a value, by table and feature; quartiles: of the numbers.
        columns: of the sources, by table.
    """

    day: Day = Field(alias="date")
    reading: Word
    events: Count
    warm_users: Count
    active_items: Count
    items: Count
    recommendable_items: Count
    newest_event_age_days: Figure
    repeated_events: Count
    repeats: Share
    repeats_of_week: Share
    top_user: Share
    top_user_of_week: Share
    top_item: Share
    top_item_of_week: Share
    events_by_day: ByDay
    new_users_by_day: ByDay
    new_items_by_day: ByDay
    samples: Annotated[list[list[Count]], Field(max_length=SAMPLED_DAYS)]
    types: dict[Word, TypeFigures]
    unknown: dict[Word, Share]
    nulls: dict[Word, Share]
    quartiles: dict[Word, Annotated[list[Figure], Field(min_length=3, max_length=3)]]
    columns: dict[Word, list[Word]]

    @property
    def week(self) -> int:
        """Events of the newest week."""
        return sum(self.events_by_day[:WEEK])


def figures_of(tables: Tables, reading: str, columns: Mapping[str, Sequence[str]]) -> InputFigures:
    """Return the figures of a day's tables.

    Args:
        reading: a hash of how the sources are read.
        columns: of the sources, by table.
    """
    events = tables.events if tables.delivered is None else tables.delivered
    recent = _recent(events, tables)
    week = events.filter(pl.col(TIMESTAMP) >= _start(tables, WEEK))
    age: timedelta = events.select(tables.cut - pl.col(TIMESTAMP).max()).item()
    sides = {"users": tables.users, "items": tables.items}
    return InputFigures(
        day=tables.day,
        reading=reading,
        events=len(events),
        warm_users=events[USER].n_unique(),
        active_items=events[ITEM].n_unique(),
        items=len(tables.items),
        recommendable_items=int(eligible(tables.items, tables.day).sum()),
        newest_event_age_days=round(age.total_seconds() / _SECONDS_A_DAY, 3),
        repeated_events=int(_equals_last(events).sum()),
        repeats=_repeats(events),
        repeats_of_week=_repeats(week),
        top_user=_top_share(events[USER]),
        top_user_of_week=_top_share(week[USER]),
        top_item=_top_share(events[ITEM]),
        top_item_of_week=_top_share(week[ITEM]),
        events_by_day=_by_day(recent),
        new_users_by_day=_by_day(_recent(_firsts(events, USER), tables)),
        new_items_by_day=_by_day(_recent(_firsts(events, ITEM), tables)),
        samples=_samples(recent.filter(pl.col(_AGO) < SAMPLED_DAYS), tables),
        types=dict(_types(events, recent, tables.rules.codes)),
        unknown={key: round(found.share, 6) for key, found in tables.unknown.items()},
        nulls={name: round(_null_share(values), 6) for name, values in _features(sides)},
        quartiles={name: found for name, values in _features(sides) if len(found := _quartiles(values)) == 3},
        columns={
            table: [name[:_LONGEST_NAME] for name in names[:_MOST_NAMES]] for table, names in columns.items()
        },
    )


def _start(tables: Tables, days: int) -> datetime:
    """Return the first instant of the local day so many days before the date."""
    return day_start(tables.day - timedelta(days=min(days, (tables.day - date.min).days)), tables.timezone)


def _recent(events: pl.DataFrame, tables: Tables) -> pl.DataFrame:
    """Return the events of the days that have figures, with how many days before the newest day they are."""
    local = pl.col(TIMESTAMP).dt.replace_time_zone("UTC").dt.convert_time_zone(tables.timezone).dt.date()
    ago = (pl.lit(tables.day) - local).dt.total_days() - 1
    recent = events.filter(pl.col(TIMESTAMP) >= _start(tables, DAYS))
    return recent.with_columns(ago.alias(_AGO))


def _by_day(recent: pl.DataFrame) -> list[int]:
    return _counts(recent[_AGO], DAYS)


def _counts(values: pl.Series, size: int) -> list[int]:
    counts: list[int] = np.bincount(values.to_numpy().astype(np.int64), minlength=size)[:size].tolist()
    return counts


def _firsts(events: pl.DataFrame, side: str) -> pl.DataFrame:
    return events.group_by(side).agg(pl.col(TIMESTAMP).min())


def _equals_last(events: pl.DataFrame) -> pl.Series:
    """Return whether each event equals the one before it; equal events are adjacent."""
    same = pl.all_horizontal(pl.col(name) == pl.col(name).shift(1) for name in events.columns)
    return events.select(same.fill_null(False).alias("same"))["same"]


def _repeats(events: pl.DataFrame) -> float:
    """Return the share of the different events that are there more than once."""
    again = _equals_last(events)
    different = len(events) - int(again.sum())
    several = int((again & ~again.shift(1, fill_value=False)).sum())
    return round(several / different, 6) if different else 0.0


def _top_share(indices: pl.Series) -> float:
    return round(int(np.bincount(indices.to_numpy()).max()) / len(indices), 6) if len(indices) else 0.0


def _samples(recent: pl.DataFrame, tables: Tables) -> list[list[int]]:
    """Return, by day, the smallest hashes of its events: the same ones of whatever holds the same events."""
    ids = tables.users[USER_ID].cast(pl.String), tables.items[ITEM_ID].cast(pl.String)
    hashed = recent.select(
        _AGO,
        pl.concat_str(
            pl.Series(ids[0].gather(recent[USER])),
            pl.Series(ids[1].gather(recent[ITEM])),
            pl.col(TIMESTAMP).cast(pl.Datetime("us")).cast(pl.Int64),
            separator="\n",
        )
        .hash(seed=0)
        .alias("hash")
        // 2**_HASH_BITS,
    ).unique()
    smallest = dict(hashed.group_by(_AGO).agg(pl.col("hash").sort().head(SAMPLE)).iter_rows())
    return [smallest.get(ago, []) for ago in range(SAMPLED_DAYS)]


def _types(
    events: pl.DataFrame, recent: pl.DataFrame, codes: Mapping[str, int]
) -> Iterator[tuple[str, TypeFigures]]:
    """Yield the figures of each type that the settings name; of all events together where there is none."""
    for name in codes or (ALL_TYPES,):
        is_own = pl.col(EVENT_TYPE) == codes[name] if codes else pl.lit(True)
        own, newer = events.filter(is_own), recent.filter(is_own)
        median = newer.filter(pl.col(_AGO) < WEEK)[WEIGHT].cast(pl.Float64).median()
        yield name, TypeFigures(
            events=len(own),
            weeks=_counts(newer[_AGO] // WEEK, DAYS // WEEK),
            weight=None if median is None else float(median),  # type: ignore[arg-type]
        )


def _features(sides: Mapping[str, pl.DataFrame]) -> Iterator[tuple[str, pl.Series]]:
    for table, frame in sides.items():
        for name in frame.columns:
            if is_for_models(name):
                yield f"{table}.{name}", frame[name]


def _null_share(values: pl.Series) -> float:
    return values.null_count() / len(values) if len(values) else 0.0


def _quartiles(values: pl.Series) -> list[float]:
    """Return the quartiles of the numbers; none where there are no numbers."""
    if not values.dtype.is_numeric():
        return []
    numbers = values.cast(pl.Float64).drop_nulls().drop_nans()
    found = [numbers.quantile(share, "nearest") for share in _QUARTILES]
    return [float(f"{one:.9g}") for one in found if one is not None and abs(one) < 1e30]

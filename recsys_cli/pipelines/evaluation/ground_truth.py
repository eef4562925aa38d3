"""What users did in the days from a day on, in the indices of what was known before it."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from recsys_cli.data_preparation.features.labels import window_pairs
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.data_preparation.tables.ids import indices_of
from recsys_cli.utils.columns import ITEM, ITEM_ID, TIMESTAMP, USER, USER_ID
from recsys_cli.utils.dates import day_start


@dataclass(frozen=True)
class Known:
    """What was known before a day.

    Attributes:
        user_ids, item_ids: external ids by internal index.
        had: user, item of the events before the day; seen: of those that lists leave out.
    """

    user_ids: pl.Series
    item_ids: pl.Series
    had: pl.DataFrame
    seen: pl.DataFrame


def ground_truth_of(window: Tables, known: Known, day: date, days: int, *, new_only: bool) -> pl.DataFrame:
    """Return distinct user, item of the labels of the days from `day` on, sorted, of users known before it.

    An item that was unknown before the day has an index beyond the known items. `gain` as in `window_pairs`.

    Args:
        window: what has happened up to the end of those days, or later.
        new_only: leave out what a user had seen before the day.
    """
    users = indices_of(window.users[USER_ID], known.user_ids)
    items = indices_of(window.items[ITEM_ID], known.item_ids)
    pairs = window_pairs(window, day, days)
    done = pairs.with_columns(
        pl.lit(users).gather(USER).alias(USER),
        pl.coalesce(pl.lit(items).gather(ITEM), pl.col(ITEM) + len(known.item_ids)).alias(ITEM),
    )
    of_known = done.drop_nulls(USER)
    return (of_known.join(known.seen, on=[USER, ITEM], how="anti") if new_only else of_known).sort(USER, ITEM)


def covered_days(window: Tables, day: date, days: int) -> int:
    """Return how many of the days from `day` on begin before the newest event."""
    newest: datetime | None = window.events.select(pl.col(TIMESTAMP).max()).item()
    ahead = range(min(days, (date.max - day).days + 1))
    starts = [day_start(day + timedelta(days=n), window.timezone) for n in ahead]
    return sum(newest is not None and start <= newest for start in starts)

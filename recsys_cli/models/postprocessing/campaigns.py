"""Campaigns: tables of the items that a rule pins, for every user or for some, with dates."""

from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import polars as pl

from recsys_cli.data_preparation.features.feature_tables import DayFeatures
from recsys_cli.models.postprocessing.rule_conditions import PairSet, pair_set
from recsys_cli.utils.columns import ITEM, ITEM_ID, USER, USER_ID
from recsys_cli.utils.errors import InputError, first_line

_FROM: Final = "from"
_UNTIL: Final = "until"
_FOR_ALL: Final = "for_all"


@dataclass(frozen=True)
class Campaign:
    """What a campaign pins on a day.

    Attributes:
        everybody: bool an item: whether it is for every user.
        pairs: user_id and item, u32: what is for some users.
    """

    everybody: np.ndarray
    pairs: pl.DataFrame

    def of_users(self, user_ids: pl.Series) -> PairSet:
        """Return the campaign's pairs of these users, by their internal index."""
        users = user_ids.alias(USER_ID).to_frame().with_row_index(USER)
        return pair_set(self.pairs.join(users, on=USER_ID).select(USER, ITEM), self.everybody)


def read_campaign(table: pl.DataFrame, features: DayFeatures, where: str, path: str) -> Campaign:
    """Return what a campaign's table pins on the day of the features.

    Rows of items that there are not are left out; a row without a user_id is for every user.

    Raises: InputError if there is no item_id, or a date that is none.
    """
    if ITEM_ID not in table.columns:
        raise InputError(
            f"the campaign {path} has no column {ITEM_ID}; there are {', '.join(table.columns)}",
            where=where,
            fix=f"name the column {ITEM_ID}",
        )
    try:
        rows = _of_day(table, features.day)
    except pl.exceptions.PolarsError as error:
        raise InputError(
            f"the campaign {path} has dates that cannot be read: {first_line(error)}",
            where=where,
            fix=f"write {_FROM} and {_UNTIL} as dates, such as 2026-11-23",
        ) from None
    rows = _indexed(rows, features)
    everybody = np.zeros(len(features.items), dtype=bool)
    everybody[rows.filter(_FOR_ALL)[ITEM].to_numpy()] = True
    return Campaign(everybody, rows.filter(~pl.col(_FOR_ALL)).drop(_FOR_ALL).drop_nulls())


def _indexed(rows: pl.DataFrame, features: DayFeatures) -> pl.DataFrame:
    """Return user_id in its own type, item, and whether the row is for every user."""
    items = features.items.select(ITEM_ID).with_row_index(ITEM)
    rows = rows.with_columns(pl.col(ITEM_ID).cast(items.schema[ITEM_ID], strict=False))
    user = pl.col(USER_ID) if USER_ID in rows.columns else pl.lit(None)
    kind = features.user_schema[USER_ID]
    return rows.join(items, on=ITEM_ID).select(
        user.cast(kind, strict=False).alias(USER_ID), ITEM, user.is_null().alias(_FOR_ALL)
    )


def _of_day(table: pl.DataFrame, day: date) -> pl.DataFrame:
    started, running = (_dates(table, name) for name in (_FROM, _UNTIL))
    return table.filter((started <= day).fill_null(True), (running >= day).fill_null(True))


def _dates(table: pl.DataFrame, name: str) -> pl.Expr:
    """Return a column as days; null where it is missing."""
    if name not in table.columns:
        return pl.lit(None, dtype=pl.Date)
    column = pl.col(name)
    return column.str.to_date() if table.schema[name] == pl.String else column.cast(pl.Date)

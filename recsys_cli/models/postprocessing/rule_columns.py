"""The columns of users and items that rules may name: features, those for rules alone, users' favourites."""

from collections.abc import Sequence
from typing import Final

import polars as pl

from recsys_cli.data_preparation.features.feature_tables import (
    FEATURE,
    SHARE,
    VALUE,
    DayFeatures,
    FeatureTables,
)
from recsys_cli.utils.columns import FOR_RULES, USER

FAVOURITE: Final = "favourite_"


def named_for_rules(table: pl.DataFrame) -> pl.DataFrame:
    """Return users or items with the names that rules call their columns by."""
    columns = [name for name in table.columns if name.startswith(FOR_RULES)]
    return table.rename({name: name.removeprefix(FOR_RULES) for name in columns})


def user_schema(features: DayFeatures) -> pl.Schema:
    """Return the columns of users that rules may name; a column goes before a favourite of its name."""
    kinds, users = features.items.schema, features.user_schema
    names = [name for name in features.item_features if not kinds[name].is_numeric()]
    favourites = {f"{FAVOURITE}{name}": pl.String() for name in names}
    return pl.Schema({**favourites, **named_for_rules(pl.DataFrame(schema=users)).schema})


def user_columns(features: FeatureTables, names: Sequence[str]) -> pl.DataFrame:
    """Return these columns of the users, one row per internal index."""
    users = named_for_rules(features.users)
    columns = [users[name] if name in users.columns else _favourite(features, name) for name in names]
    return pl.DataFrame(columns)


def _favourite(features: FeatureTables, column: str) -> pl.Series:
    """Return each user's value with the largest share, of equal ones the smallest; null without events."""
    shares = features.affinity.filter(pl.col(FEATURE) == column.removeprefix(FAVOURITE))
    first = shares.sort(USER, SHARE, VALUE, descending=[False, True, False]).unique(
        USER, keep="first", maintain_order=True
    )
    users = pl.DataFrame({USER: pl.arange(0, len(features.users), eager=True, dtype=pl.UInt32)})
    return users.join(first, on=USER, how="left", maintain_order="left")[VALUE].alias(column)

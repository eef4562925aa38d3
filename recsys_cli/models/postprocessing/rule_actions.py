"""From the actions of rules to the arrays that kernels read: factors, limits, needs, pins and quotas."""

from collections.abc import Sequence
from fractions import Fraction
from math import ceil, floor
from typing import Final

import numpy as np
import polars as pl

from recsys_cli.configs.rule_sections import PinAction, Rule
from recsys_cli.models.postprocessing.rule_conditions import ITEMS, check_column
from recsys_cli.models.postprocessing.rule_tables import (
    ItemGroups,
    Limit,
    Need,
    Pin,
    Quota,
    RuleTables,
    bits_of,
)
from recsys_cli.utils.columns import ITEM, ITEM_ID
from recsys_cli.utils.errors import SettingsError

_REMOVING: Final = frozenset({"block", "require", "cooldown"})
_UNBOUNDED: Final = -1
_MOST: Final = 2**31 - 1  # lists
_GROUP: Final = "group"


def rule_place(number: int, rule: Rule, key: str = "") -> str:
    """Return where a rule, or a key of it, stands: its file and line, its number from 1 and its name."""
    origin = f"{rule.origin}: " if rule.origin else ""
    return f"{origin}rule {number + 1}, {rule.name}" + (f": {key}" if key else "")


def rule_tables(rules: Sequence[Rule], items: pl.DataFrame, users_asked: int, list_length: int) -> RuleTables:
    """Return a day's rules as arrays.

    Args:
        items: features of all items, by internal index.
        users_asked: users who get a list: the shares of quotas are of them.
        list_length: places of a list: the shares of pins are of them, and places beyond it are left out.

    Raises: SettingsError for a column that is missing, or a stock that is no number.
    """
    factors = [rule.boost or rule.bury or 1.0 for rule in rules]
    pins = [Pin(number, pin_places(rule.pin, list_length)) for number, rule in enumerate(rules) if rule.pin]
    return RuleTables(
        names=tuple(rule.name for rule in rules),
        removing=bits_of([number for number, rule in enumerate(rules) if rule.action in _REMOVING]),
        factors=np.array(factors, dtype=np.float32),
        limits=tuple(one for number, rule in enumerate(rules) for one in limits_of(number, rule, items)),
        needs=tuple(Need(number, rule.at_least) for number, rule in enumerate(rules) if rule.at_least),
        pins=tuple(pin for pin in pins if pin.places),
        quotas=tuple(
            quota
            for number, rule in enumerate(rules)
            if (quota := quota_of(number, rule, items, users_asked)) is not None
        ),
    )


def pin_places(pin: PinAction, list_length: int) -> tuple[int, ...]:
    """Return the places of a pin, from 1 on, ascending; those of a share lie at even distances.

    Of ten places, a share of 0.2 has the 3rd and the 8th.
    """
    if pin.share is None:
        return tuple(sorted(place for place in pin.places if place <= list_length))
    count = max(1, floor(_exact(pin.share) * list_length + Fraction(1, 2)))
    return tuple((2 * one + 1) * list_length // (2 * count) + 1 for one in range(count))


def item_groups(items: pl.DataFrame, column: str | None) -> ItemGroups:
    """Return the groups of items with the same value in a column; None: one group of all items.

    A missing value is no group; an item with a list is in the group of each of its values.
    """
    if column is None:
        nothing = np.zeros(len(items), dtype=np.int32)
        return ItemGroups(np.arange(len(items) + 1, dtype=np.int64), nothing, ("",))
    values = items.select(pl.col(column).alias(_GROUP)).with_row_index(ITEM)
    if isinstance(items.schema[column], pl.List):
        values = values.explode(_GROUP)
    values = values.with_columns(pl.col(_GROUP).cast(pl.String)).drop_nulls().unique(maintain_order=True)
    names = values[_GROUP].unique().sort()
    codes = values[_GROUP].cast(pl.Enum(names)).to_physical().cast(pl.Int32).to_numpy()
    counts = np.bincount(values[ITEM].to_numpy(), minlength=len(items))
    indptr = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts, dtype=np.int64)])
    return ItemGroups(indptr, codes, tuple(names))


def _each_item(items: pl.DataFrame) -> ItemGroups:
    """Return a group for each item, whose code is the item's index."""
    places = np.arange(len(items) + 1, dtype=np.int64)
    return ItemGroups(places, places[:-1].astype(np.int32), tuple(items[ITEM_ID].cast(pl.String)))


def limits_of(number: int, rule: Rule, items: pl.DataFrame) -> list[Limit]:
    """Return the limits of a rule. Raises: SettingsError for a column that is missing."""
    if rule.one_of is not None:
        check_column(rule.one_of, items.schema, ITEMS, where=rule_place(number, rule, "one_of"))
        return [Limit(number, item_groups(items, rule.one_of), 1)]
    limits = rule.limit or ()
    for one in limits:
        if one.by is not None:
            check_column(one.by, items.schema, ITEMS, where=rule_place(number, rule, "limit"))
    return [Limit(number, item_groups(items, one.by), one.at_most) for one in limits]


def quota_of(number: int, rule: Rule, items: pl.DataFrame, users_asked: int) -> Quota | None:
    """Return the quota of a rule; None: it has none. Raises: SettingsError as `rule_tables`."""
    quota = rule.quota
    if quota is None:
        return None
    where = rule_place(number, rule, "quota")
    if quota.by is not None:
        check_column(quota.by, items.schema, ITEMS, where=where)
    groups = _each_item(items) if quota.by is None else item_groups(items, quota.by)
    at_most = np.full(len(groups.names), _UNBOUNDED, dtype=np.int64)
    if isinstance(quota.at_most_lists, str):
        at_most = _stock(items, quota.at_most_lists, where)
    elif quota.at_most_lists is not None:
        at_most[:] = quota.at_most_lists
    if quota.at_most_share is not None:
        most = max(1, floor(_exact(quota.at_most_share) * users_asked))
        at_most = np.where(at_most == _UNBOUNDED, most, np.minimum(at_most, most))
    least = 0 if quota.at_least_share is None else ceil(_exact(quota.at_least_share) * users_asked)
    return Quota(number, groups, at_most, np.full(len(at_most), least, dtype=np.int64))


def _stock(items: pl.DataFrame, column: str, where: str) -> np.ndarray:
    """Return an upper bound an item, i64: rounded down, 0 if negative, -1 where there is no number."""
    check_column(column, items.schema, ITEMS, where=where)
    if not items.schema[column].is_numeric():
        raise SettingsError(
            f"at_most_lists names the column {column!r} of items, which holds {items.schema[column]}",
            where=where,
            fix="name a column of numbers, or give a number",
        )
    stock = items[column].cast(pl.Float64).fill_nan(None).floor().clip(0, _MOST)
    return stock.cast(pl.Int64).fill_null(_UNBOUNDED).to_numpy()


def _exact(share: float) -> Fraction:
    """Return a share as it is written: 0.07 of 100 users are 7."""
    return Fraction(str(share))

"""Quotas that bound nothing, leave places empty, or ask for more rows than there can be."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys_cli.configs.rule_sections import QuotaAction
from recsys_cli.data_preparation.tables.problems import Problem
from recsys_cli.models.postprocessing.checked_rules import CheckedRules, some_names
from recsys_cli.models.postprocessing.rule_conflicts import group_sizes
from recsys_cli.models.postprocessing.rule_tables import Quota

_KEY = "quota"


@dataclass(frozen=True)
class _Demand:
    """How many rows the lists of a quota's users have, and what they may be filled with.

    Attributes:
        users: with the quota; places: rows of their lists that could be filled without it.
        sizes: i64 a group: its items that may be recommended; free: items that are in no group.
        most: i64 a group: rows that it may have, by its bound and by its items.
    """

    users: int
    places: int
    sizes: np.ndarray
    free: int
    most: np.ndarray


def quota_problems(checked: CheckedRules) -> Iterator[Problem]:
    """Yield what is wrong with the quotas that hold on the day."""
    for quota in checked.bound.tables.quotas:
        rule = checked.rules[quota.rule]
        if rule.quota is None or not rule.holds_on(checked.day):
            continue
        if rule.quota.by is not None and not quota.groups.names:
            what = f"the column {rule.quota.by!r} of items has no value: the quota counts nothing"
            yield checked.problem(quota.rule, _KEY, what, "name a column that has values")
            continue
        demand = _demand(checked, quota)
        of_column = list(_column_problems(checked, quota, rule.quota))
        yield from of_column
        yield from _unmet(checked, quota, rule.quota, demand)
        if not any(one.severity == "warning" for one in of_column):
            yield from _empty_places(checked, quota, demand)


def _demand(checked: CheckedRules, quota: Quota) -> _Demand:
    users, length = checked.users_of(quota.rule), checked.top_k
    sizes, without = group_sizes(quota.groups, checked.offered & checked.meets(quota.rule))
    free = np.count_nonzero(checked.offered & ~checked.meets(quota.rule)) + without
    by_items = users * np.minimum(sizes, length)
    most = np.where(quota.at_most < 0, by_items, np.minimum(quota.at_most, by_items))
    places = users * min(int(np.count_nonzero(checked.offered)), length)
    return _Demand(users, places, sizes, int(free), most)


def _column_problems(checked: CheckedRules, quota: Quota, action: QuotaAction) -> Iterator[Problem]:
    """Yield what is wrong with the numbers of a column of items that bounds them."""
    column, counted = action.at_most_lists, checked.offered & checked.meets(quota.rule)
    if not isinstance(column, str) or not counted.any():
        return
    numbers = checked.items[column].cast(pl.Float64).fill_nan(None).filter(pl.Series(counted))
    known, all_of_them = numbers.drop_nulls(), f"all {len(numbers):,} items that may be recommended"
    fix = f"deliver the numbers of the column {column!r}"
    if known.is_empty():
        what = f"the column {column!r} has no number for {all_of_them}: it bounds nothing"
        yield checked.problem(quota.rule, _KEY, what, fix)
    elif not (known >= 1).any() and len(known) == len(numbers):
        what = f"the column {column!r} is below 1 for {all_of_them}: none of them may be in a list"
        yield checked.problem(quota.rule, _KEY, what, fix)
    elif len(known) < len(numbers):
        missing = len(numbers) - len(known)
        what = f"the column {column!r} has no number for {missing:,} of {len(numbers):,} items: no bound"
        yield checked.problem(quota.rule, _KEY, what, f"{fix}: 0 for items that are sold out", "note")
    if (known < 0).any() and (known >= 1).any():
        what = f"the column {column!r} is negative for {(known < 0).sum():,} items: it counts as 0"
        yield checked.problem(quota.rule, _KEY, what, fix, "note")


def _unmet(checked: CheckedRules, quota: Quota, action: QuotaAction, demand: _Demand) -> Iterator[Problem]:
    """Yield the minima that the lists cannot meet, one by one or together."""
    is_asked = (demand.sizes > 0) | (action.by is not None)
    unmet = np.flatnonzero(is_asked & (quota.at_least > demand.most))
    if len(unmet):
        names = some_names([quota.groups.names[code] for code in unmet])
        least, most = int(quota.at_least[unmet[0]]), int(demand.most[unmet[0]])
        what = (
            f"at_least_share needs {least:,} rows each, and {names} cannot have them: "
            f"{quota.groups.names[unmet[0]]} has {demand.sizes[unmet[0]]:,} items for {most:,} rows at most"
        )
        yield checked.problem(quota.rule, _KEY, what, "lower at_least_share, or narrow the rule by items")
        return
    together = int(quota.at_least[demand.sizes > 0].sum())
    if together > demand.places:
        what = f"at_least_share needs {together:,} rows of all together; the lists have {demand.places:,}"
        yield checked.problem(quota.rule, _KEY, what, "lower at_least_share, or narrow the rule by items")


def _empty_places(checked: CheckedRules, quota: Quota, demand: _Demand) -> Iterator[Problem]:
    """Yield how many places stay empty because the quota's maxima are used up."""
    rows = int(demand.most.sum()) + demand.users * min(demand.free, checked.top_k)
    empty = demand.places - rows
    if empty > 0:
        what = (
            f"its maxima allow {rows:,} rows, and the lists of {demand.users:,} users have {demand.places:,} "
            f"places: {empty:,} stay empty"
        )
        yield checked.problem(quota.rule, _KEY, what, "raise the maxima, or set scoring.top_k lower")

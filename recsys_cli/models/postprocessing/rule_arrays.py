"""A day's rules in the arrays that the kernels of list selection read."""

from collections.abc import Sequence

import numpy as np

from recsys_cli.models.kernels.list_selection import COUNTED, FACTOR, NEED, PIN, Counted, Rules
from recsys_cli.models.postprocessing.rule_tables import Limit, Quota, RuleTables, bits_of


def rules_of(tables: RuleTables, k: int, left: np.ndarray | None, prices: np.ndarray | None) -> Rules:
    """Return the rules that act on lists of k places; places behind are left out.

    Args:
        left, prices: of the groups of all quotas; None: quotas do not hold.
    """
    factors = [(int(rule), float(tables.factors[rule])) for rule in np.flatnonzero(tables.factors != 1.0)]
    needs = [(need.rule, need.at_least, 0, 0) for need in tables.needs]
    pins = [(pin.rule, place) for pin in tables.pins for place in pin.places if place <= k]
    counted = _counted(tables, left, prices)
    rules = [int(row[0]) for row in (*factors, *needs, *pins)] + counted.rules["rule"].tolist()
    return Rules(
        bits_of(rules),
        _records(factors, FACTOR),
        _records(needs, NEED),
        _records(pins, PIN),
        counted,
        len(tables.limits),
    )


def _counted(tables: RuleTables, left: np.ndarray | None, prices: np.ndarray | None) -> Counted:
    """Return limits and quotas together, codes of groups numbered on from rule to rule."""
    rules: list[Limit | Quota] = [*tables.limits, *(tables.quotas if left is not None else ())]
    groups = [rule.groups for rule in rules]
    starts = np.cumsum([0] + [len(one.codes) for one in groups])
    first_codes = np.cumsum([0] + [len(one.names) for one in groups])
    indptr = [one.indptr + start for one, start in zip(groups, starts, strict=False)]
    codes = [one.codes + first for one, first in zip(groups, first_codes, strict=False)]
    full = joined([np.full(len(limit.groups.names), limit.at_most) for limit in tables.limits], np.int64)
    return Counted(
        _records([(rule.rule,) for rule in rules], COUNTED),
        array_of(np.stack(indptr) if indptr else np.zeros((0, 1)), np.int64),
        joined(codes, np.int32),
        full,
        joined([full, *([] if left is None else [left])], np.int64),
        _item_prices(tables, prices),
    )


def _item_prices(tables: RuleTables, prices: np.ndarray | None) -> np.ndarray:
    """Return what a row costs by quota and item: the prices of the item's groups together, f64."""
    if prices is None or not tables.quotas:
        return np.zeros((0, 0))
    costs, first = [], 0
    for quota in tables.quotas:
        sizes, cells = np.diff(quota.groups.indptr), prices[first:][quota.groups.codes]
        costs.append(np.bincount(np.repeat(np.arange(len(sizes)), sizes), cells, minlength=len(sizes)))
        first += len(quota.groups.names)
    return np.stack(costs)


def _records(rows: Sequence[tuple[float, ...]], dtype: np.dtype) -> np.ndarray:
    """Return records of rules: the bit, then the given values, the rule's number first."""
    return np.array([(int(bits_of([int(row[0])])), *row) for row in rows], dtype=dtype)


def joined(arrays: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    """Return a new array of all values."""
    return np.concatenate([np.zeros(0, dtype=dtype), *arrays]).astype(dtype)


def array_of(values: Sequence[int] | np.ndarray, dtype: type) -> np.ndarray:
    """Return an array that kernels take without compiling anew: of this type, contiguous, writable."""
    return np.require(values, dtype=dtype, requirements=["C", "W"])

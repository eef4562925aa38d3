"""Small problems of quotas, made by chance, and their best solution: a linear program, solved by HiGHS."""

import numpy as np
from scipy import sparse
from scipy.optimize import linprog

from recsys_cli.models.postprocessing.allocation import Allocation
from recsys_cli.models.postprocessing.quota_prices import offers_of, quota_bounds
from recsys_cli.models.postprocessing.rule_tables import ItemGroups, Quota, RuleTables
from recsys_cli.models.postprocessing.selection import Shortlist

Problem = tuple[Shortlist, RuleTables, int]
ALL_BITS = ~np.uint64(0)


def each_item(items: int) -> ItemGroups:
    """Return groups of one item each."""
    return ItemGroups(
        np.arange(items + 1), np.arange(items, dtype=np.int32), tuple(f"i{n}" for n in range(items))
    )


def quota(rule: int, groups: ItemGroups, most: dict[int, int], least: dict[int, int] | None = None) -> Quota:
    """Return a quota with bounds of some of the groups."""
    at_most, at_least = np.full(len(groups.names), -1), np.zeros(len(groups.names), dtype=np.int64)
    for bounds, array in ((most, at_most), (least or {}, at_least)):
        for code, rows in bounds.items():
            array[code] = rows
    return Quota(rule, groups, at_most, at_least)


def quota_tables(*quotas: Quota, names: tuple[str, ...] = ("stock", "supplier")) -> RuleTables:
    return RuleTables(names, np.uint64(0), np.ones(len(names), dtype=np.float32), quotas=quotas)


def problem_of(seed: int) -> Problem:
    """Return up to 40 users, 15 items and 4 places, with stock, and at_most and at_least of brands."""
    chance = np.random.default_rng(seed)
    users, items, k = (int(chance.integers(low, high)) for low, high in ((5, 41), (4, 16), (1, 5)))
    lists = [
        np.sort(chance.choice(items, chance.integers(items // 2, items + 1), replace=False))
        for _ in range(users)
    ]
    pairs = np.concatenate(lists).astype(np.int32)
    scores = chance.random(items)[pairs] * chance.random(len(pairs)) + 0.001
    brands = int(chance.integers(2, 5))
    stock = np.where(
        chance.random(items) < 0.7, chance.integers(0, 1 + max(1, 3 * users * k // (2 * items)), items), -1
    )
    brand = ItemGroups(
        np.arange(items + 1), chance.integers(0, brands, items).astype(np.int32), tuple("abcd"[:brands])
    )
    most = np.where(chance.random(brands) < 0.4, chance.integers(1, users * k // brands + 2, brands), -1)
    least = np.zeros(brands, dtype=np.int64)
    if chance.random() < 0.7:
        least[chance.integers(brands)] = chance.integers(1, max(2, users * k // (3 * brands)))
    own = each_item(items)
    tables = quota_tables(Quota(0, own, stock, np.zeros(items, dtype=np.int64)), Quota(1, brand, most, least))
    ends = np.cumsum([0, *map(len, lists)])
    marks, user_marks = np.full(len(pairs), 3, dtype=np.uint64), np.full(users, ALL_BITS)
    return Shortlist(ends, pairs, scores.astype(np.float32), marks, user_marks), tables, k


def best_value(problem: Problem) -> float | None:
    """Return what the best lists are worth, in fractions of rows; None where none keep to the quotas."""
    shortlist, tables, k = problem
    offers, (most, least) = offers_of(shortlist, tables), quota_bounds(tables)
    pairs, users = len(shortlist.items), len(shortlist.user_marks)
    owners = np.repeat(np.arange(users), np.diff(shortlist.indptr))
    lists = sparse.csr_matrix((np.ones(pairs), (owners, np.arange(pairs))), shape=(users, pairs))
    counted = np.ones(len(offers.quotas.codes)), offers.quotas.codes, offers.quotas.indptr
    groups = sparse.csc_matrix(counted, shape=(len(most), pairs)).tocsr()
    capped, needed = np.isfinite(most), least > 0
    rows = sparse.vstack([lists, groups[capped], -groups[needed]])
    bounds = np.concatenate([np.full(users, k), most[capped], -least[needed]])
    found = linprog(-offers.values, rows, bounds, bounds=(0, 1), method="highs")
    return -float(found.fun) if found.status == 0 else None


def value_of(shortlist: Shortlist, allocation: Allocation) -> float:
    rows = allocation.lists.rows
    return float(shortlist.scores[rows[rows >= 0]].sum(dtype=np.float64))


def rows_by_group(tables: RuleTables, allocation: Allocation) -> np.ndarray:
    """Return the rows of each group, counted from the items of the lists; every pair has every bit."""
    items, counts = allocation.lists.items[allocation.lists.items >= 0].tolist(), []
    for one in tables.quotas:
        groups = one.groups
        codes = [
            code for item in items for code in groups.codes[groups.indptr[item] : groups.indptr[item + 1]]
        ]
        counts.append(np.bincount(np.array(codes, dtype=np.int64), minlength=len(groups.names)))
    return np.concatenate(counts)

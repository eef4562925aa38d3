"""Quotas over all users: what is scarce goes where it loses the least, and no bound is ever exceeded."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_cli.models.postprocessing.allocation import Allocation, Allocator
from recsys_cli.models.postprocessing.list_arrays import SECOND_ROUND, SecondRound
from recsys_cli.models.postprocessing.quota_prices import quota_bounds
from recsys_cli.models.postprocessing.quota_room import room_of_items
from recsys_cli.models.postprocessing.rule_tables import ItemGroups, Limit, Need, Pin
from recsys_cli.models.postprocessing.selection import Shortlist
from recsys_cli.models.postprocessing.shortlist_rows import shortlist_of as rows_of_users
from recsys_cli.models.postprocessing.turns import order_of, turns_of
from tests.models.postprocessing.quota_problems import (
    best_value,
    each_item,
    problem_of,
    quota,
    quota_tables,
    rows_by_group,
    value_of,
)
from tests.models.postprocessing.selection_tables import shortlist_of

FIVE = shortlist_of(  # item 0 is everybody's first; what a user loses without it:
    [
        {0: (0.50, 3), 1: (0.45, 3), 2: (0.40, 3)},  # 0.10
        {0: (0.40, 3), 3: (0.30, 3), 4: (0.05, 3)},  # 0.35
        {0: (0.30, 3), 5: (0.28, 3), 6: (0.25, 3)},  # 0.05
        {0: (0.60, 3), 1: (0.20, 3), 7: (0.10, 3)},  # 0.50
        {0: (0.55, 3), 2: (0.50, 3), 3: (0.45, 3)},  # 0.10
    ]
)
SUPPLIERS = ItemGroups(np.arange(9), np.array([0] * 5 + [1] * 3, dtype=np.int32), ("large", "small"))
SUPPLIERS_OF_FOUR = ItemGroups(np.arange(5), np.array([0, 0, 0, 1], dtype=np.int32), ("large", "small"))
DAY = date(2026, 7, 1)


def some_turns(users: int, seed: int = 0) -> np.ndarray:
    return turns_of(pl.Series(range(users)), DAY + timedelta(days=seed))


def lists_of(allocation: Allocation) -> list[list[int]]:
    return [[item for item in row if item >= 0] for row in allocation.lists.items.tolist()]


@pytest.mark.parametrize("seed", range(10))
def test_two_pieces_go_to_the_users_who_lose_most_without_them(seed: int) -> None:
    tables = quota_tables(quota(0, each_item(8), {0: 2}))
    found = Allocator(tables, 2).allocate(FIVE, some_turns(5, seed))
    assert lists_of(found) == [[1, 2], [0, 3], [5, 6], [0, 1], [2, 3]]
    assert (found.account.rows[0], found.account.left[0], found.account.wanted[0]) == (2, 0, 5)


@pytest.mark.parametrize("seed", range(10))
def test_a_suppliers_minimum_is_met_where_it_costs_least(seed: int) -> None:
    tables = quota_tables(quota(1, SUPPLIERS, {}, {1: 3}))
    found = Allocator(tables, 2).allocate(FIVE, some_turns(5, seed))
    assert lists_of(found) == [[0, 1], [0, 3], [5, 6], [0, 7], [0, 2]]


def test_a_suppliers_maximum_and_stock_hold_together() -> None:
    tables = quota_tables(quota(0, each_item(8), {0: 2, 1: 1}), quota(1, SUPPLIERS, {0: 6}))
    found = Allocator(tables, 2).allocate(FIVE, some_turns(5))
    items = [item for row in lists_of(found) for item in row]
    assert items.count(0) == 2 and items.count(1) == 1
    assert sum(item < 5 for item in items) == 6
    best = best_value((FIVE, tables, 2))
    assert best is not None and value_of(FIVE, found) == pytest.approx(best)


def test_without_scarcity_lists_are_those_of_the_scores() -> None:
    tables = quota_tables(quota(0, each_item(8), {0: 5}))
    found = Allocator(tables, 2).allocate(FIVE, some_turns(5))
    assert lists_of(found) == [[0, 1], [0, 3], [0, 5], [0, 1], [0, 2]]
    assert not found.changed.size and not found.account.prices[0].any()


def test_a_pin_takes_the_last_piece_and_never_one_more() -> None:
    tables = replace(quota_tables(quota(0, each_item(8), {0: 2})), pins=(Pin(1, (1,)),))
    pins = FIVE.marks & ~np.where(FIVE.items == 0, np.uint64(0), np.uint64(2))
    turns = some_turns(5)
    found = Allocator(tables, 2).allocate(replace(FIVE, marks=pins), turns)
    holders = [user for user, items in enumerate(lists_of(found)) if 0 in items]
    assert sorted(holders) == sorted(order_of(turns)[:2].tolist())
    assert np.count_nonzero(found.lists.unmet_marks & np.uint64(2)) == 3


def test_linear_programs_agree_on_two_hundred_small_problems() -> None:
    solved = 0
    for seed in range(300):
        shortlist, tables, k = problem_of(seed)
        best = best_value((shortlist, tables, k))
        found = Allocator(tables, k).allocate(shortlist, some_turns(len(shortlist.user_marks), seed))
        used, (most, least) = rows_by_group(tables, found), quota_bounds(tables)
        assert (used <= most).all(), seed
        if best is not None:
            solved += 1
            assert (used >= least).all(), seed
            assert value_of(shortlist, found) >= 0.99 * best, seed
    assert solved >= 200


def test_prices_by_block_lose_little() -> None:
    shares = []
    for seed in range(40):
        shortlist, tables, k = problem_of(1_000 + seed)
        turns = some_turns(len(shortlist.user_marks), seed)
        best = best_value((shortlist, tables, k))
        found = Allocator(tables, k, block=8).allocate(shortlist, turns)
        assert (rows_by_group(tables, found) <= quota_bounds(tables)[0]).all()
        shares += [] if best is None else [value_of(shortlist, found) / best]
    assert np.mean(shares) > 0.93


def test_a_short_list_is_filled_from_the_end_of_its_own_shortlist() -> None:
    """Two users want items 0 and 1, one each; only what else they have can fill the lists."""
    both = shortlist_of([{0: (0.5, 1), 1: (0.4, 1), 2: (0.01, 1)}, {0: (0.5, 1), 1: (0.4, 1), 3: (0.02, 1)}])
    tables = quota_tables(quota(0, each_item(4), dict.fromkeys(range(4), 1)))
    found = Allocator(tables, 3).allocate(both, some_turns(2))
    assert sorted(item for row in lists_of(found) for item in row) == [0, 1, 2, 3]
    assert all(2 in row or 3 in row for row in lists_of(found))


def test_what_is_still_short_is_filled_from_the_second_round_within_limits_and_quotas() -> None:
    """Of items 0 and 3 there is one each; 1 and 2 are of one brand, of which a list may have one."""
    three = shortlist_of([{0: (0.5, 7)}, {0: (0.4, 7)}, {0: (0.3, 7), 1: (0.2, 7)}])
    again = SecondRound(
        np.array([0, 1, 2]),
        shortlist_of([{1: (0.1, 7), 2: (0.2, 7)}, {1: (0.3, 7), 3: (0.4, 7)}, {2: (0.9, 7), 3: (0.1, 7)}]),
        np.zeros(6, dtype=np.int64),
    )
    brands = ItemGroups(np.arange(5), np.array([0, 1, 1, 2], dtype=np.int32), ("a", "b", "c"))
    tables = replace(
        quota_tables(quota(0, each_item(4), {0: 1, 3: 1}), names=("stock", "supplier", "one of a brand")),
        limits=(Limit(2, brands, 1),),
    )
    turns = np.array([1, 2, 3], dtype=np.uint64)
    found = Allocator(tables, 2).allocate(three, turns, lambda _lists, _account: again)
    assert lists_of(found) == [[0, 2], [3, 1], [1]]
    assert found.lists.rows.tolist() == [[0, SECOND_ROUND - 1], [SECOND_ROUND - 3, SECOND_ROUND - 2], [3, -1]]
    assert found.changed.tolist() == [0, 1] and found.account.left.tolist() == [0, -1, -1, 0]


def test_the_room_of_an_item_is_that_of_its_scarcest_group() -> None:
    tables = quota_tables(quota(0, each_item(4), {0: 2, 1: 0, 2: 5}), quota(1, SUPPLIERS_OF_FOUR, {0: 3}))
    of_items = np.array([3, 3, 3, 1], dtype=np.uint64)  # the second quota does not count the last item
    left = np.array([2, 0, 5, -1, 3, 7], dtype=np.int64)
    assert room_of_items(tables, of_items, left).tolist() == [2, 0, 3, np.inf]


def test_over_the_dates_a_low_id_gets_the_last_piece_as_often_as_a_high_one() -> None:
    ten = shortlist_of([{0: (0.5, 1), 1: (0.4, 1)}] * 10)
    tables, counts = quota_tables(quota(0, each_item(2), {0: 1})), np.zeros(10)
    for day in range(600):
        turns = turns_of(pl.Series([f"u{user}" for user in range(10)]), DAY + timedelta(days=day))
        found = Allocator(tables, 1).allocate(ten, turns)
        counts += found.lists.items[:, 0] == 0
    assert counts.sum() == 600
    assert ((counts - 60) ** 2 / 60).sum() < 27.9  # chi-square of 9 degrees: one in a thousand is above


@st.composite
def problems(draw: st.DrawFn) -> tuple[Shortlist, Allocator, np.ndarray]:
    shortlist, tables, k = problem_of(draw(st.integers(0, 10_000)))
    items = len(tables.quotas[0].groups.names)
    marks = np.array(draw(st.lists(st.integers(0, 63), min_size=8, max_size=8)), dtype=np.uint64)[
        np.arange(len(shortlist.items)) % 8
    ] | np.uint64(3)
    limit = Limit(2, each_item(items), draw(st.integers(1, 2)))
    halves = ItemGroups(np.arange(items + 1), np.arange(items, dtype=np.int32) % 2, ("even", "odd"))
    tables = replace(
        tables,
        names=("stock", "supplier", "limit", "pin", "need", "boost"),
        factors=np.array([1, 1, 1, 1, 1, 1.5], dtype=np.float32),
        limits=draw(st.sampled_from([(), (limit,), (Limit(2, halves, 1),)])),
        pins=draw(st.sampled_from([(), (Pin(3, (1,)),), (Pin(3, (2, 3)),)])),
        needs=draw(st.sampled_from([(), (Need(4, 1),)])),
    )
    turns = some_turns(len(shortlist.user_marks), draw(st.integers(0, 50)))
    return replace(shortlist, marks=marks), Allocator(tables, k, block=draw(st.sampled_from([7, 64]))), turns


@settings(max_examples=100, deadline=None)
@given(problems())
def test_no_quota_and_no_limit_is_exceeded_and_no_list_is_shorter_than_it_need_be(
    problem: tuple[Shortlist, Allocator, np.ndarray],
) -> None:
    shortlist, allocator, turns = problem
    found, tables = allocator.allocate(shortlist, turns), allocator.tables
    used = rows_by_group(tables, found)
    assert (used <= quota_bounds(tables)[0]).all()
    assert (used == found.account.rows).all()
    full = np.concatenate([one.at_most for one in tables.quotas])
    assert (np.where(full < 0, -1, full - used) == found.account.left).all()
    for user in range(len(turns)):
        rows = found.lists.rows[user][found.lists.rows[user] >= 0].tolist()
        assert len(set(rows)) == len(rows)
        own = range(shortlist.indptr[user], shortlist.indptr[user + 1])
        assert all(row in own for row in rows)
        assert within_limits(shortlist, allocator, rows)
        if len(rows) < allocator.k:
            rest = [
                row for row in own if row not in rows and has_stock(found, allocator, shortlist.items[row])
            ]
            assert not [row for row in rest if within_limits(shortlist, allocator, [*rows, row])]


def within_limits(shortlist: Shortlist, allocator: Allocator, rows: list[int]) -> bool:
    for limit in allocator.tables.limits:
        counted = [row for row in rows if int(shortlist.marks[row]) >> limit.rule & 1]
        codes = limit.groups.codes[shortlist.items[counted]]
        if len(codes) and np.bincount(codes).max() > limit.at_most:
            return False
    return True


def has_stock(found: Allocation, allocator: Allocator, item: int) -> bool:
    first = 0
    for one in allocator.tables.quotas:
        if found.account.left[first + one.groups.codes[item]] == 0:
            return False
        first += len(one.groups.names)
    return True


@settings(max_examples=60, deadline=None)
@given(problems())
def test_a_user_alone_gets_the_list_of_the_batch_from_prices_and_what_was_sold_out(
    problem: tuple[Shortlist, Allocator, np.ndarray],
) -> None:
    shortlist, allocator, turns = problem
    found = allocator.allocate(shortlist, turns)
    for user in sorted(set(range(len(turns))) - set(found.changed.tolist())):
        alone = np.array([user])
        lists, _ = allocator.replayed(rows_of_users(shortlist, alone), alone, found.account, int(turns[user]))
        rows = np.where(lists.slots[0] < 0, -1, lists.slots[0] + shortlist.indptr[user])
        assert rows.tolist() == found.lists.rows[user].tolist()
        assert lists.placed_by[0].tolist() == found.lists.placed_by[user].tolist()


def test_any_number_of_threads_gives_the_same() -> None:
    shortlist, tables, k = problem_of(3)
    turns = some_turns(len(shortlist.user_marks))
    one, two = (Allocator(tables, k, threads=threads).allocate(shortlist, turns) for threads in (1, 2))
    assert (one.lists.rows == two.lists.rows).all() and (one.account.prices[0] == two.account.prices[0]).all()


def test_nobody_has_nothing() -> None:
    nobody = shortlist_of([])
    found = Allocator(quota_tables(quota(0, each_item(2), {0: 1})), 3).allocate(nobody, some_turns(0))
    assert found.lists.rows.shape == (0, 3)


def test_turns_are_those_of_the_id_and_the_date_alone() -> None:
    whole = turns_of(pl.Series(range(100)), DAY)
    assert (turns_of(pl.Series([str(user) for user in range(40, 60)]), DAY) == whole[40:60]).all()
    assert (
        turns_of(pl.Series(["1", "é", ""]), DAY).tolist() == turns_of(pl.Series(["1", "é", ""]), DAY).tolist()
    )
    assert (whole != turns_of(pl.Series(range(100)), DAY + timedelta(days=1))).all()

"""Random small problems: no rule is broken, and a plain Python choice gives the same lists."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from recsys_cli.models.postprocessing.item_similarity import ItemSimilarity
from recsys_cli.models.postprocessing.rule_tables import Limit, Need, Pin, Quota, RuleTables
from recsys_cli.models.postprocessing.selection import Diversity, Ledger, Shortlist, select_lists
from tests.models.postprocessing.selection_tables import (
    PlainChoice,
    groups_of,
    lists_of,
    shortlist_of,
    tables_of,
)

ITEMS = 10
VECTORS = np.random.default_rng(0).normal(size=(ITEMS, 3)).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)

# rules 0, 1: factors; 2, 3: limits; 4, 5: needs; 6, 7: pins; 8, 9: quotas
RULES = 10
MARKS = st.integers(0, 2**RULES - 1)
ITEM_GROUPS = st.lists(
    st.lists(st.integers(0, 2), max_size=2, unique=True), min_size=ITEMS, max_size=ITEMS
).map(lambda rows: groups_of(*rows[:-1], [0, 1, 2]))
USERS = st.lists(
    st.dictionaries(
        st.integers(0, ITEMS - 1),
        st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.5, 0.8]), MARKS),
        max_size=ITEMS,
    ),
    min_size=1,
    max_size=5,
)


@st.composite
def problems(draw: st.DrawFn) -> tuple[RuleTables, Shortlist, list[dict[int, tuple[float, int]]], int]:
    users, k = draw(USERS), draw(st.integers(1, 6))
    user_marks = draw(st.lists(MARKS, min_size=len(users), max_size=len(users)))
    places = st.lists(st.integers(1, 4), max_size=2, unique=True).map(lambda some: tuple(sorted(some)))
    most = st.lists(st.sampled_from([-1, 0, 1, 3]), min_size=3, max_size=3).map(np.array)
    tables = tables_of(
        *(1.5, 0.5, 1, 1, 1, 1, 1, 1, 1, 1),
        limits=tuple(Limit(rule, draw(ITEM_GROUPS), draw(st.integers(0, 3))) for rule in (2, 3)),
        needs=tuple(Need(rule, draw(st.integers(1, 3))) for rule in (4, 5)),
        pins=tuple(Pin(rule, draw(places)) for rule in (6, 7)),
        quotas=tuple(
            Quota(rule, draw(ITEM_GROUPS), draw(most), np.zeros(3, dtype=np.int64)) for rule in (8, 9)
        ),
    )
    return tables, shortlist_of(users, user_marks), users, k


@settings(max_examples=150, deadline=None)
@given(problems(), st.sampled_from([0.0, 0.3]), st.booleans(), st.randoms(use_true_random=False))
def test_a_plain_choice_gives_the_same_lists(problem, weight, with_ledger, random) -> None:
    tables, shortlist, users, k = problem
    order = list(range(len(users)))
    random.shuffle(order)
    ledger = Ledger.full(tables, np.array(order)) if with_ledger else None
    left = {(q.rule, code): int(n) for q in tables.quotas for code, n in enumerate(q.at_most)}
    expected: dict[int, list[int]] = {}
    unmet: dict[int, int] = {}
    for user in order:
        mark = int(shortlist.user_marks[user])
        plain = PlainChoice(tables, mark, users[user], k, left if with_ledger else None, weight, VECTORS)
        expected[user], unmet[user] = plain.choose()
    diversity = Diversity(ItemSimilarity.of_vectors(VECTORS), weight)
    chosen = select_lists(shortlist, tables, k, diversity, ledger=ledger)
    assert lists_of(shortlist, chosen) == [expected[user] for user in range(len(users))]
    assert chosen.unmet_marks.tolist() == [unmet[user] for user in range(len(users))]
    if ledger is not None:
        assert ledger.left.tolist() == list(left.values())


@settings(max_examples=100, deadline=None)
@given(problems(), st.sampled_from([0.0, 0.3]))
def test_lists_keep_limits_are_distinct_and_maximal(problem, weight) -> None:
    tables, shortlist, users, k = problem
    chosen = select_lists(shortlist, tables, k, Diversity(ItemSimilarity.of_vectors(VECTORS), weight))
    for user, items in enumerate(lists_of(shortlist, chosen)):
        mark = int(shortlist.user_marks[user])
        assert len(set(items)) == len(items) <= k
        for limit in tables.limits:
            counted = [item for item in items if users[user][item][1] & mark & (1 << limit.rule)]
            codes = [limit.groups.codes[slice(*limit.groups.indptr[item : item + 2])] for item in counted]
            assert max(np.bincount(np.concatenate(codes)), default=0) <= limit.at_most if codes else True
        plain = PlainChoice(tables, mark, users[user], k, places=dict(enumerate(items, start=1)))
        assert len(items) == k or not plain.in_order()


@settings(max_examples=100, deadline=None)
@given(problems())
def test_no_quota_is_exceeded_and_cut_pairs_are_not_chosen(problem) -> None:
    tables, shortlist, users, k = problem
    ledger = Ledger.full(tables, np.arange(len(users)))
    chosen = select_lists(shortlist, tables, k, ledger=ledger)
    user_of = np.repeat(np.arange(len(users)), np.diff(shortlist.indptr))
    for quota in tables.quotas:
        marks = shortlist.marks & shortlist.user_marks[user_of]
        rows = [row for row in chosen.rows if int(marks[row]) & (1 << quota.rule)]
        counts = np.zeros(3, dtype=np.int64)
        for item in shortlist.items[rows]:
            counts[quota.groups.codes[slice(*quota.groups.indptr[item : item + 2])]] += 1
        assert all((counts <= quota.at_most) | (quota.at_most < 0))
    assert not set(chosen.cut.rows) & set(chosen.rows)
    free = select_lists(shortlist, tables, k)
    assert set(chosen.cut.rows) <= set(free.rows)


@settings(max_examples=100, deadline=None)
@given(problems(), st.sampled_from([0.0, 0.3]))
def test_a_user_alone_gets_the_list_of_the_batch(problem, weight) -> None:
    tables, shortlist, users, k = problem
    diversity = Diversity(ItemSimilarity.of_vectors(VECTORS), weight)
    batch = lists_of(shortlist, select_lists(shortlist, tables, k, diversity))
    for user, pairs in enumerate(users):
        alone = shortlist_of([pairs], [int(shortlist.user_marks[user])])
        assert lists_of(alone, select_lists(alone, tables, k, diversity)) == [batch[user]]

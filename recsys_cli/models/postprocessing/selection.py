"""Choose each user's list from scored pairs by a day's rules: a function of the shortlist alone.

Without a ledger a user's list does not depend on the other users.
"""

from dataclasses import dataclass

import numpy as np

from recsys_cli.models.kernels.list_selection import (
    PAIR,
    SLOT,
    Lists,
    Rules,
    ScoredPairs,
    Similarity,
    choose_lists,
    mark_boosts,
    order_pairs,
    take_best_scores,
)
from recsys_cli.models.postprocessing.item_similarity import ItemSimilarity
from recsys_cli.models.postprocessing.rule_arrays import array_of, joined, rules_of
from recsys_cli.models.postprocessing.rule_tables import PlacedBy, RuleTables
from recsys_cli.utils.parallel import chunks_of, map_in_threads

_BLOCK = 512  # users whose pairs are ordered together: they fit in the processor's cache
_BY_VALUE = (PlacedBy.SCORE, PlacedBy.BOOST, PlacedBy.DIVERSITY)
_NO_ROWS = (np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))


@dataclass(frozen=True)
class Shortlist:
    """Scored pairs of some users that no rule removes, in any order within a user; an item once a user.

    Attributes:
        indptr: i64; the pairs indptr[u]:indptr[u + 1] are those of user u.
        items: i32, scores: f32, published probabilities, marks: u64; by pair.
        user_marks: u64 by user; a pair's mark counts where its user has it as well.
    """

    indptr: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    marks: np.ndarray
    user_marks: np.ndarray


@dataclass(frozen=True)
class Diversity:
    """Choose by (1 - weight) x value / best value - weight x similarity to the nearest chosen item."""

    similarity: ItemSimilarity
    weight: float


@dataclass(frozen=True)
class Explored:
    """Pairs drawn to be explored.

    Attributes:
        rows: (users, slots) i64, positions in the shortlist, -1 for none.
        places: (users, slots), from 1 on; a place that is taken moves to the next free one.
    """

    rows: np.ndarray
    places: np.ndarray


@dataclass(frozen=True)
class Ledger:
    """What the quotas of the tables cost and have left, by group code, one quota after another.

    Attributes:
        prices: f32, taken off the value of a pair for each group that it counts for.
        left: i64, rows; -1: no bound. It falls with each row that is chosen.
        order: i64, the users in the order in which they get their lists; users that are not in it get none.
        threads: that order the pairs of users while the lists of others are chosen.
    """

    prices: np.ndarray
    left: np.ndarray
    order: np.ndarray
    threads: int = 1

    @classmethod
    def full(cls, tables: RuleTables, order: np.ndarray) -> "Ledger":
        """Return a ledger without prices, of which nothing is taken."""
        left = joined([quota.at_most for quota in tables.quotas], np.int64)
        return cls(np.zeros(len(left), dtype=np.float32), left, order)


@dataclass(frozen=True)
class Cuts:
    """Pairs that would be in a list without quotas and that a quota refused.

    Attributes:
        indptr: i64, by user; rows: i64, positions in the shortlist.
        ranks: u16, in the list without quotas; rules: i8, the quota that had none left.
    """

    indptr: np.ndarray
    rows: np.ndarray
    ranks: np.ndarray
    rules: np.ndarray


@dataclass(frozen=True)
class Chosen:
    """The lists, by user and rank.

    Attributes:
        indptr: i64; rows[indptr[u]:indptr[u + 1]] are those of user u.
        rows: i64, positions in the shortlist; ranks: u16, from 1.
        placed_by: u8, a PlacedBy; rules: i8, the number of the rule that placed the row, or -1; of QUOTA
            rows the quota that first had none left for the user, or -1.
        unmet_marks: u64 by user: the pins and needs that are not met in full.
        cut: what quotas cut off.
    """

    indptr: np.ndarray
    rows: np.ndarray
    ranks: np.ndarray
    placed_by: np.ndarray
    rules: np.ndarray
    unmet_marks: np.ndarray
    cut: Cuts

    def unmet(self, num_rules: int) -> np.ndarray:
        """Return for each rule the number of users whose list does not meet it in full, i64."""
        bits = (np.uint64(1) << np.uint64(rule) for rule in range(num_rules))
        return np.array([np.count_nonzero(self.unmet_marks & bit) for bit in bits], dtype=np.int64)


def select_lists(
    shortlist: Shortlist,
    tables: RuleTables,
    k: int,
    diversity: Diversity | None = None,
    explored: Explored | None = None,
    ledger: Ledger | None = None,
) -> Chosen:
    """Choose at most k rows for each user: pins, then explored pairs, then the best that limits allow.

    Args:
        k: places of a list, from 1; pins to places behind are left out.
        ledger: without it, quotas do not hold; with it, `ledger.left` falls with each row.
    """
    rules = rules_of(tables, k, *((None, None) if ledger is None else (ledger.left, ledger.prices)))
    threads = 1 if ledger is None else ledger.threads
    problem = _Problem(_scored(shortlist, explored), rules, _similarity(diversity), k, threads)
    order = array_of(np.arange(len(shortlist.user_marks)) if ledger is None else ledger.order, np.int64)
    lists = problem.choose(order, len(rules.counted.rules))
    mark_boosts(problem.scored, order, rules.factors, k, lists)
    cut = _compare(lists, problem.choose(np.flatnonzero(lists.touched), rules.limits))
    if ledger is not None:
        ledger.left[:] = rules.counted.left[len(rules.counted.full) :]
    full = lists.rows >= 0
    indptr = _lengths(full, lists.offsets)
    ranks = np.arange(1, indptr[-1] + 1) - np.repeat(indptr[:-1], np.diff(indptr))
    return Chosen(
        indptr,
        lists.rows[full],
        ranks.astype(np.uint16),
        lists.reasons[full],
        lists.rules[full],
        lists.unmet,
        cut,
    )


@dataclass(frozen=True)
class _Problem:
    """What the kernels read, the number of places, and the threads that order pairs."""

    scored: ScoredPairs
    rules: Rules
    similarity: Similarity
    k: int
    threads: int

    def choose(self, users: np.ndarray, count: int) -> Lists:
        """Return the lists of users, chosen in this order; the first `count` limits and quotas hold."""
        ruled = self._ruled()[users]
        lists = _empty_lists(self.scored.indptr, self.k)
        take_best_scores(self.scored, users[~ruled], self.k, lists)
        users, sizes = users[ruled], np.diff(self.scored.indptr)
        slots = np.empty(self.k, dtype=SLOT)

        def ordered(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            pairs = np.empty(sizes[block].sum(), dtype=PAIR)
            order_pairs(self.scored, block, self.rules, count, pairs, lists)
            return block, pairs

        blocks = chunks_of(users, _BLOCK)
        alone = self.threads == 1
        for block, pairs in map(ordered, blocks) if alone else map_in_threads(ordered, blocks, self.threads):
            choose_lists(self.scored, block, pairs, self.rules, count, self.similarity, slots, lists)
        return lists

    def _ruled(self) -> np.ndarray:
        """Return by user whether anything but scores decides."""
        if self.similarity.weight > 0.0:
            return np.ones(len(self.scored.user_marks), dtype=np.bool_)
        explores: np.ndarray = np.any(self.scored.explored >= 0, axis=1)
        explores |= (self.scored.user_marks & self.rules.acting) != 0
        return explores


def _empty_lists(indptr: np.ndarray, k: int) -> Lists:
    sizes = np.minimum(np.diff(indptr), k)
    offsets = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes, dtype=np.int64)])
    rows = offsets[-1]
    return Lists(
        offsets,
        np.full(rows, -1, dtype=np.int64),
        np.zeros(rows, dtype=np.uint8),
        np.full(rows, -1, dtype=np.int8),
        np.zeros(len(sizes), dtype=np.uint64),
        np.zeros(len(sizes), dtype=np.bool_),
        np.full(indptr[-1], -1, dtype=np.int8),
    )


def _compare(lists: Lists, without: Lists) -> Cuts:
    """Mark rows that are in a list because of quotas alone, and return what quotas cut off.

    Args:
        without: the lists of the touched users without quotas.
    """
    is_cut = without.rows >= 0
    is_cut[is_cut] = lists.sold_out[without.rows[is_cut]] >= 0
    indptr = _lengths(is_cut, lists.offsets)
    users = np.repeat(np.arange(len(lists.unmet)), np.diff(lists.offsets))
    cut_rows, cut_ranks = without.rows[is_cut], np.flatnonzero(is_cut) - lists.offsets[users[is_cut]] + 1
    cuts = Cuts(indptr, cut_rows, cut_ranks.astype(np.uint16), lists.sold_out[cut_rows])
    in_both = np.zeros(len(lists.sold_out) + 1, dtype=np.bool_)  # row -1: the last
    in_both[without.rows] = True
    by_quota = (
        (lists.rows >= 0) & lists.touched[users] & ~in_both[lists.rows] & np.isin(lists.reasons, _BY_VALUE)
    )
    lists.reasons[by_quota] = PlacedBy.QUOTA
    rules = np.append(cuts.rules, np.int8(-1))
    has_cut = np.diff(indptr) > 0
    lists.rules[by_quota] = rules[np.where(has_cut, indptr[:-1], len(rules) - 1)][users[by_quota]]
    return cuts


def _lengths(is_there: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the indptr of the rows that are there."""
    ends: np.ndarray = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(is_there)])
    return np.take(ends, offsets)


def _scored(shortlist: Shortlist, explored: Explored | None) -> ScoredPairs:
    none = np.full((len(shortlist.indptr) - 1, 0), -1, dtype=np.int64)
    return ScoredPairs(
        array_of(shortlist.indptr, np.int64),
        array_of(shortlist.items, np.int32),
        array_of(shortlist.scores, np.float32),
        array_of(shortlist.marks, np.uint64),
        array_of(shortlist.user_marks, np.uint64),
        none if explored is None else array_of(explored.rows, np.int64),
        none if explored is None else array_of(explored.places, np.int64),
    )


def _similarity(diversity: Diversity | None) -> Similarity:
    if diversity is None or diversity.weight == 0.0:
        return Similarity(0, 0.0, np.zeros((0, 0), dtype=np.float32), *_NO_ROWS, _NO_ROWS[2])
    form, weight = diversity.similarity, float(diversity.weight)
    scratch = np.zeros(form.width, dtype=np.float32)
    return Similarity(int(form.form), weight, form.vectors, form.indptr, form.indices, form.data, scratch)

"""Choose each user's list from scored pairs by a day's rules: a function of the shortlist alone.

Without a ledger a user's list does not depend on the other users.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys_cli.models.kernels import list_selection as kernels
from recsys_cli.models.postprocessing.item_similarity import ItemSimilarity
from recsys_cli.models.postprocessing.rule_tables import ItemGroups, Limit, Quota, RuleTables, bits_of

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
        order: i64, the users in the order in which they are served.
    """

    prices: np.ndarray
    left: np.ndarray
    order: np.ndarray

    @classmethod
    def full(cls, tables: RuleTables, order: np.ndarray) -> "Ledger":
        """Return a ledger without prices, of which nothing is taken."""
        left = _joined([quota.at_most for quota in tables.quotas], np.int64)
        return cls(np.zeros(len(left), dtype=np.float32), left, order)


@dataclass(frozen=True)
class Chosen:
    """The lists, by user and rank.

    Attributes:
        indptr: i64; rows[indptr[u]:indptr[u + 1]] are those of user u.
        rows: i64, positions in the shortlist; ranks: u16, from 1.
        placed_by: u8, a PlacedBy; rules: i8, the number of the rule that placed the row, or -1.
        unmet_marks: u64 by user: the pins and needs that are not met in full.
        cut_indptr, cut_rows, cut_ranks, cut_rules: by user, the pairs that would be in the list, at which rank,
            without quotas, and the quota that had none left.
    """

    indptr: np.ndarray
    rows: np.ndarray
    ranks: np.ndarray
    placed_by: np.ndarray
    rules: np.ndarray
    unmet_marks: np.ndarray
    cut_indptr: np.ndarray
    cut_rows: np.ndarray
    cut_ranks: np.ndarray
    cut_rules: np.ndarray

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
        ledger: without it, quotas do not hold; with it, `ledger.left` falls with each row.
    """
    users = len(shortlist.indptr) - 1
    order = np.arange(users) if ledger is None else ledger.order
    lists = kernels.choose_lists(
        _pairs(shortlist, explored),
        _rules(tables, k, ledger),
        _similarity(diversity),
        _array(order, np.int64),
        k,
        ledger is not None and len(tables.quotas) > 0,
    )
    indptr = _lengths(lists.rows, lists.offsets)
    cut_indptr = _lengths(lists.cut_rows, lists.offsets)
    full, cut = lists.rows >= 0, lists.cut_rows >= 0
    ranks = np.arange(1, indptr[-1] + 1) - np.repeat(indptr[:-1], np.diff(indptr))
    return Chosen(
        indptr,
        lists.rows[full],
        ranks.astype(np.uint16),
        lists.placed_by[full],
        lists.rules[full],
        lists.unmet,
        cut_indptr,
        lists.cut_rows[cut],
        lists.cut_ranks[cut],
        lists.cut_rules[cut],
    )


def _lengths(rows: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return the indptr of the rows that are there."""
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(rows >= 0)])[offsets]


def _pairs(shortlist: Shortlist, explored: Explored | None) -> kernels.Pairs:
    none = np.full((len(shortlist.indptr) - 1, 0), -1, dtype=np.int64)
    return kernels.Pairs(
        _array(shortlist.indptr, np.int64),
        _array(shortlist.items, np.int32),
        _array(shortlist.scores, np.float32),
        _array(shortlist.marks, np.uint64),
        _array(shortlist.user_marks, np.uint64),
        none if explored is None else _array(explored.rows, np.int64),
        none if explored is None else _array(explored.places, np.int64),
    )


def _rules(tables: RuleTables, k: int, ledger: Ledger | None) -> kernels.Rules:
    boosts = np.flatnonzero(tables.factors != 1.0)
    need_rules = [need.rule for need in tables.needs]
    pins = [(pin.rule, place) for pin in tables.pins for place in pin.places if place <= k]
    pin_rules = [rule for rule, _ in pins]
    quotas = tables.quotas if ledger is not None else ()
    grouped = [*need_rules, *pin_rules, *(limit.rule for limit in tables.limits), *(one.rule for one in quotas)]
    return kernels.Rules(
        tables.boosting | bits_of(grouped),
        _bits(boosts),
        _array(tables.factors[boosts], np.float64),
        _array(boosts, np.int64),
        _bits(need_rules),
        _array([need.at_least for need in tables.needs], np.int64),
        _array(need_rules, np.int64),
        _bits(pin_rules),
        _array([place for _, place in pins], np.int64),
        _array(pin_rules, np.int64),
        _grouped(tables.limits),
        _joined([np.full(len(limit.groups.names), limit.at_most) for limit in tables.limits], np.int64),
        _grouped(quotas),
        _array(ledger.prices if ledger else [], np.float32),
        ledger.left if ledger else np.zeros(0, dtype=np.int64),
    )


def _grouped(rules: Sequence[Limit | Quota]) -> kernels.Grouped:
    """Return the groups of several rules in the arrays of one, codes numbered on from rule to rule."""
    numbers = [rule.rule for rule in rules]
    groups: list[ItemGroups] = [rule.groups for rule in rules]
    starts = np.cumsum([0] + [len(one.codes) for one in groups])
    first_codes = np.cumsum([0] + [len(one.names) for one in groups])
    indptr = [one.indptr + start for one, start in zip(groups, starts, strict=False)]
    codes = [one.codes + first for one, first in zip(groups, first_codes, strict=False)]
    return kernels.Grouped(
        _bits(numbers),
        _array(numbers, np.int64),
        _array(np.stack(indptr) if indptr else np.zeros((0, 1)), np.int64),
        _joined(codes, np.int32),
    )


def _similarity(diversity: Diversity | None) -> kernels.Similarity:
    if diversity is None or diversity.weight == 0.0:
        return kernels.Similarity(0, 0.0, np.zeros((0, 0), dtype=np.float32), *_NO_ROWS, 0)
    form = diversity.similarity
    return kernels.Similarity(
        int(form.form), float(diversity.weight), form.vectors, form.indptr, form.indices, form.data, form.width
    )


def _bits(rules: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.uint64(1) << _array(rules, np.uint64)


def _joined(arrays: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return _array(np.concatenate(arrays) if arrays else [], dtype)


def _array(values: Sequence[int] | np.ndarray, dtype: type) -> np.ndarray:
    """Return an array that kernels take without compiling anew: of this type, contiguous, writable."""
    return np.require(values, dtype=dtype, requirements=["C", "W"])

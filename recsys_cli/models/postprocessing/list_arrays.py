"""Lists in arrays of equal width: those of a block of users, and of all users, filled in any order."""

from dataclasses import dataclass

import numpy as np

from recsys_cli.models.postprocessing.rule_tables import NO_RULE, PlacedBy
from recsys_cli.models.postprocessing.selection import Chosen, Shortlist

NO_ROW, SECOND_ROUND = -1, -2  # of a free place; row r of the second round is SECOND_ROUND - r
_BY_VALUE = (PlacedBy.SCORE, PlacedBy.BOOST, PlacedBy.QUOTA)


@dataclass(frozen=True)
class BlockLists:
    """Lists of some users by place, (users, k): rows of their shortlist, NO_ROW where free, and why."""

    slots: np.ndarray
    placed_by: np.ndarray
    rules: np.ndarray

    @classmethod
    def of(cls, chosen: Chosen, k: int) -> "BlockLists":
        """Return the chosen lists."""
        shape = len(chosen.indptr) - 1, k
        lists = cls(
            np.full(shape, NO_ROW, dtype=np.int64),
            np.zeros(shape, dtype=np.uint8),
            np.full(shape, NO_RULE, dtype=np.int8),
        )
        at = cells_of(chosen.indptr)
        lists.slots[at], lists.placed_by[at], lists.rules[at] = chosen.rows, chosen.placed_by, chosen.rules
        return lists

    def by_value(self, values: np.ndarray) -> "BlockLists":
        """Return the lists with the rows that no other rule placed in the order of their values, best first.

        Args:
            values: by row of the shortlist, without prices: these decide who gets a row, not its rank.
        """
        free = np.isin(self.placed_by, _BY_VALUE) & (self.slots >= 0)
        keys = np.full(self.slots.shape, -np.inf)
        keys[free] = values[self.slots[free]]
        order, places = np.argsort(-keys, axis=1, kind="stable"), np.argsort(~free, axis=1, kind="stable")
        moved = BlockLists(self.slots.copy(), self.placed_by.copy(), self.rules.copy())
        for ours, theirs in zip((moved.slots, moved.placed_by, moved.rules), self.arrays, strict=True):
            np.put_along_axis(ours, places, np.take_along_axis(theirs, order, axis=1), axis=1)
        return moved

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The three arrays."""
        return self.slots, self.placed_by, self.rules


@dataclass(frozen=True)
class AllocatedLists:
    """Lists of all users by place; the places of a list are filled from the first on.

    Attributes:
        rows: (users, k) i64, rows of the shortlists of all; NO_ROW: free; less: of the second round's.
        items: i32, -1 where free; placed_by: u8; rules: i8, the rule that placed the row, or NO_RULE.
        cut_rows, cut_rules: (users, k) pairs that would be in the list but were sold out, NO_ROW after the
            last, and the quota that was; cut_ranks: u16, at which rank they would be.
        unmet_marks: u64 by user: pins and needs that are not met in full.
    """

    rows: np.ndarray
    items: np.ndarray
    placed_by: np.ndarray
    rules: np.ndarray
    cut_rows: np.ndarray
    cut_ranks: np.ndarray
    cut_rules: np.ndarray
    unmet_marks: np.ndarray

    @classmethod
    def empty(cls, users: int, k: int) -> "AllocatedLists":
        """Return lists of which every place is free."""
        return cls(
            np.full((users, k), NO_ROW, dtype=np.int64),
            np.full((users, k), NO_ROW, dtype=np.int32),
            np.zeros((users, k), dtype=np.uint8),
            np.full((users, k), NO_RULE, dtype=np.int8),
            np.full((users, k), NO_ROW, dtype=np.int64),
            np.zeros((users, k), dtype=np.uint16),
            np.full((users, k), NO_RULE, dtype=np.int8),
            np.zeros(users, dtype=np.uint64),
        )

    @property
    def sizes(self) -> np.ndarray:
        """The rows of each list, i64."""
        return np.asarray(np.count_nonzero(self.rows != NO_ROW, axis=1))

    def unmet(self, users: slice, rules: int) -> np.ndarray:
        """Return for how many of these users each rule could not be met, i64."""
        return count_bits(self.unmet_marks[users], rules)

    def put(self, users: np.ndarray, lists: BlockLists, shortlist: Shortlist, indptr: np.ndarray) -> None:
        """Write the lists of some users, i64.

        Args:
            shortlist: of these users; indptr: of the shortlists of all.
        """
        shift = (indptr[users] - shortlist.indptr[:-1])[:, None]
        there = lists.slots >= 0
        self.rows[users] = np.where(there, lists.slots + shift, NO_ROW)
        self.items[users] = np.where(there, shortlist.items[lists.slots * there], NO_ROW)
        self.placed_by[users], self.rules[users] = lists.placed_by, lists.rules

    def put_cuts(self, users: np.ndarray, chosen: Chosen, shortlist: Shortlist, indptr: np.ndarray) -> None:
        """Write what quotas cut off from the lists of some users, i64, and what of their rules is not met."""
        owners, places = cells_of(chosen.cut.indptr)
        at = users[owners], places
        self.cut_rows[at] = chosen.cut.rows + (indptr[users] - shortlist.indptr[:-1])[owners]
        self.cut_ranks[at], self.cut_rules[at] = chosen.cut.ranks, chosen.cut.rules
        self.unmet_marks[users] = chosen.unmet_marks


@dataclass(frozen=True)
class SecondRound:
    """What users whose lists are short may have beside their shortlists.

    Attributes:
        users: their places among all users, ascending, i64; shortlists: theirs.
        sources: of each pair, bits.
    """

    users: np.ndarray
    shortlists: Shortlist
    sources: np.ndarray


def count_bits(marks: np.ndarray, rules: int) -> np.ndarray:
    """Return how many marks have the bit of each rule, i64."""
    bits = (np.uint64(1) << np.uint64(rule) for rule in range(rules))
    return np.array([np.count_nonzero(marks & bit) for bit in bits], dtype=np.int64)


def cells_of(indptr: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the owner of each row, as in a CSR matrix, and its place among the owner's rows."""
    owners = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))
    return owners, np.arange(indptr[-1]) - indptr[owners]

"""How far rules reach: which items they meet, and leave, for some of the users."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from recsys_cli.models.candidates.protocol import Pairs
from recsys_cli.models.postprocessing.rule_binding import BoundRules
from recsys_cli.models.postprocessing.rule_tables import bits_of
from recsys_cli.utils.columns import ITEM, USER

_MOST_PAIRS: Final = 8_000_000  # that are looked at where rules depend on the pair: a second or two
_PAIRS: Final = 1_000_000  # in memory at a time


@dataclass(frozen=True)
class RuleReach:
    """What rules meet of the items that some users may get and have not seen.

    Attributes:
        bound: the rules with these users; rows: theirs among the bound ones, ascending.
        items, left: i64 a user: such items, and those of them that no rule removes.
        met, open: i64 (users, rules): the same of the items that a rule meets.
        overlap: the most rules of `at_least` that one item meets for a user, at least 1.
    """

    bound: BoundRules
    rows: np.ndarray
    items: np.ndarray
    left: np.ndarray
    met: np.ndarray
    open: np.ndarray
    overlap: int

    def __len__(self) -> int:
        return len(self.rows)

    def holds(self, rule: int) -> np.ndarray:
        """Return, bool, for which of the users a rule's `when` holds."""
        return np.asarray((self.bound.of_users[self.rows] & bits_of([rule])) != 0)

    def remover(self, user: int, items: np.ndarray, rule: int | None = None) -> int:
        """Return the rule that removes the most of these items for a user, the first of equal ones.

        Args:
            rule: count the items alone that it meets.
        """
        marks = self.bound.marks(self.rows[[user]], _each_with(1, items))
        if rule is not None:
            marks = marks[(marks & bits_of([rule])) != 0]
        removing = self.bound.tables.removing
        counts = [
            np.count_nonzero(marks & removing & bits_of([one])) for one in range(len(self.bound.tables.names))
        ]
        return int(np.argmax(counts))


def rule_reach(bound: BoundRules, items: np.ndarray, seen: pl.DataFrame) -> RuleReach:
    """Count what rules meet and remove for users; for fewer of them where that takes very many pairs.

    Args:
        items: that may be recommended, i32, ascending.
        seen: user and item, u32, by user: what users do not get again.
    """
    users = len(bound.of_users)
    rows = np.arange(users, dtype=np.uint32)
    if bound.tests:
        rows = _spread(users, max(1, _MOST_PAIRS // max(len(items), 1)))
        kinds, kind_of = rows, np.arange(len(rows))
    else:  # users with the same bits have the same pairs
        _, first, kind_of = np.unique(bound.of_users, return_index=True, return_inverse=True)
        kinds = first.astype(np.uint32)
    counts = [_counts(bound, some, _each_with(len(some), items)) for some in _chunks(kinds, len(items))]
    all_items = np.concatenate([one for one, _ in counts])[kind_of]
    counted = all_items - _counts(bound, rows, _seen_pairs(seen, rows, items, users))[0]
    rules = len(bound.tables.names)
    overlap = max([1, *(most for _, most in counts)])
    met, left = counted[:, 2:], counted[:, 1]
    return RuleReach(bound, rows, counted[:, 0], left, met[:, :rules], met[:, rules:], overlap)


def _spread(users: int, most: int) -> np.ndarray:
    """Return so many of the users, at even distances, u32."""
    return np.unique(np.linspace(0, users - 1, min(users, most)).astype(np.uint32))


def _chunks(users: np.ndarray, items: int) -> Iterator[np.ndarray]:
    size = max(1, _PAIRS // max(items, 1))
    return (users[first : first + size] for first in range(0, max(len(users), 1), size))


def _each_with(users: int, items: np.ndarray) -> Pairs:
    indptr = np.arange(users + 1, dtype=np.int64) * len(items)
    return Pairs(indptr, np.tile(items.astype(np.int32), users))


def _seen_pairs(seen: pl.DataFrame, rows: np.ndarray, items: np.ndarray, users: int) -> Pairs:
    """Return what these users have seen of the items."""
    places = np.full(users, -1, dtype=np.int64)
    places[rows] = np.arange(len(rows))
    owners, what = places[seen[USER].to_numpy()], seen[ITEM].to_numpy().astype(np.int32)
    own = (owners >= 0) & np.isin(what, items)
    lengths = np.bincount(owners[own], minlength=len(rows))
    return Pairs(np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths)]), what[own])


def _counts(bound: BoundRules, users: np.ndarray, pairs: Pairs) -> tuple[np.ndarray, int]:
    """Return i64 (users, 2 + 2 * rules): the items of a user, those left, and both of each rule.

    Returns beside it the most rules of `at_least` that a pair that is left meets.
    """
    marks, tables = bound.marks(users, pairs), bound.tables
    left = (marks & tables.removing) == 0
    bits = [(marks & bits_of([rule])) != 0 for rule in range(len(tables.names))]
    columns = [np.ones(len(marks), dtype=np.bool_), left, *bits, *(bit & left for bit in bits)]
    owners = pairs.rows
    counts = np.zeros((len(users), len(columns)), dtype=np.int64)
    for place, column in enumerate(columns):
        counts[:, place] = np.bincount(owners[column], minlength=len(users))
    needs = bits_of([need.rule for need in tables.needs])
    return counts, int(np.bitwise_count(marks[left] & needs).max(initial=0))

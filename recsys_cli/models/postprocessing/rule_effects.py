"""What each rule changes and costs: the lists of some users beside those that they would have without it."""

from dataclasses import dataclass, replace

import numpy as np

from recsys_cli.models.postprocessing.day_lists import UserLists
from recsys_cli.models.postprocessing.lists import ChosenLists, ListLimits, choose_lists
from recsys_cli.models.postprocessing.rule_tables import bits_of
from recsys_cli.models.reranking.ranker import BoundRanker
from recsys_cli.models.two_stage import BoundDay

_SIZE = 2**32  # more than there are items


@dataclass(frozen=True)
class Effect:
    """How lists differ from those without a rule, over some users.

    Attributes:
        lists, rows: that differ; takes: the sum of the probabilities that the rule adds; below 0: that it
            takes away.
    """

    lists: int
    rows: int
    takes: float

    def __add__(self, other: "Effect") -> "Effect":
        return Effect(self.lists + other.lists, self.rows + other.rows, self.takes + other.takes)


@dataclass(frozen=True)
class Effects:
    """The effects of each rule and of all together.

    Attributes:
        users: who were looked at; rows, takes: of their lists without any rule.
    """

    users: int
    rows: int
    takes: float
    rules: tuple[Effect, ...]
    together: Effect

    def __add__(self, other: "Effects") -> "Effects":
        return Effects(
            self.users + other.users,
            self.rows + other.rows,
            self.takes + other.takes,
            tuple(one + two for one, two in zip(self.rules, other.rules, strict=True)),
            self.together + other.together,
        )


def effects_of_rules(users: np.ndarray, day: BoundDay, ranker: BoundRanker, limits: ListLimits) -> Effects:
    """Return what each rule changes in the lists of users, one by one, and what all change together.

    Args:
        users: internal indices, u32, ascending.
        day: with lists.
    """
    assert day.lists is not None
    now = _rows(choose_lists(users, day, ranker, limits))
    plain = _rows(choose_lists(users, replace(day, lists=None), ranker, limits))
    effects = []
    for rule in range(len(day.lists.tables.names)):
        without = replace(day, lists=_without(day.lists, rule))
        effects.append(_effect(now, _rows(choose_lists(users, without, ranker, limits)), limits.top_k))
    total = float(plain.scores.sum())
    return Effects(len(users), len(plain.keys), total, tuple(effects), _effect(now, plain, limits.top_k))


def _without(lists: UserLists, rule: int) -> UserLists:
    return replace(lists, off=bits_of([rule]))


@dataclass(frozen=True)
class _Rows:
    """Rows of lists: user x 2^32 + item, ascending, and their scores and ranks."""

    keys: np.ndarray
    scores: np.ndarray
    ranks: np.ndarray


def _rows(pieces: list[ChosenLists]) -> _Rows:
    frames = [piece.rows() for piece in pieces]
    users, items, scores, ranks = (np.concatenate(columns) for columns in zip(*frames, strict=True))
    keys = users.astype(np.int64) * _SIZE + items
    order = np.argsort(keys)
    return _Rows(keys[order], scores[order].astype(np.float64), ranks[order])


def _effect(now: _Rows, before: _Rows, k: int) -> Effect:
    """Return how the rows differ, in items or ranks."""
    mine, theirs = (one.keys * k + one.ranks for one in (now, before))
    changed = np.union1d(np.setdiff1d(mine, theirs), np.setdiff1d(theirs, mine)) // k // _SIZE
    rows = len(np.setdiff1d(now.keys, before.keys))
    return Effect(len(np.unique(changed)), rows, float(now.scores.sum() - before.scores.sum()))

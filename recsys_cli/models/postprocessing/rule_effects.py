"""What each rule changes and costs: the lists of some users beside those that they would have without it."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from recsys_cli.models.postprocessing.day_lists import UserLists
from recsys_cli.models.postprocessing.lists import ListLimits, choose_lists, top_lists
from recsys_cli.models.postprocessing.rule_tables import bits_of
from recsys_cli.models.reranking.ranker import BoundRanker
from recsys_cli.models.two_stage import BoundDay, Ranked, rank_users
from recsys_cli.utils.columns import ITEM, RANK, SCORE, USER

_UNITS = 2**32  # of a probability


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
    lists = day.lists
    assert lists is not None

    def listed(lists: UserLists | None, ranked: Ranked | None = None) -> pl.DataFrame:
        chosen = choose_lists(users, replace(day, lists=lists), ranker, limits, ranked)
        return top_lists(chosen, limits.top_k).select(USER, ITEM, RANK, SCORE)

    ranked = rank_users(users, day, ranker, limits.shortlist)
    now, plain = listed(lists, ranked), listed(None)
    effects = []
    for rule in range(len(lists.tables.names)):
        bit = bits_of([rule])
        is_same = not lists.tables.of_candidates & bit  # they are the same without the rule
        effects.append(_effect(now, listed(replace(lists, off=bit), ranked if is_same else None)))
    return Effects(len(users), len(plain), _takes(plain), tuple(effects), _effect(now, plain))


def _effect(now: pl.DataFrame, before: pl.DataFrame) -> Effect:
    """Return how lists differ from those before, in items or ranks."""
    cells = [USER, ITEM, RANK]
    changed = pl.concat(
        [now.join(before, on=cells, how="anti")[USER], before.join(now, on=cells, how="anti")[USER]]
    )
    rows = len(now.join(before, on=[USER, ITEM], how="anti"))
    return Effect(changed.n_unique(), rows, _takes(now) - _takes(before))


def _takes(lists: pl.DataFrame) -> float:
    """Return the sum of the probabilities, each in multiples of 2^-32: exact, whatever the order."""
    return float((lists[SCORE].cast(pl.Float64) * _UNITS).round().sum() / _UNITS)

"""What rules did to a user's list: the ranker's own list, and what became of each of its items."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from recsys_cli.models.candidates.protocol import Pairs
from recsys_cli.models.postprocessing.day_lists import UserLists
from recsys_cli.models.postprocessing.lists import ChosenLists
from recsys_cli.models.postprocessing.rule_tables import NO_RULE, Limit, PlacedBy, RuleTables
from recsys_cli.models.postprocessing.sold_out import SoldOut
from recsys_cli.models.two_stage import ALONE, Ranked
from recsys_cli.utils.columns import ITEM, PLACED_BY, PROPENSITY, RANK, RULE, SCORE


@dataclass(frozen=True)
class ListedRow:
    """Why an item stands in its place.

    Attributes:
        placed_by: as in the file; rule: its name, empty for none.
        propensity: the chance with which exploration drew it; None: it was not drawn.
    """

    item: int
    placed_by: str
    rule: str
    propensity: float | None


@dataclass(frozen=True)
class EarlierRow:
    """An item of the list that the ranker alone would give.

    Attributes:
        rank: there; now: in the list, None where it is no longer in it.
        rule: the rule that removed or outranked it; empty where it is still in the list.
    """

    item: int
    rank: int
    score: float
    now: int | None
    rule: str


@dataclass(frozen=True)
class UserRules:
    """A user's list, with what rules say of any item.

    Attributes:
        lists: of this user alone, as chosen; None: there is nothing behind the ranker.
        plain: the candidates of the ranker without any rule.
        sold_out: what quotas cut off from the list, by item.
    """

    chosen: ChosenLists
    plain: Ranked
    top_k: int
    sold_out: Mapping[int, SoldOut] = field(default_factory=dict)

    @property
    def lists(self) -> UserLists | None:
        """What chooses."""
        return self.chosen.lists

    def listed(self) -> list[ListedRow]:
        """Return the rows of the list, in order."""
        top = self.chosen.top(self.top_k)
        if self.lists is None:
            return [ListedRow(item, PlacedBy.SCORE.name.lower(), "", None) for item in top[ITEM].to_list()]
        names = {NO_RULE: "", **dict(enumerate(self.lists.tables.names))}
        drawn = top[PROPENSITY].to_list() if PROPENSITY in top.columns else [None] * len(top)
        return [
            ListedRow(item, PlacedBy(code).name.lower(), names[rule], chance)
            for item, code, rule, chance in zip(
                top[ITEM].to_list(), top[PLACED_BY].to_list(), top[RULE].to_list(), drawn, strict=True
            )
        ]

    def before(self) -> list[EarlierRow]:
        """Return the list that the ranker alone would give, and what became of each item."""
        if self.lists is None:
            return []
        now = {row.item: rank for rank, row in enumerate(self.listed(), start=1)}
        top = self.plain.top(self.top_k)
        rows = zip(*(top[name].to_list() for name in (ITEM, RANK, SCORE)), strict=True)
        return [
            EarlierRow(item, rank, score, now.get(item), "" if item in now else self.why_not(item))
            for item, rank, score in rows
        ]

    def removed_by(self, items: list[int]) -> list[str]:
        """Return the rule that keeps each item from the user whatever its score is; empty for none."""
        if self.lists is None:
            return [""] * len(items)
        tables = self.lists.tables
        removing = self._marks(items) & tables.removing
        return [next(_names(int(bits), tables), "") for bits in removing]

    def why_not(self, item: int) -> str:
        """Return what removed or outranked an item: the name of a rule, or of a setting; empty for none."""
        lists = self.lists
        if lists is None:
            return ""
        (removed,) = self.removed_by([item])
        if removed:
            return removed
        if item in self.sold_out:
            return self.sold_out[item].rule
        tables, marks = lists.tables, int(self._marks([item])[0])
        full = next((tables.names[one.rule] for one in tables.limits if self._is_full(one, item, marks)), "")
        lowered = [r for r in range(len(tables.names)) if marks >> r & 1 and tables.factors[r] < 1]
        dear = [tables.names[one.rule] for one in tables.quotas if marks >> one.rule & 1]
        taken = [
            row.rule or row.placed_by for row in self.listed() if row.placed_by != PlacedBy.SCORE.name.lower()
        ]
        return full or next(iter([*(tables.names[one] for one in lowered), *dear, *taken[-1:]]), "")

    def _is_full(self, limit: Limit, item: int, marks: int) -> bool:
        """Return whether a limit has no room left for an item."""
        if not marks >> limit.rule & 1:
            return False
        codes = _codes(limit, item)
        listed = [row.item for row in self.listed()]
        bits = self._marks(listed) >> np.uint64(limit.rule) & np.uint64(1)
        counted = [code for one, bit in zip(listed, bits, strict=True) if bit for code in _codes(limit, one)]
        return any(counted.count(code) >= limit.at_most for code in codes)

    def _marks(self, items: list[int]) -> np.ndarray:
        assert self.lists is not None
        pairs = Pairs(np.array([0, len(items)], dtype=np.int64), np.array(items, dtype=np.int32))
        return self.lists.marks(ALONE, pairs)


def _codes(limit: Limit, item: int) -> list[int]:
    groups = limit.groups
    return list(map(int, groups.codes[groups.indptr[item] : groups.indptr[item + 1]]))


def _names(bits: int, tables: RuleTables) -> Iterator[str]:
    for rule, name in enumerate(tables.names):
        if bits >> rule & 1:
            yield name

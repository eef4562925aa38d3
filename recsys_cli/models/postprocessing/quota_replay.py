"""One user's list as quotas left it: chosen again from what had been sold out at the user's turn."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recsys_cli.models.postprocessing.day_allocation import allocator_of
from recsys_cli.models.postprocessing.day_lists import UserLists
from recsys_cli.models.postprocessing.list_arrays import NO_ROW
from recsys_cli.models.postprocessing.lists import ChosenLists, shortlist_of
from recsys_cli.models.postprocessing.quota_account import QuotaAccount
from recsys_cli.models.postprocessing.quota_pairs import quota_pairs
from recsys_cli.models.postprocessing.rule_tables import NO_RULE, PlacedBy, RuleTables
from recsys_cli.models.postprocessing.selection import Chosen, Shortlist
from recsys_cli.models.postprocessing.sold_out import SoldOut
from recsys_cli.models.two_stage import ALONE, Ranked


@dataclass(frozen=True)
class QuotaReplay:
    """What quotas made of a user's list.

    Attributes:
        sold_out: by item.
    """

    lists: ChosenLists
    sold_out: Mapping[int, SoldOut]


@dataclass(frozen=True)
class PublishedList:
    """The published list of a user that was changed after the user's turn.

    Attributes:
        items: internal indices, the best first.
        ranked, lists: the user's candidates, with all these items among them.
    """

    items: Sequence[int]
    ranked: Ranked
    lists: UserLists

    @property
    def rows(self) -> np.ndarray:
        """The rows of the items among the scored pairs, i64; what a rule removes now is left out."""
        shortlist, rows = shortlist_of(ALONE, self.ranked, self.lists)
        where = {int(item): int(row) for item, row in zip(shortlist.items, rows, strict=True)}
        return np.array([where[item] for item in self.items if item in where], dtype=np.int64)


def replay(
    ranked: Ranked, lists: UserLists, account: QuotaAccount, published: PublishedList | None
) -> QuotaReplay:
    """Return the list of the only user of `lists`, by the account of the published lists.

    Args:
        published: where the list was changed after the user's turn; None: it was not.
    """
    shortlist, rows = quota_pairs(ALONE, ranked, lists)
    user, allocator = ALONE.astype(np.int64), allocator_of(lists.day)
    block, chosen = allocator.replayed(shortlist, user, account, int(lists.turns[0]))
    there = block.slots[0] != NO_ROW
    slots, placed_by, rules = (one[0][there] for one in block.arrays)
    own = _list_of(chosen, rows[slots], placed_by, rules)
    found, items = ChosenLists(ALONE, ranked, lists, own), shortlist.items[slots]
    if published is not None:
        found, items = _changed(found, items, published)
    free = allocator.without_quotas(shortlist, user)
    is_lost = np.isin(shortlist.items[free.rows], items, invert=True)
    lost = {int(row): rank for rank, row in enumerate(free.rows, start=1) if is_lost[rank - 1]}
    return QuotaReplay(_named(found), _sold_out(lost, shortlist, lists, account))


def _list_of(chosen: Chosen, rows: np.ndarray, placed_by: np.ndarray, rules: np.ndarray) -> Chosen:
    """Return the same with another list of the only user."""
    return replace(
        chosen,
        indptr=np.array([0, len(rows)], dtype=np.int64),
        rows=rows,
        ranks=np.arange(1, len(rows) + 1, dtype=np.uint16),
        placed_by=placed_by,
        rules=rules,
    )


def _changed(
    found: ChosenLists, items: np.ndarray, published: PublishedList
) -> tuple[ChosenLists, np.ndarray]:
    """Return the published list and its items; why those of the replay are there stays known."""
    assert found.chosen is not None
    before = zip(found.chosen.placed_by.tolist(), found.chosen.rules.tolist(), strict=True)
    known, ranked, rows = dict(zip(items.tolist(), before, strict=True)), published.ranked, published.rows
    now = ranked.candidates.pairs.items[ranked.scored.rows[rows]]
    reasons = [known.get(item, (int(PlacedBy.QUOTA), NO_RULE)) for item in now.tolist()]
    placed_by = np.array([by for by, _ in reasons], dtype=np.uint8)
    rules = np.array([rule for _, rule in reasons], dtype=np.int8)
    chosen = _list_of(found.chosen, rows, placed_by, rules)
    return ChosenLists(ALONE, ranked, published.lists, chosen), now


def _named(found: ChosenLists) -> ChosenLists:
    """Return the list whose rows that a quota moved up have its name, if it is the only quota."""
    assert found.lists is not None and found.chosen is not None
    quotas, chosen = found.lists.tables.quotas, found.chosen
    if len(quotas) != 1:
        return found
    moved = (chosen.placed_by == PlacedBy.QUOTA) & (chosen.rules == NO_RULE)
    rules = np.where(moved, np.int8(quotas[0].rule), chosen.rules)
    return replace(found, chosen=replace(chosen, rules=rules))


def _sold_out(
    lost: Mapping[int, int], shortlist: Shortlist, lists: UserLists, account: QuotaAccount
) -> dict[int, SoldOut]:
    """Return what quotas cut off from the list, by item: it is sold out, or goes to whom it is worth more.

    Args:
        lost: rows of the shortlist that the list would have without quotas, with their ranks.
    """
    found = {}
    for row, rank in lost.items():
        item, mark = int(shortlist.items[row]), int(shortlist.marks[row])
        scarce = list(_groups_of(item, mark, lists.tables, account))
        if scarce:
            rule, code = max(scarce, key=lambda pair: account.is_sold_out[pair[1]])
            found[item] = SoldOut(rank, lists.tables.names[rule], int(account.rows[code]))
    return found


def _groups_of(item: int, mark: int, tables: RuleTables, account: QuotaAccount) -> Iterator[tuple[int, int]]:
    """Yield the number of each quota and the code of each scarce group that an item counts for."""
    first, scarce = 0, account.is_sold_out | (np.max(account.prices, axis=0, initial=0.0) > 0)
    for quota in tables.quotas:
        groups = quota.groups
        if mark >> quota.rule & 1:
            for code in groups.codes[groups.indptr[item] : groups.indptr[item + 1]]:
                if scarce[first + code]:
                    yield quota.rule, first + int(code)
        first += len(groups.names)

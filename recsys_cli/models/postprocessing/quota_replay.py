"""One user's list as quotas left it: chosen again from what had been sold out at the user's turn."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from recsys_cli.models.postprocessing.day_lists import UserLists
from recsys_cli.models.postprocessing.list_arrays import NO_ROW
from recsys_cli.models.postprocessing.lists import ChosenLists, allocator_of
from recsys_cli.models.postprocessing.quota_account import QuotaAccount
from recsys_cli.models.postprocessing.quota_pairs import quota_pairs
from recsys_cli.models.postprocessing.rule_tables import NO_RULE, PlacedBy, RuleTables
from recsys_cli.models.postprocessing.selection import Shortlist
from recsys_cli.models.two_stage import Ranked


@dataclass(frozen=True)
class SoldOut:
    """An item that the user would have had, but for a quota.

    Attributes:
        rank: that it would have; rule: the quota's name; rows: of all lists that the item, or its group, has.
    """

    rank: int
    rule: str
    rows: int


@dataclass(frozen=True)
class QuotaReplay:
    """What quotas made of a user's list.

    Attributes:
        sold_out: by item.
    """

    lists: ChosenLists
    sold_out: Mapping[int, SoldOut]


def replay(
    ranked: Ranked, lists: UserLists, account: QuotaAccount, published: Sequence[int] | None
) -> QuotaReplay:
    """Return the list of the only user of `lists`, by the account of the published lists.

    Args:
        published: items of the published list where it was changed after the user's turn; None: it was not.
    """
    alone = np.zeros(1, dtype=np.uint32)
    shortlist, rows = quota_pairs(alone, ranked, lists)
    allocator = allocator_of(lists.day)
    block, chosen = allocator.replayed(shortlist, alone.astype(np.int64), account, int(lists.turns[0]))
    slots, places, rules = block.slots[0], block.placed_by[0], block.rules[0]
    if published is not None:
        slots, places, rules = _as_published(published, shortlist, (slots, places, rules))
    free = allocator.without_quotas(shortlist, alone.astype(np.int64))
    lost = {int(row): rank for rank, row in enumerate(free.rows, start=1) if row not in slots}
    there = slots != NO_ROW
    count = int(there.sum())
    if len(lists.tables.quotas) == 1:
        moved = (places == PlacedBy.QUOTA) & (rules == NO_RULE)
        rules = np.where(moved, np.int8(lists.tables.quotas[0].rule), rules)
    own = replace(
        chosen,
        indptr=np.array([0, count], dtype=np.int64),
        rows=rows[slots[there]],
        ranks=np.arange(1, count + 1, dtype=np.uint16),
        placed_by=places[there],
        rules=rules[there],
    )
    return QuotaReplay(ChosenLists(alone, ranked, lists, own), _sold_out(lost, shortlist, lists, account))


Slots = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows, placed_by and rules, by place


def _as_published(published: Collection[int], shortlist: Shortlist, replayed: Slots) -> Slots:
    """Return the published items as rows of the shortlist; why those of the replay are there stays known."""
    known = {int(row): (by, rule) for row, by, rule in zip(*replayed, strict=True) if row != NO_ROW}
    where = {int(item): row for row, item in enumerate(shortlist.items)}
    rows = [where[item] for item in published if item in where]
    reasons = [known.get(row, (PlacedBy.QUOTA, NO_RULE)) for row in rows]
    return (
        np.array(rows, dtype=np.int64),
        np.array([by for by, _ in reasons], dtype=np.uint8),
        np.array([rule for _, rule in reasons], dtype=np.int8),
    )


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

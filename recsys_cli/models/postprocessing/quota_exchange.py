"""Improve the lists of some users by exchanges of what is scarce."""

import numpy as np

from recsys_cli.models.kernels import quota_demand
from recsys_cli.models.kernels.quota_exchange import Lists, Market, exchange
from recsys_cli.models.postprocessing.list_arrays import BlockLists
from recsys_cli.models.postprocessing.quota_account import QuotaAccount
from recsys_cli.models.postprocessing.rule_tables import NO_RULE, PlacedBy, RuleTables, bits_of
from recsys_cli.models.postprocessing.selection import Shortlist

_DEPTH, _WORK = 8, 3_000_000  # swaps of a chain, and pairs that are looked at: tenths of a second
_DIRECT_WORK = 100_000_000  # for single swaps, where a quota lacks rows
_FIXED = (PlacedBy.PIN, PlacedBy.DIVERSITY, PlacedBy.EXPLORE)
_NO_BOUND = np.int64(2**62)


def exchanged(
    shortlist: Shortlist,
    offers: quota_demand.Offers,
    tables: RuleTables,
    account: QuotaAccount,
    lists: BlockLists,
) -> tuple[BlockLists, np.ndarray]:
    """Let users exchange rows of their lists for others; return the lists, and which of them changed.

    `account` changes with them. Rows that pins, diversity or exploration placed stay.

    Args:
        shortlist, offers: of these users.
    """
    inside = np.zeros(len(shortlist.items), dtype=np.bool_)
    inside[lists.slots[lists.slots >= 0]] = True
    before = inside.copy()
    left = np.where(account.left < 0, _NO_BOUND, account.left)
    slots = lists.slots.copy()
    held = Lists(slots, np.isin(lists.placed_by, _FIXED), inside, left, account.lacking)
    market, changed = _market(shortlist, offers, tables, account.prices[-1]), np.zeros(
        len(slots), dtype=np.bool_
    )
    if (held.lacking > 0).any():
        changed |= exchange(market, held, 1, _DIRECT_WORK)
    changed |= exchange(market, held, _DEPTH, _WORK)
    account.left[:] = np.where(account.left < 0, account.left, held.left)
    account.rows[:] = account.at_least - held.lacking
    return _described(lists, held.slots, before).by_value(offers.values), changed


def _market(
    shortlist: Shortlist, offers: quota_demand.Offers, tables: RuleTables, prices: np.ndarray
) -> Market:
    marks = shortlist.marks & np.repeat(shortlist.user_marks, np.diff(shortlist.indptr))
    return Market(
        shortlist.indptr,
        offers.values,
        shortlist.items,
        *offers.quotas,
        *offers.limits,
        offers.at_most,
        marks & bits_of([need.rule for need in tables.needs]),
        prices.astype(np.float64),
        1.0 + 64.0 * float(offers.values.max(initial=0.0)),  # more than a chain can cost
    )


def _described(lists: BlockLists, slots: np.ndarray, before: np.ndarray) -> BlockLists:
    """Return the new lists without gaps; rows that were in none have QUOTA as what placed them."""
    new = (slots >= 0) & ~before[np.maximum(slots, 0)]
    placed_by, rules = np.zeros_like(lists.placed_by), np.full_like(lists.rules, NO_RULE)
    order = np.argsort(slots < 0, axis=1, kind="stable")
    same = slots == lists.slots
    placed_by[same], rules[same] = lists.placed_by[same], lists.rules[same]
    placed_by[new] = PlacedBy.QUOTA
    found = (np.take_along_axis(one, order, axis=1) for one in (slots, placed_by, rules))
    return BlockLists(*found)

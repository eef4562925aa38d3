"""Fill short lists from what quotas have left: first from each user's shortlist, then with popular items."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from recsys_cli.models.candidates.protocol import Pairs
from recsys_cli.models.kernels.quota_demand import Offers
from recsys_cli.models.kernels.quota_fill import fill_lists
from recsys_cli.models.postprocessing.list_arrays import LEFTOVER, NO_ROW, AllocatedLists, cells_of
from recsys_cli.models.postprocessing.quota_account import QuotaAccount, codes_of
from recsys_cli.models.postprocessing.quota_groups import groups_of_rules
from recsys_cli.models.postprocessing.quota_prices import offers_of
from recsys_cli.models.postprocessing.rule_tables import PlacedBy, RuleTables
from recsys_cli.models.postprocessing.selection import Shortlist
from recsys_cli.models.postprocessing.shortlist_rows import shortlist_of
from recsys_cli.utils.parallel import chunks_of

_USERS, _WINDOW = 4_096, 64  # at a time, and the leftovers that they are offered at a time

Allowed = Callable[[np.ndarray, Pairs], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Leftovers:
    """Items that short lists are filled with where their stock lasts.

    Attributes:
        items: i32, in the order in which they are offered: by popularity.
        allowed: for users, i64, and pairs of theirs: whether the user may have each, as it is not seen and no
            rule removes it, and the marks of each, u64.
    """

    items: np.ndarray
    allowed: Allowed


@dataclass(frozen=True)
class Filling:
    """What short lists are filled with; `lists` and `account` change.

    Attributes:
        shortlists: of all users.
    """

    tables: RuleTables
    shortlists: Shortlist
    account: QuotaAccount
    lists: AllocatedLists

    def fill(self, order: np.ndarray, leftovers: Leftovers | None) -> np.ndarray:
        """Fill short lists at their ends, users in this order; return which of all lists changed."""
        before = self.lists.sizes
        for users in chunks_of(order.astype(np.int64), _USERS):
            short = self._short(users)
            if len(short):
                shortlist = shortlist_of(self.shortlists, short)
                shift = (self.shortlists.indptr[short] - shortlist.indptr[:-1])[:, None]
                rows = self.lists.rows[short]
                slots = np.where(rows >= 0, rows - shift, NO_ROW)
                self._add(short, shortlist, offers_of(shortlist, self.tables), slots, shift)
        for users in chunks_of(order.astype(np.int64), _USERS):
            if leftovers is not None:
                self._offer(self._short(users), leftovers)
        return np.asarray(self.lists.sizes > before)

    def _short(self, users: np.ndarray) -> np.ndarray:
        return np.asarray(users[self.lists.rows[users, -1] == NO_ROW])

    def _offer(self, users: np.ndarray, leftovers: Leftovers) -> None:
        """Offer items to users of short lists, a window of items after the other."""
        start = 0
        while len(users) and start < len(leftovers.items):
            here = np.flatnonzero(self._in_stock(users, leftovers.items[start:]))[:_WINDOW]
            if len(here) == 0:
                return
            pairs, sizes = _listed_and_offered(self.lists.items[users], leftovers.items[start:][here])
            allowed, marks = leftovers.allowed(users, pairs)
            self._add_offered(users, pairs, sizes, allowed, marks)
            users, start = self._short(users), start + int(here[-1]) + 1

    def _in_stock(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return which items no quota that holds for all these users has sold out."""
        held = np.bitwise_and.reduce(self.shortlists.user_marks[users])
        quotas = groups_of_rules(self.tables.quotas)
        stocked = np.ones(len(items), dtype=np.bool_)
        sold = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(self.account.left[quotas.codes] == 0)])
        for indptr, bit in zip(quotas.indptr, quotas.bits, strict=True):
            if held & bit:
                stocked &= sold[indptr[items + 1]] == sold[indptr[items]]
        return stocked

    def _add_offered(
        self, users: np.ndarray, pairs: Pairs, sizes: np.ndarray, allowed: np.ndarray, marks: np.ndarray
    ) -> None:
        """Add offered pairs; the first `sizes` pairs of each user are those of the list."""
        owners, places = cells_of(pairs.indptr)
        listed = places < sizes[owners]
        stays = listed | allowed
        ends = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(stays)])[pairs.indptr]
        order = -places[stays].astype(np.float32)
        shown = Shortlist(ends, pairs.items[stays], order, marks[stays], self.shortlists.user_marks[users])
        offers = offers_of(shown, self.tables)._replace(values=order.astype(np.float64))
        columns = np.arange(self.lists.rows.shape[1])
        slots = np.where(columns < sizes[:, None], ends[:-1, None] + columns, NO_ROW)
        self._add(users, shown, offers, slots, None)

    def _add(
        self, users: np.ndarray, shown: Shortlist, offers: Offers, slots: np.ndarray, shift: np.ndarray | None
    ) -> None:
        """Add the best pairs that are shown to users to their lists; without a shift they are leftovers."""
        account, lists = self.account, self.lists
        quotas, limits = (*offers.quotas, account.left), (*offers.limits, offers.at_most)
        fill_lists(offers.values, offers.indptr, quotas, limits, slots)
        new = (slots >= 0) & (lists.rows[users] == NO_ROW)
        owners, places = np.nonzero(new)
        at = users[owners], places
        lists.rows[at] = LEFTOVER if shift is None else slots[new] + shift[owners, 0]
        lists.items[at], lists.placed_by[at] = shown.items[slots[new]], PlacedBy.QUOTA
        account.rows += np.bincount(codes_of(offers.quotas, slots[new])[0], minlength=len(account.rows))


def _listed_and_offered(listed: np.ndarray, items: np.ndarray) -> tuple[Pairs, np.ndarray]:
    """Return for each user the items of the list and then those that are offered, and the lists' sizes."""
    sizes = np.count_nonzero(listed >= 0, axis=1)
    offered = np.broadcast_to(items, (len(listed), len(items)))
    new = ~(offered[:, :, None] == listed[:, None, :]).any(axis=2)
    both = np.concatenate([listed, np.where(new, offered, NO_ROW)], axis=1)
    ends = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(np.count_nonzero(both >= 0, axis=1))])
    return Pairs(ends, both[both >= 0].astype(np.int32)), sizes

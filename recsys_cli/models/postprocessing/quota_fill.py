"""Fill short lists from what quotas have left: from their users' shortlists, then from a second round's."""

from dataclasses import dataclass

import numpy as np

from recsys_cli.models.kernels.quota_fill import fill_lists
from recsys_cli.models.postprocessing.list_arrays import NO_ROW, SECOND_ROUND, AllocatedLists, SecondRound
from recsys_cli.models.postprocessing.quota_account import QuotaAccount, codes_of
from recsys_cli.models.postprocessing.quota_prices import offers_of
from recsys_cli.models.postprocessing.rule_tables import PlacedBy, RuleTables
from recsys_cli.models.postprocessing.selection import Shortlist
from recsys_cli.models.postprocessing.shortlist_rows import shortlist_of
from recsys_cli.utils.parallel import chunks_of

_USERS = 4_096  # at a time


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

    def fill(self, order: np.ndarray) -> np.ndarray:
        """Fill short lists at their ends, users in this order; return which of all lists changed."""
        before = self.lists.sizes
        for users in chunks_of(order.astype(np.int64), _USERS):
            short = users[self.lists.rows[users, -1] == NO_ROW]
            if len(short):
                self._add(short, shortlist_of(self.shortlists, short))
        return np.asarray(self.lists.sizes > before)

    def fill_again(self, order: np.ndarray, second: SecondRound) -> np.ndarray:
        """Fill what is still short from the second round, users in this order; return which lists changed."""
        before = self.lists.sizes
        places = np.full(len(order), -1, dtype=np.int64)
        places[second.users] = np.arange(len(second.users))
        for users in chunks_of(order[places[order] >= 0].astype(np.int64), _USERS):
            shown = shortlist_of(second.shortlists, places[users])
            self._add_more(users, shown, second.shortlists.indptr[places[users]])
        return np.asarray(self.lists.sizes > before)

    def _add_more(self, users: np.ndarray, shown: Shortlist, starts: np.ndarray) -> None:
        """Add the best pairs of a second round; those of each user begin at `starts` of its shortlists."""
        lists, own = self.lists, shortlist_of(self.shortlists, users)
        shift = (self.shortlists.indptr[users] - own.indptr[:-1])[:, None]
        listed = lists.rows[users] >= 0
        both = _one_after_the_other(own, np.where(listed, lists.rows[users] - shift, NO_ROW), shown)
        slots = np.where(listed, both.indptr[:-1, None] + np.arange(listed.shape[1]), NO_ROW)
        owners, places, new = self._fill(both, slots, ~listed)
        firsts = both.indptr[:-1] + listed.sum(axis=1) - starts
        self._put((users[owners], places), SECOND_ROUND - (new - firsts[owners]), both.items[new])

    def _add(self, users: np.ndarray, shown: Shortlist) -> None:
        """Add the best pairs that are left to the lists of these users; `shown`: their shortlists."""
        lists = self.lists
        shift = (self.shortlists.indptr[users] - shown.indptr[:-1])[:, None]
        slots = np.where(lists.rows[users] >= 0, lists.rows[users] - shift, NO_ROW)
        owners, places, new = self._fill(shown, slots, slots < 0)
        self._put((users[owners], places), new + shift[owners, 0], shown.items[new])

    def _fill(
        self, shown: Shortlist, slots: np.ndarray, free: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Fill slots; return whose they are, which places and with which pairs, of those that were free."""
        account, offers = self.account, offers_of(shown, self.tables)
        quotas, limits = (*offers.quotas, account.left), (*offers.limits, offers.at_most)
        fill_lists(offers.values, offers.indptr, quotas, limits, slots)
        owners, places = np.nonzero((slots >= 0) & free)
        new = slots[owners, places]
        account.rows += np.bincount(codes_of(offers.quotas, new)[0], minlength=len(account.rows))
        return owners, places, new

    def _put(self, at: tuple[np.ndarray, np.ndarray], rows: np.ndarray, items: np.ndarray) -> None:
        lists = self.lists
        lists.rows[at], lists.items[at], lists.placed_by[at] = rows, items, PlacedBy.QUOTA


def _one_after_the_other(own: Shortlist, slots: np.ndarray, shown: Shortlist) -> Shortlist:
    """Return for each user the pairs of its list, then those that are shown.

    Args:
        slots: (users, k) rows of `own` that are listed, NO_ROW after the last.
    """
    listed, sizes = slots >= 0, np.count_nonzero(slots >= 0, axis=1)
    more = np.diff(shown.indptr)
    ends = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes + more, dtype=np.int64)])
    first = (ends[:-1, None] + np.arange(slots.shape[1]))[listed]
    second = np.arange(shown.indptr[-1]) + np.repeat(ends[:-1] + sizes - shown.indptr[:-1], more)

    def merged(mine: np.ndarray, theirs: np.ndarray) -> np.ndarray:
        values = np.empty(ends[-1], dtype=mine.dtype)
        values[first], values[second] = mine[slots[listed]], theirs
        return values

    pairs = zip((own.items, own.scores, own.marks), (shown.items, shown.scores, shown.marks), strict=True)
    items, scores, marks = (merged(mine, theirs) for mine, theirs in pairs)
    return Shortlist(ends, items, scores, marks, own.user_marks)

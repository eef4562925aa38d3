"""Allocate what is scarce over all users: lists that keep to the quotas and lose the least expected takes.

Users are taken in the order of their turns, in blocks. Each block has prices, at which its users together
take their share of what is left. Those of the last block exchange rows; short lists are filled at the end.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from recsys_cli.models.kernels.quota_demand import Offers
from recsys_cli.models.postprocessing.list_arrays import AllocatedLists, BlockLists, SecondRound, cells_of
from recsys_cli.models.postprocessing.quota_account import QuotaAccount, codes_of
from recsys_cli.models.postprocessing.quota_exchange import exchanged
from recsys_cli.models.postprocessing.quota_fill import Filling
from recsys_cli.models.postprocessing.quota_prices import Demand, offers_of, quota_prices
from recsys_cli.models.postprocessing.rule_tables import RuleTables
from recsys_cli.models.postprocessing.selection import Chosen, Ledger, Shortlist, select_lists
from recsys_cli.models.postprocessing.shortlist_rows import shortlist_of
from recsys_cli.models.postprocessing.turns import order_of
from recsys_cli.utils.progress import Progress, no_progress

BLOCK = 32_768  # users

Choose = Callable[
    [Shortlist, np.ndarray, Ledger], Chosen
]  # by the shortlists of users, the users, the ledger

RankAgain = Callable[[AllocatedLists, QuotaAccount], SecondRound | None]


def _nothing_more(_lists: AllocatedLists, _account: QuotaAccount) -> None:
    return None


@dataclass(frozen=True)
class Allocation:
    """Lists that keep to the quotas, the account of the quotas, and whose list prices alone do not explain.

    Attributes:
        changed: u32, users, ascending, whose list has rows that an exchange or the fill gave it.
        second: what the second round had for the rows that it gave; None: there was none.
    """

    lists: AllocatedLists
    account: QuotaAccount
    changed: np.ndarray
    second: SecondRound | None = None


@dataclass(frozen=True)
class Allocator:
    """How lists are allocated.

    Attributes:
        k: places of a list.
        choose: chooses the lists of some users, as `select_lists` does, which it is for None.
        block: users with prices of their own.
    """

    tables: RuleTables
    k: int
    choose: Choose | None = None
    threads: int = 1
    block: int = BLOCK

    def allocate(
        self,
        shortlists: Shortlist,
        turns: np.ndarray,
        second_round: RankAgain = _nothing_more,
        progress: Progress = no_progress,
    ) -> Allocation:
        """Return the lists of all users; no quota is exceeded.

        Args:
            shortlists: of all users; their arrays may be mapped from a disk.
            turns: u64, by user.
            second_round: ranks users whose lists are short again, by the lists and the account so far.
        """
        order, account = order_of(turns), QuotaAccount.of(self.tables)
        lists, changed = AllocatedLists.empty(len(turns), self.k), np.zeros(len(turns), dtype=np.bool_)
        for users, rest in _blocks(order, self.block):
            shortlist = shortlist_of(shortlists, users)
            block, chosen, exchanges = self._block_lists(shortlist, users, turns[users], rest, account)
            lists.put(users, block, shortlist, shortlists.indptr)
            lists.put_cuts(users, chosen, shortlist, shortlists.indptr)
            changed[users] = exchanges
            progress(len(turns) - rest, len(turns))
        filling = Filling(self.tables, shortlists, account, lists)
        changed |= filling.fill(order)
        if (again := second_round(lists, account)) is not None:
            changed |= filling.fill_again(order, again)
        return Allocation(lists, account, np.flatnonzero(changed).astype(np.uint32), again)

    def without_quotas(self, shortlist: Shortlist, users: np.ndarray) -> Chosen:
        """Return the lists of some users as they would be without quotas."""
        free = Ledger.full(self.tables, np.arange(len(users)))
        free.left[:] = -1
        return self._chosen(shortlist, users, free)

    def replayed(
        self, shortlist: Shortlist, user: np.ndarray, account: QuotaAccount, turn: int
    ) -> tuple[BlockLists, Chosen]:
        """Return the list of one user alone as it was chosen at its turn, before exchanges and the fill.

        Args:
            shortlist: of this user; user: its index, as `choose` takes it.
        """
        chosen = self._chosen(shortlist, user, account.ledger_at(turn))
        return self._in_order(chosen, offers_of(shortlist, self.tables)), chosen

    def _block_lists(
        self, shortlist: Shortlist, users: np.ndarray, turns: np.ndarray, rest: int, account: QuotaAccount
    ) -> tuple[BlockLists, Chosen, np.ndarray]:
        """Return the lists of a block of users, `rest` users before the end, and who exchanged rows."""
        offers, sold_before = offers_of(shortlist, self.tables), account.prices[-1:]
        demand = Demand(offers, self.k, self.threads)
        start = sold_before[0].astype(np.float64) if sold_before else None
        bounds = account.bounds(len(users) / (len(users) + rest))
        prices = account.price_now(int(turns[0]), quota_prices(demand, *bounds, start).prices)
        account.wanted += demand.at(np.zeros(len(prices)))[0]
        chosen = self._chosen(
            shortlist, users, Ledger(prices, account.left, np.arange(len(users)), self.threads)
        )
        codes, places = codes_of(offers.quotas, chosen.rows)
        account.add_sold(codes, cells_of(chosen.indptr)[0][places], turns)
        lists = self._in_order(chosen, offers)
        if rest:
            return lists, chosen, np.zeros(len(users), dtype=np.bool_)
        lists, changed = exchanged(shortlist, offers, self.tables, account, lists)
        return lists, chosen, changed

    def _in_order(self, chosen: Chosen, offers: Offers) -> BlockLists:
        return BlockLists.of(chosen, self.k).by_value(offers.values)

    def _chosen(self, shortlist: Shortlist, users: np.ndarray, ledger: Ledger) -> Chosen:
        if self.choose is not None:
            return self.choose(shortlist, users, ledger)
        return select_lists(shortlist, self.tables, self.k, ledger=ledger)


def _blocks(order: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, int]]:
    """Yield users block by block, i64, of about equal size, each with the number of users after them."""
    count = max(1, round(len(order) / size))
    done = 0
    for block in np.array_split(order.astype(np.int64), count):
        done += len(block)
        if len(block):
            yield block, len(order) - done

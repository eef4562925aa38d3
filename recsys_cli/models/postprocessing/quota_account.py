"""The account of a day's quotas: what they cost, who bought the last row, and how many would have had it."""

from dataclasses import dataclass, field

import numpy as np

from recsys_cli.models.kernels.quota_demand import Cells
from recsys_cli.models.postprocessing.rule_arrays import joined
from recsys_cli.models.postprocessing.rule_tables import RuleTables
from recsys_cli.models.postprocessing.selection import Ledger


@dataclass
class QuotaAccount:
    """What each group of all quotas was sold for, one quota after the other; it grows block by block.

    Attributes:
        left: i64, rows that at_most leaves; -1: no bound. at_least: i64, rows that it must have.
        rows, wanted: i64, rows that the lists have, and that they would have without quotas.
        is_sold_out: whether it is; sold_out: u64, the turn of the user with the last row, 0: nobody has;
            last_rows: i64, how many rows that user has.
        prices: f32 arrays by group, one a block of users; first_turns: the first turn of each block.
    """

    left: np.ndarray
    at_least: np.ndarray
    rows: np.ndarray
    wanted: np.ndarray
    is_sold_out: np.ndarray
    sold_out: np.ndarray
    last_rows: np.ndarray
    prices: list[np.ndarray] = field(default_factory=list)
    first_turns: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, tables: RuleTables) -> "QuotaAccount":
        """Return the account of a day on which nothing is sold yet."""
        left = joined([quota.at_most for quota in tables.quotas], np.int64).copy()
        at_least = joined([quota.at_least for quota in tables.quotas], np.int64)
        rows, wanted, last_rows = (np.zeros(len(left), dtype=np.int64) for _ in range(3))
        return cls(left, at_least, rows, wanted, left == 0, np.zeros(len(left), dtype=np.uint64), last_rows)

    @property
    def lacking(self) -> np.ndarray:
        """Rows by group that at_least lacks, i64; negative where there are more than enough."""
        return np.asarray(self.at_least - self.rows)

    def bounds(self, share: float) -> tuple[np.ndarray, np.ndarray]:
        """Return that share of the rows that groups may still have, and must, f64; inf and 0: no bound."""
        most = np.where(self.left < 0, np.inf, self.left * share)
        return most, np.maximum(self.lacking, 0) * share

    def price_now(self, first_turn: int, prices: np.ndarray) -> np.ndarray:
        """Note the prices of the next block of users and return them as f32."""
        self.first_turns.append(first_turn)
        self.prices.append(prices.astype(np.float32))
        return self.prices[-1]

    def add_sold(self, codes: np.ndarray, buyers: np.ndarray, turns: np.ndarray) -> None:
        """Count rows that users in the order of their turns have had, after `left` has fallen by them.

        Args:
            codes: the group of each row sold; buyers: its user, as a place in `turns`.
        """
        self.rows += np.bincount(codes, minlength=len(self.rows))
        last = np.full(len(self.rows), -1, dtype=np.int64)
        np.maximum.at(last, codes, buyers)
        gone = (self.left == 0) & ~self.is_sold_out
        self.is_sold_out |= gone
        self.sold_out[gone] = turns[last[gone]]
        by_the_last = np.bincount(codes[buyers == last[codes]], minlength=len(last))
        self.last_rows[gone] = by_the_last[gone]

    def ledger_at(self, turn: int) -> Ledger:
        """Return what a user found at its turn: the prices of its block, and what was sold out."""
        block = max(
            int(np.searchsorted(np.array(self.first_turns, dtype=np.uint64), np.uint64(turn), "right")), 1
        )
        before, now = self.sold_out < np.uint64(turn), self.sold_out == np.uint64(turn)
        left = np.where(before, 0, np.where(now, self.last_rows, -1))
        left = np.where(self.is_sold_out, left, -1)
        return Ledger(self.prices[block - 1], left, np.zeros(1, dtype=np.int64))


def codes_of(cells: Cells, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the groups that pairs count for, and the place of the pair of each among `pairs`."""
    sizes = cells.indptr[pairs + 1] - cells.indptr[pairs]
    ends = np.cumsum(sizes)
    places = np.repeat(np.arange(len(pairs)), sizes)
    within = np.arange(len(places)) - np.repeat(ends - sizes, sizes)
    return cells.codes[np.repeat(cells.indptr[pairs], sizes) + within], places


def group_names(tables: RuleTables) -> list[tuple[str, str]]:
    """Return the names of the rule and of the group of each group of all quotas."""
    return [(tables.names[quota.rule], name) for quota in tables.quotas for name in quota.groups.names]

"""Prices of what is scarce: with them each user's best list, chosen alone, keeps to the quotas on average.

A dual ascent: prices bound from above what all lists together can be worth, and the lowest bound has the best
ones (Bertsekas, Nonlinear Programming, chapter 6). Steps are those of Rprop (Riedmiller and Braun, 1993).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from recsys_cli.models.kernels import quota_demand as kernels
from recsys_cli.models.postprocessing.quota_groups import groups_of_rules
from recsys_cli.models.postprocessing.rule_arrays import joined
from recsys_cli.models.postprocessing.rule_tables import RuleTables
from recsys_cli.models.postprocessing.selection import Shortlist
from recsys_cli.utils.parallel import map_in_threads

_MOST_STEPS, _STEPS_ON = 120, 5  # from nothing, and from the prices of other users
_PATIENCE, _GAIN = 12, 1e-5  # so many steps that lower the bound by a smaller share end it
_GROWS, _SHRINKS = 1.3, 0.5
_SPANS, _FEW = 8, 100_000  # of users whose demand is counted side by side; pairs that need no threads
_FIRST_STEP, _STEP_ON = 0.25, 0.05  # of the mean value of a pair


@dataclass(frozen=True)
class QuotaPrices:
    """What a row costs that counts for a group, in probability; the groups of one quota after the other.

    Attributes:
        prices: f64; more than 0 where more want it than may have it, less where fewer do than must.
        bound: no lists of these users that keep to the bounds are worth more, in expected takes.
        steps: how many there were.
    """

    prices: np.ndarray
    bound: float
    steps: int


@dataclass(frozen=True)
class Demand:
    """What users would take, each for itself.

    Attributes:
        offers: their pairs, as of `offers_of`; k: places of a list.
    """

    offers: kernels.Offers
    k: int
    threads: int = 1

    def at(self, prices: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the rows by group, i64, and their value at these prices, the same for any threads."""
        count = _SPANS if len(self.offers.values) > _FEW else 1
        ends = np.linspace(0, len(self.offers.indptr) - 1, count + 1).astype(np.int64).tolist()

        def of_span(span: tuple[int, int]) -> tuple[np.ndarray, float]:
            return kernels.demand(self.offers, prices, self.k, *span)

        alone = self.threads == 1 or count == 1
        spans = (
            map(of_span, pairwise(ends)) if alone else map_in_threads(of_span, pairwise(ends), self.threads)
        )
        found = list(spans)
        return np.sum([used for used, _ in found], axis=0), sum(value for _, value in found)


def quota_prices(
    demand: Demand, most: np.ndarray, least: np.ndarray, start: np.ndarray | None = None
) -> QuotaPrices:
    """Return the prices of the groups of all quotas.

    Args:
        demand: of some users.
        most, least: rows that these users may have at most and must have at least by group, f64; fractions
            are those of bounds for all users.
        start: prices of other users that will not be far off.
    """
    ascent = _Ascent(demand, most, least)
    ascent.run(start)
    return QuotaPrices(ascent.best, ascent.lowest, ascent.steps)


def quota_bounds(tables: RuleTables) -> tuple[np.ndarray, np.ndarray]:
    """Return how many rows each group may have at most and must have at least, f64; inf and 0: no bound."""
    most = joined([quota.at_most for quota in tables.quotas], np.float64)
    most[most < 0] = np.inf
    return most, joined([quota.at_least for quota in tables.quotas], np.float64)


def offers_of(shortlist: Shortlist, tables: RuleTables) -> kernels.Offers:
    """Return the pairs of a shortlist with their values, before prices, and what they count for."""
    marks = shortlist.marks & np.repeat(shortlist.user_marks, np.diff(shortlist.indptr))
    quotas, limits = groups_of_rules(tables.quotas), groups_of_rules(tables.limits)
    boosts = np.flatnonzero(tables.factors != 1.0)
    bits, factors = np.uint64(1) << boosts.astype(np.uint64), tables.factors[boosts].astype(np.float64)
    return kernels.Offers(
        shortlist.indptr,
        kernels.values_of(shortlist.scores, marks, bits, factors),
        kernels.cells_of(shortlist.items, marks, quotas.bits, quotas.indptr, quotas.codes),
        kernels.cells_of(shortlist.items, marks, limits.bits, limits.indptr, limits.codes),
        joined([np.full(len(limit.groups.names), limit.at_most) for limit in tables.limits], np.int64),
    )


class _Ascent:
    """Prices on the way to the lowest bound: `best` are those of `lowest`, the lowest bound so far."""

    def __init__(self, demand: Demand, most: np.ndarray, least: np.ndarray) -> None:
        self.demand, self.most, self.least = demand, most, least
        self.prices = np.zeros(len(most))
        self.best, self.lowest, self.steps = self.prices, np.inf, 0

    def run(self, start: np.ndarray | None) -> None:
        """Change the prices until the bound falls no longer."""
        values = self.demand.offers.values
        typical = values.mean() if len(values) else 0.0
        highest = values.max(initial=0.0)  # at this price nobody takes anything
        share, steps = (_FIRST_STEP, _MOST_STEPS) if start is None else (_STEP_ON, _STEPS_ON)
        self.prices = self.prices if start is None else start
        size, excess, waiting = np.full(len(self.prices), share * typical), self._excess(), 0
        while excess.any() and self.steps < steps and waiting < _PATIENCE:
            before, bound = excess, self.lowest
            moved = self.prices + np.sign(excess) * size
            self.prices = np.clip(np.where(moved * self.prices < 0.0, 0.0, moved), -highest, highest)
            excess = self._excess()
            turned = before * excess
            size *= np.where(turned > 0, _GROWS, np.where(turned < 0, _SHRINKS, 1.0))
            waiting = 0 if self.lowest < bound - _GAIN * abs(bound) else waiting + 1
            self.steps += 1

    def _excess(self) -> np.ndarray:
        """Return by how many rows the demand misses its bounds, as far as prices can move; note the bound."""
        used, value = self.demand.at(self.prices)
        most, least, prices = self.most, self.least, self.prices
        with np.errstate(invalid="ignore"):
            costs = np.where(prices > 0, prices * most, prices * least)
        bound = value + float(costs[prices != 0].sum())
        if bound < self.lowest:
            self.best, self.lowest = prices, bound
        over, under = used - most, used - least
        free = np.maximum(over, 0) + np.minimum(under, 0)
        excess = np.where(prices > 0, over, np.where(prices < 0, under, free))
        return np.asarray(np.where(np.abs(excess) < 0.5, 0.0, excess))

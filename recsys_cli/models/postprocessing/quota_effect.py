"""What quotas change and cost: some users' lists beside those that they would have without quotas."""

from dataclasses import dataclass

import numpy as np

from recsys_cli.models.postprocessing.allocation import Allocation, Allocator
from recsys_cli.models.postprocessing.list_arrays import NO_ROW, SECOND_ROUND
from recsys_cli.models.postprocessing.rule_effects import Effect
from recsys_cli.models.postprocessing.selection import Shortlist
from recsys_cli.models.postprocessing.shortlist_rows import rows_of, shortlist_of

_USERS = 4_096  # that are looked at


@dataclass(frozen=True)
class QuotaEffect:
    """What all quotas together change in the lists of some users.

    Attributes:
        users: who were looked at; rows, takes: of their lists without quotas.
    """

    users: int
    rows: int
    takes: float
    effect: Effect


def _takes(shortlists: Shortlist, rows: np.ndarray) -> float:
    """Return the expected takes of rows, those below 0 left out."""
    return float(shortlists.scores[rows[rows >= 0]].sum(dtype=np.float64))


def effect_of_quotas(allocator: Allocator, shortlists: Shortlist, allocation: Allocation) -> QuotaEffect:
    """Compare the allocated lists of some users, spread over all, with those without quotas."""
    count = len(shortlists.indptr) - 1
    users = np.unique(np.linspace(0, max(count - 1, 0), min(count, _USERS)).astype(np.int64))
    shortlist, (rows, _) = shortlist_of(shortlists, users), rows_of(shortlists.indptr, users)
    free = allocator.without_quotas(shortlist, users)
    before, now = rows[free.rows], allocation.lists.rows[users]
    places = np.arange(len(free.rows)) - np.repeat(free.indptr[:-1], np.diff(free.indptr))
    owners = np.repeat(np.arange(len(users)), np.diff(free.indptr))
    wanted = np.full(now.shape, -1, dtype=np.int64)
    wanted[owners, places] = before
    new = np.isin(now[now != NO_ROW], before, invert=True)
    have = _takes(shortlists, now)
    if allocation.second is not None:
        have += _takes(allocation.second.shortlists, SECOND_ROUND - now)
    want = _takes(shortlists, wanted)
    changed = int((now != wanted).any(axis=1).sum())
    return QuotaEffect(len(users), len(before), want, Effect(changed, int(new.sum()), have - want))

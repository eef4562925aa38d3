"""Rows of shortlists, in memory or mapped from a disk: those of some users, in any order."""

import numpy as np

from recsys_cli.models.postprocessing.selection import Shortlist
from recsys_cli.utils.storage.npy_files import release_pages


def rows_of(indptr: np.ndarray, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of some users, one user after the other, and where those of each start, both i64."""
    sizes = indptr[users + 1] - indptr[users]
    starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes)])
    return np.arange(starts[-1]) + np.repeat(indptr[users] - starts[:-1], sizes), starts


def shortlist_of(shortlists: Shortlist, users: np.ndarray) -> Shortlist:
    """Return the shortlists of some users, i64, in this order, in memory."""
    rows, starts = rows_of(shortlists.indptr, users)
    found = Shortlist(
        starts,
        shortlists.items[rows],
        shortlists.scores[rows],
        shortlists.marks[rows],
        shortlists.user_marks[users],
    )
    for mapped in (shortlists.items, shortlists.scores, shortlists.marks):
        release_pages(mapped)
    return found

"""Rows of shortlists, in memory or mapped from a disk: those of some users, in any order."""

import numpy as np

from recsys_cli.models.postprocessing.selection import Shortlist
from recsys_cli.utils.parallel import chunks_of
from recsys_cli.utils.storage.npy_files import release_pages

_USERS = 1_024  # at a time: the system maps 64 KB around every row that is read, until they are released


def rows_of(indptr: np.ndarray, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of some users, one user after the other, and where those of each start, both i64."""
    sizes = indptr[users + 1] - indptr[users]
    starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes, dtype=np.int64)])
    return np.arange(starts[-1]) + np.repeat(indptr[users] - starts[:-1], sizes), starts


def shortlist_of(shortlists: Shortlist, users: np.ndarray) -> Shortlist:
    """Return the shortlists of some users, i64, in this order, in memory."""
    sizes = shortlists.indptr[users + 1] - shortlists.indptr[users]
    starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes, dtype=np.int64)])
    mapped = shortlists.items, shortlists.scores, shortlists.marks
    copies = [np.empty(starts[-1], dtype=array.dtype) for array in mapped]
    for some in chunks_of(np.arange(len(users)), _USERS):
        first, last = starts[some[0]], starts[some[-1] + 1]
        rows, _ = rows_of(shortlists.indptr, users[some])
        for array, copy in zip(mapped, copies, strict=True):
            copy[first:last] = array[rows]
            release_pages(array)
    items, scores, marks = copies
    return Shortlist(starts, items, scores, marks, shortlists.user_marks[users])

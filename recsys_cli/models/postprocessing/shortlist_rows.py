"""Rows of shortlists, in memory or mapped from a disk: those of some users, in any order."""

import numpy as np

from recsys_cli.models.postprocessing.selection import Shortlist
from recsys_cli.utils.storage.npy_files import release_pages

_SPAN = 8_000_000  # rows that are mapped at a time, 128 MB: the system maps 64 KB around each that is read


def rows_of(indptr: np.ndarray, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of some users, one user after the other, and where those of each start, both i64."""
    sizes = indptr[users + 1] - indptr[users]
    starts = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes, dtype=np.int64)])
    return np.arange(starts[-1]) + np.repeat(indptr[users] - starts[:-1], sizes), starts


def shortlist_of(shortlists: Shortlist, users: np.ndarray) -> Shortlist:
    """Return the shortlists of some users, i64, in this order, in memory.

    They are read in the order of the rows, which takes a tenth of the time of any other on mapped arrays.
    """
    rows, starts = rows_of(shortlists.indptr, users)
    mapped = shortlists.items, shortlists.scores, shortlists.marks
    copies = [np.empty(len(rows), dtype=array.dtype) for array in mapped]
    order = np.argsort(users, kind="stable")
    spans = shortlists.indptr[users[order]] // _SPAN
    for some in np.split(order, np.flatnonzero(np.diff(spans)) + 1):
        cells, _ = rows_of(starts, some)
        for array, copy in zip(mapped, copies, strict=True):
            copy[cells] = array[rows[cells]]
            release_pages(array)
    items, scores, marks = copies
    return Shortlist(starts, items, scores, marks, shortlists.user_marks[users])

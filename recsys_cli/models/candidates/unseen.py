"""The best items that a user has not viewed, from scores or from longer lists."""

from collections.abc import Iterator

import numpy as np
from scipy import sparse

from recsys_cli.models.candidates.protocol import Proposals, UserChunk

_EXTRA = (16, 64, 256, 1024, 4096)  # items fetched beyond the wanted ones, by length of history
_CELLS = 4_194_304  # of a score matrix that are sorted at a time


def fetch_sizes(chunk: UserChunk, wanted: int, available: int) -> Iterator[tuple[np.ndarray, int]]:
    """Yield rows of the chunk with the number of items to fetch for them.

    The number depends on a user's own history alone, so that a user gets the same list in every chunk.
    """
    viewed = np.diff(chunk.viewed.indptr)
    levels = np.searchsorted(_EXTRA, viewed)
    for level in np.unique(levels):
        extra = _EXTRA[level] if level < len(_EXTRA) else available
        yield np.flatnonzero(levels == level), min(wanted + extra, available)


def first_unseen(chunk: UserChunk, rows: np.ndarray, items: np.ndarray, wanted: int) -> Proposals:
    """Return the first `wanted` items of each row that its user has not viewed.

    Args:
        rows: places in the chunk, shape (r,).
        items: internal item indices, best first, shape (r, m); negative where there is none.
    """
    fresh = (items >= 0) & ~_is_viewed(chunk, rows, items)
    place = np.cumsum(fresh, axis=1, dtype=np.int32)
    keep = fresh & (place <= wanted)
    return Proposals(
        np.repeat(rows, keep.sum(axis=1)), items[keep].astype(np.int64), place[keep].astype(np.int64)
    )


def best_unseen(chunk: UserChunk, scores: np.ndarray, wanted: int) -> Proposals:
    """Return the `wanted` items with the largest scores above 0 that each user has not viewed.

    Args:
        scores: (len(chunk), items) f32; equal scores go by item index.
    """
    size = max(1, _CELLS // max(scores.shape[1], 1))
    parts = [
        _best_of_block(chunk.viewed[start : start + size], scores[start : start + size], wanted, start)
        for start in range(0, len(chunk), size)
    ]
    return joined(parts)


def joined(parts: list[Proposals]) -> Proposals:
    """Return the proposals of several groups of users in the order of the chunk."""
    if not parts:
        return Proposals(*(np.empty(0, dtype=np.int64) for _ in range(3)))
    rows, items, ranks = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "items", "ranks")
    )
    order = np.argsort(rows, kind="stable")
    return Proposals(rows[order], items[order], ranks[order])


def _best_of_block(viewed: sparse.csr_matrix, scores: np.ndarray, wanted: int, start: int) -> Proposals:
    open_scores = scores.copy()
    open_scores[viewed.nonzero()] = 0.0
    wanted = min(wanted, scores.shape[1])
    found = np.sort(np.argpartition(-open_scores, wanted - 1, axis=1)[:, :wanted], axis=1)
    values = np.take_along_axis(open_scores, found, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    items, values = np.take_along_axis(found, order, axis=1), np.take_along_axis(values, order, axis=1)
    rows, places = np.nonzero(values > 0)
    return Proposals(rows + start, items[rows, places], places + 1)


def _is_viewed(chunk: UserChunk, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
    width = chunk.viewed.shape[1]
    viewed = chunk.viewed[rows]
    if viewed.nnz == 0:
        return np.zeros(items.shape, dtype=bool)
    owner = np.repeat(np.arange(len(rows), dtype=np.int64), np.diff(viewed.indptr))
    keys = owner * width + viewed.indices
    wanted = np.arange(len(rows), dtype=np.int64)[:, None] * width + items
    places = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.asarray(keys[places] == wanted)

"""The seen filter: enough is fetched that a full list remains once viewed items are gone."""

from collections.abc import Iterator

import numpy as np
import polars as pl

from recsys_cli.models.candidates.protocol import UserChunk
from recsys_cli.utils.columns import ITEM, RANK, SCORE, USER

_EXTRA = (16, 64, 256, 1024, 4096)  # items fetched beyond the wanted ones, by length of history


def fetch_sizes(chunk: UserChunk, wanted: int, available: int) -> Iterator[tuple[np.ndarray, int]]:
    """Yield rows of the chunk with the number of items to fetch for them.

    The number depends on a user's own history alone, so that a user gets the same list in every chunk.
    """
    viewed = np.diff(chunk.viewed.indptr)
    levels = np.searchsorted(_EXTRA, viewed)
    for level in np.unique(levels):
        extra = _EXTRA[level] if level < len(_EXTRA) else available
        yield np.flatnonzero(levels == level), min(wanted + extra, available)


def first_unseen(
    chunk: UserChunk, rows: np.ndarray, items: np.ndarray, scores: np.ndarray, wanted: int
) -> pl.DataFrame:
    """Return the first `wanted` items of each row that its user has not viewed.

    Args:
        rows: places in the chunk, shape (r,).
        items: internal item indices, best first, shape (r, m); negative where there is none.
        scores: shape (r, m).
    """
    fresh = (items >= 0) & ~_is_viewed(chunk, rows, items)
    place = np.cumsum(fresh, axis=1, dtype=np.int32)
    keep = fresh & (place <= wanted)
    return pl.DataFrame(
        {
            USER: np.repeat(chunk.users[rows], keep.sum(axis=1)),
            ITEM: items[keep].astype(np.uint32),
            SCORE: scores[keep].astype(np.float32),
            RANK: place[keep].astype(np.uint16),
        }
    )


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

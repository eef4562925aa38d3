"""Kernels that merge the lists of all sources and normalise their scores."""

# pylint: disable=too-many-locals, consider-using-enumerate  # explicit loops: numba compiles them best

import numpy as np

from recsys_cli.utils.numba_kernels import kernel

_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)  # times a power of two, its upper six bits are different for each
_BIT_PLACES = np.zeros(64, dtype=np.int64)
_BIT_PLACES[[((int(_DE_BRUIJN) << bit) & 0xFFFFFFFFFFFFFFFF) >> 58 for bit in range(64)]] = np.arange(64)


@kernel
def merge_lists(
    lists: np.ndarray, bits: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the distinct items of each user's lists: indptr, items, sources and each proposal's index.

    Args:
        lists: (users, proposals of all sources) items, -1 for none.
        bits: the source of each column of `lists`, as a bit of `sources`.
        size: number of items.

    Returns: indptr i64 (users + 1,); items i32, ascending within a user; sources i64, the bits of all that
        proposed the item; places i32, the index of each cell of `lists` among the items, -1 for none.
    """
    users, width = lists.shape
    indptr = np.zeros(users + 1, dtype=np.int64)
    items = np.empty(users * min(width, size), dtype=np.int32)
    sources = np.zeros(len(items), dtype=np.int64)
    places = np.full((users, width), -1, dtype=np.int32)
    words, row_of = np.zeros(size // 64 + 1, dtype=np.uint64), np.empty(size, dtype=np.int32)
    count = 0
    for user in range(users):
        for item in lists[user]:
            if item >= 0:
                words[item >> 6] |= np.uint64(1) << np.uint64(item & 63)
        for block in range(len(words)):
            word = words[block]
            words[block] = np.uint64(0)
            while word:
                lowest = word & (~word + np.uint64(1))
                item = (block << 6) + _BIT_PLACES[(lowest * _DE_BRUIJN) >> np.uint64(58)]
                items[count], row_of[item] = item, count
                count += 1
                word ^= lowest
        for cell in range(width):
            item = lists[user, cell]
            if item >= 0:
                places[user, cell] = row_of[item]
                sources[row_of[item]] |= bits[cell]
        indptr[user + 1] = count
    return indptr, items[:count].copy(), sources[:count].copy(), places


@kernel
def ranks_of(places: np.ndarray, count: int) -> np.ndarray:
    """Return, f32, the rank in a source's list of each of `count` items, NaN for none."""
    ranks = np.full(count, np.nan, dtype=np.float32)
    for user in range(places.shape[0]):
        for rank in range(places.shape[1]):
            if places[user, rank] >= 0:
                ranks[places[user, rank]] = rank + 1
    return ranks


@kernel
def normalised(values: np.ndarray, indptr: np.ndarray, places: np.ndarray, floor_is_last: bool) -> np.ndarray:
    """Return scores, f32, scaled so that a user's best proposal has 1 and the floor 0; NaN if they are equal.

    Args:
        values: score of each pair; indptr: where each user's pairs start.
        places: (users, proposals) indices of the source's pairs, best first, -1 after the last.
        floor_is_last: whether the floor is the user's last proposal, or else a score of 0.
    """
    norms = np.full(len(values), np.nan, dtype=np.float32)
    for user in range(places.shape[0]):
        own = places[user]
        last = len(own) - 1
        while last >= 0 > own[last]:
            last -= 1
        if last < 0:
            continue
        floor = values[own[last]] if floor_is_last else np.float32(0.0)
        span = values[own[0]] - floor
        if span > 0:
            for pair in range(indptr[user], indptr[user + 1]):
                norms[pair] = (values[pair] - floor) / span
    return norms

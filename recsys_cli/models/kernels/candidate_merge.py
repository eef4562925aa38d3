"""The compiled loops that merge the lists of all sources and put their scores on one scale."""

# pylint: disable=too-many-locals, consider-using-enumerate  # loops as the compiler wants them

import numpy as np

from recsys_cli.utils.numba_kernels import kernel

_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)  # times a power of two, its upper six bits tell which
_BIT_PLACES = np.zeros(64, dtype=np.int64)
_BIT_PLACES[[((int(_DE_BRUIJN) << bit) & 0xFFFFFFFFFFFFFFFF) >> 58 for bit in range(64)]] = np.arange(64)


@kernel
def merge_lists(
    lists: np.ndarray, bits: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the distinct items of each user's lists: indptr, items, sources and each proposal's place.

    Args:
        lists: (users, proposals of all sources) items, -1 for none.
        bits: the source of each column of `lists`, as a bit of `sources`.
        size: number of items that there are.

    Returns: indptr i64 (users + 1,); items i32, ascending within a user; sources i64, the bits of all that
        proposed the item; places i32, of each cell of `lists` among the items, -1 for none.
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
    """Return, f32, the rank that a source's list gives to each of `count` items, NaN for none."""
    ranks = np.full(count, np.nan, dtype=np.float32)
    for user in range(places.shape[0]):
        for rank in range(places.shape[1]):
            if places[user, rank] >= 0:
                ranks[places[user, rank]] = rank + 1
    return ranks


@kernel
def normalised(values: np.ndarray, indptr: np.ndarray, places: np.ndarray, floor_is_last: bool) -> np.ndarray:
    """Return scores, f32, on a scale where the user's best proposal has 1 and the floor 0; NaN for no scale.

    Args:
        values: of each pair; indptr: whose they are.
        places: (users, proposals) of the source among the pairs, best first, -1 behind the last.
        floor_is_last: whether the user's last proposal is the floor, or a score of 0.
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

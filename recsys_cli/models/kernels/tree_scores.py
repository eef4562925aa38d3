"""Kernels that score the ranker's trees."""

# pylint: disable=too-many-locals, consider-using-enumerate  # explicit loops: numba compiles them best

import numpy as np

from recsys_cli.utils.numba_kernels import kernel

TOGETHER = 4  # trees whose leaves are added in one pass
MOST_IN_A_BYTE = 255  # borders of a slot whose bins are u8
_ROWS = 1_024  # per block: its bins and sums fit the L1 and L2 caches


def count_borders(values: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """Return how many of the borders each value exceeds; NaN exceeds none.

    Args:
        values, borders: f32; the borders ascend, at most 65,535.

    Returns: u8 where there are at most `MOST_IN_A_BYTE` borders, else u16.
    """
    if len(borders) <= MOST_IN_A_BYTE:
        return _compare_with_all(values, borders)
    return _search(values, borders)


@kernel
def _compare_with_all(values: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """Return, u8, how many of the borders each value exceeds, one border at a time."""
    counts = np.zeros(len(values), dtype=np.uint8)
    for start in range(0, len(values), 1024):  # a block that stays in the L1 cache
        block, own = values[start : start + 1024], counts[start : start + 1024]
        for border in borders:
            for place in range(len(block)):
                own[place] += np.uint8(block[place] > border)
    return counts


@kernel
def _search(values: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """Return, u16, how many of the borders each value exceeds, by binary search; at least one border."""
    counts = np.empty(len(values), dtype=np.uint16)
    for place in range(len(values)):
        value, low, size = values[place], 0, len(borders)
        while size > 1:
            half = size >> 1
            low += half if value > borders[low + half - 1] else 0
            size -= half
        counts[place] = low + (value > borders[low])
    return counts


@kernel
def sum_trees(
    users: np.ndarray,
    items: np.ndarray,
    pairs: np.ndarray,
    slots: tuple[np.ndarray, np.ndarray, np.ndarray],
    rows: tuple[np.ndarray, np.ndarray],
    splits: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    leaves: np.ndarray,
    offsets: np.ndarray,
) -> np.ndarray:
    """Return the sum of the trees' leaves for each pair, f32.

    Args:
        users, items: bins, one row per user of the chunk, or per item; pairs: one column per pair. All have
            the type of the splits' borders, u8 or u16.
        slots: the slots of users, items and pairs.
        rows: each pair's user, an index into the chunk, and item.
        splits: slot, border, bit and starts as in `Forest`; of `TOGETHER` trees, or a multiple of it.
    """
    split_slot, borders, bits, starts = splits
    size = len(slots[0]) + len(slots[1]) + len(slots[2])
    bins = np.empty((size, _ROWS), dtype=borders.dtype)
    found, sums = np.empty((TOGETHER, _ROWS), dtype=bits.dtype), np.empty(_ROWS, dtype=np.float64)
    scores = np.empty(len(rows[0]), dtype=np.float32)
    for first in range(0, len(scores), _ROWS):
        count = min(_ROWS, len(scores) - first)
        _fill_bins(users, slots[0], rows[0][first : first + count], bins)
        _fill_bins(items, slots[1], rows[1][first : first + count], bins)
        for column in range(len(slots[2])):
            bins[slots[2][column], :count] = pairs[column, first : first + count]
        sums[:count] = 0.0
        for tree in range(0, len(starts) - 1, TOGETHER):
            for place in range(TOGETHER):
                own = slice(starts[tree + place], starts[tree + place + 1])
                _find_leaves(bins, split_slot[own], borders[own], bits[own], found[place, :count])
            _add_leaves(found, leaves, offsets[tree : tree + TOGETHER], sums[:count])
        for row in range(count):
            scores[first + row] = sums[row]
    return scores


@kernel
def _fill_bins(side: np.ndarray, slots: np.ndarray, rows: np.ndarray, bins: np.ndarray) -> None:
    """Write the bins of each row's user or item into the rows of `bins` that belong to its slots."""
    for row in range(len(rows)):
        own = side[rows[row]]
        for column in range(len(slots)):
            bins[slots[column], row] = own[column]


@kernel
def _find_leaves(
    bins: np.ndarray, slots: np.ndarray, borders: np.ndarray, bits: np.ndarray, found: np.ndarray
) -> None:
    """Write the leaf of one tree that each row falls into."""
    found[:] = 0
    for split in range(len(slots)):
        own, border, bit = bins[slots[split]], borders[split], bits[split]
        for row in range(len(found)):
            found[row] |= bit if own[row] > border else 0


@kernel
def _add_leaves(found: np.ndarray, leaves: np.ndarray, offsets: np.ndarray, sums: np.ndarray) -> None:
    """Add the values of the found leaves, tree by tree as CatBoost does."""
    one, two, three, four = found[0], found[1], found[2], found[3]
    ones, twos = leaves[offsets[0] :], leaves[offsets[1] :]
    threes, fours = leaves[offsets[2] :], leaves[offsets[3] :]
    for row in range(len(sums)):
        total = sums[row] + ones[one[row]] + twos[two[row]]
        sums[row] = total + threes[three[row]] + fours[four[row]]

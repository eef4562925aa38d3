"""The compiled loops of the ranker's trees."""

# pylint: disable=too-many-locals, consider-using-enumerate  # loops as the compiler wants them

import numpy as np

from recsys_cli.utils.compiled import compiled

_ROWS = 1_024  # at a time: their bins and sums stay in the nearest caches


@compiled
def count_borders(values: np.ndarray, borders: np.ndarray) -> np.ndarray:
    """Return, u8, how many of the borders each value exceeds; NaN exceeds none."""
    counts = np.zeros(len(values), dtype=np.uint8)
    for start in range(0, len(values), 1024):  # stays in the nearest cache
        part, own = values[start : start + 1024], counts[start : start + 1024]
        for border in borders:
            for place in range(len(part)):
                own[place] += np.uint8(part[place] > border)
    return counts


@compiled
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
        users, items: bins, a row a user of the chunk, or an item that there is; pairs: a column a pair.
        slots: the slots of users, items and pairs.
        rows: the place of the user in the chunk and the item of each pair.
        splits: slot, border, bit and starts as in `Forest`.
    """
    split_slot, borders, bits, starts = splits
    size = len(slots[0]) + len(slots[1]) + len(slots[2])
    bins = np.empty((size, _ROWS), dtype=np.uint8)
    leaf, sums = np.empty(_ROWS, dtype=np.uint16), np.empty(_ROWS, dtype=np.float64)
    scores = np.empty(len(rows[0]), dtype=np.float32)
    for first in range(0, len(scores), _ROWS):
        count = min(_ROWS, len(scores) - first)
        _fill_bins(users, slots[0], rows[0][first : first + count], bins)
        _fill_bins(items, slots[1], rows[1][first : first + count], bins)
        for column in range(len(slots[2])):
            bins[slots[2][column], :count] = pairs[column, first : first + count]
        sums[:count] = 0.0
        for tree in range(len(starts) - 1):
            leaf[:count] = 0
            for split in range(starts[tree], starts[tree + 1]):
                told, border, bit = bins[split_slot[split]], borders[split], bits[split]
                for row in range(count):
                    leaf[row] |= bit * np.uint16(told[row] > border)
            values = leaves[offsets[tree] : offsets[tree + 1]]
            for row in range(count):
                sums[row] += values[leaf[row]]
        for row in range(count):
            scores[first + row] = sums[row]
    return scores


@compiled
def _fill_bins(side: np.ndarray, slots: np.ndarray, rows: np.ndarray, bins: np.ndarray) -> None:
    """Write the bins of each row's user or item into the rows of `bins` that belong to its slots."""
    for row in range(len(rows)):
        own = side[rows[row]]
        for column in range(len(slots)):
            bins[slots[column], row] = own[column]

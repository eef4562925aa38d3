"""The compiled loops of the ranker's trees."""

# pylint: disable=too-many-locals, consider-using-enumerate  # loops as the compiler wants them

import numpy as np

from recsys_cli.utils.compiled import compiled


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
    indptr: np.ndarray,
    item_of: np.ndarray,
    splits: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    leaves: np.ndarray,
    offsets: np.ndarray,
) -> np.ndarray:
    """Return the sum of the trees' leaves for each pair, f32.

    Args:
        users, items: bins, a row a user of the chunk, or an item that there is; pairs: a column a pair.
        slots: the slots of users, items and pairs.
        splits: slot, border, bit and starts as in `Forest`.
    """
    user_slots, item_slots, pair_slots = slots
    starts = splits[3]
    most = 0
    for place in range(len(users)):
        most = max(most, indptr[place + 1] - indptr[place])
    size = len(user_slots) + len(item_slots) + len(pair_slots)
    bins, own = np.zeros((size, most), dtype=np.uint8), np.zeros(size, dtype=np.uint8)
    of_user = np.zeros(size, dtype=np.bool_)
    of_user[user_slots] = True
    leaf, sums = np.empty(most, dtype=np.uint16), np.empty(most, dtype=np.float64)
    scores = np.empty(len(item_of), dtype=np.float32)
    for place in range(len(users)):
        first, count = indptr[place], indptr[place + 1] - indptr[place]
        own[user_slots] = users[place]
        for row in range(count):
            item = item_of[first + row]
            for column in range(len(item_slots)):
                bins[item_slots[column], row] = items[item, column]
        for column in range(len(pair_slots)):
            bins[pair_slots[column], :count] = pairs[column, first : first + count]
        sums[:count] = 0.0
        for tree in range(len(starts) - 1):
            _find_leaves(starts[tree], starts[tree + 1], splits, of_user, own, bins, leaf[:count])
            values = leaves[offsets[tree] : offsets[tree + 1]]
            for row in range(count):
                sums[row] += values[leaf[row]]
        for row in range(count):
            scores[first + row] = sums[row]
    return scores


@compiled
def _find_leaves(
    first: int,
    last: int,
    splits: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    of_user: np.ndarray,
    own: np.ndarray,
    bins: np.ndarray,
    leaf: np.ndarray,
) -> None:
    """Write the leaf of each row of a user in the tree of the splits from `first` up to `last`."""
    slots, borders, bits, _ = splits
    same = np.uint16(0)
    for split in range(first, last):
        if of_user[slots[split]] and own[slots[split]] > borders[split]:
            same |= bits[split]
    leaf[:] = same
    for split in range(first, last):
        if not of_user[slots[split]]:
            told, border, bit = bins[slots[split]], borders[split], bits[split]
            for row in range(len(leaf)):
                leaf[row] |= bit * np.uint16(told[row] > border)

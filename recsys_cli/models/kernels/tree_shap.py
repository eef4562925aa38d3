"""Kernels for SHAP values: they divide a tree's value among the columns that it uses."""

# pylint: disable=too-many-locals, consider-using-enumerate  # explicit loops: numba compiles them best

import numpy as np

from recsys_cli.utils.numba_kernels import kernel


@kernel
def sum_shap_values(
    bins: np.ndarray,
    columns: np.ndarray,
    width: int,
    splits: tuple[np.ndarray, np.ndarray, np.ndarray],
    leaves: np.ndarray,
    weights: np.ndarray,
    offsets: np.ndarray,
) -> np.ndarray:
    """Return SHAP values, (rows, width + 1) f64: each column's, and last the trees' mean value.

    For a tree of depth d, the expected value given the results of some of its splits is computed for each of
    the 2^d sets of splits, in d 2^d steps; the columns' Shapley values follow from these.

    Args:
        bins: (rows, slots), of the type of the splits' borders, u8 or u16.
        columns: the column of each slot; below `width`.
        splits: slot, border and starts as in `Forest`.
        leaves, weights: value and training weight of each leaf; `offsets`: where each tree's leaves start.

    Source: Lundberg, Erion and Lee, "Consistent individualized feature attribution for tree ensembles", 2018.
    """
    split_slot, borders, starts = splits
    values = np.zeros((len(bins), width + 1), dtype=np.float64)
    for tree in range(len(starts) - 1):
        used = split_slot[starts[tree] : starts[tree + 1]]
        own_borders = borders[starts[tree] : starts[tree + 1]]
        own = slice(offsets[tree], offsets[tree] + (1 << len(used)))
        nodes = _node_weights(weights[own], len(used))
        players, sets = _players(columns, used)
        shares = _shares(len(players))
        for row in range(len(bins)):
            known = _expectations(leaves[own], nodes, bins[row], used, own_borders)
            values[row, width] += known[0]
            for place in range(len(players)):
                without, value = 1 << place, 0.0
                for others in range(len(sets)):
                    if not others & without:
                        value += shares[others] * (known[sets[others | without]] - known[sets[others]])
                values[row, players[place]] += value
    return values


@kernel
def _node_weights(leaves: np.ndarray, depth: int) -> np.ndarray:
    """Return the weights of a tree's nodes, level by level from the leaves to the root."""
    nodes = np.empty(2 << depth, dtype=np.float64)
    nodes[: len(leaves)] = leaves
    filled, read = len(leaves), 0
    while filled < (2 << depth) - 1:
        nodes[filled] = nodes[read] + nodes[read + 1]
        filled, read = filled + 1, read + 2
    return nodes


@kernel
def _players(columns: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct columns of a tree's splits, and for each set of columns its splits, as bits."""
    players, splits, count = np.empty(len(used), np.int64), np.zeros(len(used), np.int64), 0
    for split in range(len(used)):
        place = 0
        while place < count and players[place] != columns[used[split]]:
            place += 1
        if place == count:
            players[count], count = columns[used[split]], count + 1
        splits[place] |= 1 << split
    sets = np.zeros(1 << count, dtype=np.int64)
    for place in range(count):
        for others in range(1 << place):
            sets[others | 1 << place] = sets[others] | splits[place]
    return players[:count], sets


@kernel
def _shares(count: int) -> np.ndarray:
    """Return, for each set S of n players, the weight of the next one's gain: |S|! (n - |S| - 1)! / n!."""
    of_size = np.empty(count + 1, dtype=np.float64)
    of_size[0] = 1.0 / max(count, 1)
    for size in range(1, count):
        of_size[size] = of_size[size - 1] * size / (count - size)
    shares, sizes = np.empty(1 << count, dtype=np.float64), np.zeros(1 << count, dtype=np.int64)
    for one in range(1 << count):
        sizes[one] = sizes[one >> 1] + (one & 1)
        shares[one] = of_size[sizes[one]]  # of the set of all, which has no next one, it is never read
    return shares


@kernel
def _expectations(
    leaves: np.ndarray, nodes: np.ndarray, bins: np.ndarray, used: np.ndarray, borders: np.ndarray
) -> np.ndarray:
    """Return a tree's expected value for each set of splits whose results are known, as bits.

    Its last split is the root. A node without training rows takes the mean of its two sides.
    """
    depth, level = len(used), 0
    known, before = leaves.copy(), np.empty(len(leaves), dtype=np.float64)
    for split in range(depth):
        known, before = before, known
        half, answer = 1 << (depth - split - 1), bins[used[split]] > borders[split]
        for others in range(1 << split):
            own = before[others * 2 * half :]
            unknown, decided = known[others * half :], known[(others + (1 << split)) * half :]
            for node in range(half):
                left, right = nodes[level + 2 * node], nodes[level + 2 * node + 1]
                if left + right > 0.0:
                    unknown[node] = (left * own[2 * node] + right * own[2 * node + 1]) / (left + right)
                else:
                    unknown[node] = (own[2 * node] + own[2 * node + 1]) / 2.0
                decided[node] = own[2 * node + answer]
        level += 2 * half
    return known

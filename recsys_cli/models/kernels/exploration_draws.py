"""Kernels that draw items and places for exploration: without replacement, the rest equally likely."""

# pylint: disable=consider-using-enumerate  # explicit loops: numba compiles them best

import numpy as np

from recsys_cli.utils.numba_kernels import kernel

_STEP = np.uint64(0x9E3779B97F4A7C15)  # of splitmix64, as are the two factors
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_UNIT = 2.0**-53


@kernel
def drawn_rows(seeds: np.ndarray, count: int, draws: int) -> np.ndarray:
    """Return (seeds, draws) i32: for each seed so many different numbers below `count`, in the order drawn.

    Each row depends on its seed alone. Memory: `count` numbers besides the result.

    Args:
        seeds: u64; draws: at most `count`.

    Source: Durstenfeld (1964), Algorithm 235: Random permutation; Steele, Lea and Flood (2014), Fast
        Splittable Pseudorandom Number Generators, for splitmix64.
    """
    drawn = np.empty((len(seeds), draws), dtype=np.int32)
    numbers = np.arange(count, dtype=np.int32)
    swaps = np.empty(draws, dtype=np.int64)
    for row in range(len(seeds)):
        state = seeds[row]
        for slot in range(draws):
            state += _STEP
            other = slot + np.int64(_unit(state) * (count - slot))
            numbers[slot], numbers[other] = numbers[other], numbers[slot]
            drawn[row, slot], swaps[slot] = numbers[slot], other
        for slot in range(draws - 1, -1, -1):  # back to ascending: the next row starts alike
            other = swaps[slot]
            numbers[slot], numbers[other] = numbers[other], numbers[slot]
    return drawn


@kernel
def rows_of_items(indptr: np.ndarray, items: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return (users, wanted) i64: the row of each wanted item among the user's pairs, -1 for none.

    Args:
        indptr, items: the pairs by user, as in a CSR matrix, in any order.
        wanted: (users, wanted) items.
    """
    rows = np.full(wanted.shape, -1, dtype=np.int64)
    for user in range(wanted.shape[0]):
        for column in range(wanted.shape[1]):
            for row in range(indptr[user], indptr[user + 1]):
                if items[row] == wanted[user, column]:
                    rows[user, column] = row
                    break
    return rows


@kernel
def _unit(state: np.uint64) -> float:
    """Return a state's number in [0, 1), of 53 bits."""
    mixed = (state ^ (state >> np.uint64(30))) * _FIRST
    mixed = (mixed ^ (mixed >> np.uint64(27))) * _SECOND
    mixed ^= mixed >> np.uint64(31)
    return np.float64(mixed >> np.uint64(11)) * _UNIT

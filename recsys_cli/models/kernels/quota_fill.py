"""A kernel that adds rows to short lists from what quotas have left."""

# pylint: disable=too-many-locals, consider-using-enumerate  # explicit loops: numba compiles them best

import numpy as np

from recsys_cli.utils.numba_kernels import CsrArrays, kernel


@kernel
def fill_lists(
    values: np.ndarray, indptr: np.ndarray, quotas: CsrArrays, limits: CsrArrays, slots: np.ndarray
) -> None:
    """Append to each list, user by user, the best pairs that limits and quotas allow.

    Args:
        values: f64, by pair; indptr: where those of each user start.
        quotas, limits: indptr and codes of the groups of each pair, and the rows that each group has left
            (-1: no bound; they fall), or that a list may have of it.
        slots: (users, k) pairs of the lists, -1 for none, in their order; they are filled.
    """
    users, k = slots.shape
    longest = 0
    for user in range(users):
        longest = max(longest, indptr[user + 1] - indptr[user])
    is_open, counts = np.empty(longest, dtype=np.bool_), np.zeros(len(limits[2]), dtype=np.int64)
    for user in range(users):
        first, last, found = indptr[user], indptr[user + 1], 0
        is_open[: last - first] = True
        while found < k and slots[user, found] >= 0:
            is_open[slots[user, found] - first] = False
            _add(limits, slots[user, found], counts, 1)
            found += 1
        while found < k:
            best = _best_open(values[first:last], is_open)
            if best < 0:
                break
            is_open[best] = False
            if _has_room(quotas, limits, first + best, counts):
                slots[user, found] = first + best
                _add(limits, first + best, counts, 1)
                _sell(quotas, first + best)
                found += 1
        for place in range(found):
            _add(limits, slots[user, place], counts, -1)


@kernel
def _best_open(values: np.ndarray, is_open: np.ndarray) -> int:
    best = -1
    for place in range(len(values)):
        if is_open[place] and (best < 0 or values[place] > values[best]):
            best = place
    return best


@kernel
def _sell(quotas: CsrArrays, pair: int) -> None:
    for cell in range(quotas[0][pair], quotas[0][pair + 1]):
        if quotas[2][quotas[1][cell]] > 0:
            quotas[2][quotas[1][cell]] -= 1


@kernel
def _has_room(quotas: CsrArrays, limits: CsrArrays, pair: int, counts: np.ndarray) -> bool:
    for cell in range(quotas[0][pair], quotas[0][pair + 1]):
        if quotas[2][quotas[1][cell]] == 0:
            return False
    for cell in range(limits[0][pair], limits[0][pair + 1]):
        if counts[limits[1][cell]] >= limits[2][limits[1][cell]]:
            return False
    return True


@kernel
def _add(limits: CsrArrays, pair: int, counts: np.ndarray, rows: int) -> None:
    for cell in range(limits[0][pair], limits[0][pair + 1]):
        counts[limits[1][cell]] += rows

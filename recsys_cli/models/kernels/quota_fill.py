"""A kernel that adds rows to short lists from what quotas have left."""

# pylint: disable=too-many-locals, consider-using-enumerate  # explicit loops: numba compiles them best

import numpy as np

from recsys_cli.utils.numba_kernels import CsrArrays, kernel


@kernel
def fill_lists(
    values: np.ndarray, indptr: np.ndarray, quotas: CsrArrays, limits: CsrArrays, slots: np.ndarray
) -> np.ndarray:
    """Append to each list, user by user, the best pairs that limits and quotas allow; return rows added by user.

    Args:
        values: f64, by pair; indptr: where those of each user start.
        quotas, limits: indptr and codes of the groups of each pair, and how many rows each group has left (-1: no
            bound; it falls) or a list may have of it.
        slots: (users, k) pairs of the lists, -1 for none, in their order; they are filled.
    """
    users, k = slots.shape
    added = np.zeros(users, dtype=np.int64)
    longest = 0
    for user in range(users):
        longest = max(longest, indptr[user + 1] - indptr[user])
    open_pairs = np.empty(longest, dtype=np.bool_)
    counts = np.zeros(len(limits[2]), dtype=np.int64)
    for user in range(users):
        first, last = indptr[user], indptr[user + 1]
        open_pairs[: last - first] = True
        found = 0
        while found < k and slots[user, found] >= 0:
            open_pairs[slots[user, found] - first] = False
            _add(limits, slots[user, found], counts, 1)
            found += 1
        while found < k:
            best = -1
            for pair in range(first, last):
                if open_pairs[pair - first] and (best < 0 or values[pair] > values[best]):
                    best = pair
            if best < 0:
                break
            open_pairs[best - first] = False
            if _has_room(quotas, limits, best, counts):
                slots[user, found] = best
                _add(limits, best, counts, 1)
                found, added[user] = found + 1, added[user] + 1
                for cell in range(quotas[0][best], quotas[0][best + 1]):
                    if quotas[2][quotas[1][cell]] > 0:
                        quotas[2][quotas[1][cell]] -= 1
        for place in range(found):
            _add(limits, slots[user, place], counts, -1)
    return added


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

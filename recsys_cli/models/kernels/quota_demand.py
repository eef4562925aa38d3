"""Kernels that prices are found with: what each pair counts for, and what users take at given prices."""

# pylint: disable=too-many-locals, consider-using-enumerate  # explicit loops: numba compiles them best

from typing import NamedTuple

import numpy as np

from recsys_cli.utils.numba_kernels import kernel

_NONE = np.uint64(0)


class Cells(NamedTuple):
    """Groups that pairs count for: codes[indptr[p]:indptr[p + 1]] are those of pair p."""

    indptr: np.ndarray
    codes: np.ndarray


class Offers(NamedTuple):
    """Pairs by user with their values, f64, and the groups of quotas and of limits that they count for."""

    indptr: np.ndarray
    values: np.ndarray
    quotas: Cells
    limits: Cells
    at_most: np.ndarray


@kernel
def cells_of(
    items: np.ndarray, marks: np.ndarray, bits: np.ndarray, indptr: np.ndarray, codes: np.ndarray
) -> Cells:
    """Return the groups that each pair counts for.

    Args:
        bits: of the rules; indptr: (rules, items + 1): where the groups of an item of a rule are in `codes`.
    """
    count = 0
    for pair in range(len(items)):
        for rule in range(len(bits)):
            if marks[pair] & bits[rule] != _NONE:
                count += indptr[rule, items[pair] + 1] - indptr[rule, items[pair]]
    starts, found = np.zeros(len(items) + 1, dtype=np.int64), np.empty(count, dtype=np.int32)
    count = 0
    for pair in range(len(items)):
        for rule in range(len(bits)):
            if marks[pair] & bits[rule] != _NONE:
                for cell in range(indptr[rule, items[pair]], indptr[rule, items[pair] + 1]):
                    found[count] = codes[cell]
                    count += 1
        starts[pair + 1] = count
    return Cells(starts, found)


@kernel
def values_of(scores: np.ndarray, marks: np.ndarray, bits: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """Return score x factors of each pair, f64."""
    values = np.empty(len(scores), dtype=np.float64)
    for pair in range(len(scores)):
        value = np.float64(scores[pair])
        for rule in range(len(bits)):
            if marks[pair] & bits[rule] != _NONE:
                value *= factors[rule]
        values[pair] = value
    return values


@kernel
def demand(
    offers: Offers, prices: np.ndarray, k: int, first_user: int, last_user: int
) -> tuple[np.ndarray, float]:
    """Return what users would take at these prices, each for itself: rows by group, i64, and their value.

    Args:
        first_user, last_user: the users, from the first to before the last.
    """
    used, total = np.zeros(len(prices), dtype=np.int64), 0.0
    counts = np.zeros(len(offers.at_most), dtype=np.int64)
    longest = 0
    for user in range(first_user, last_user):
        longest = max(longest, offers.indptr[user + 1] - offers.indptr[user])
    worth, best = np.empty(longest, dtype=np.float64), np.empty(k + 1, dtype=np.float64)
    chosen = np.empty(k + 1, dtype=np.int64)
    for user in range(first_user, last_user):
        first, last = offers.indptr[user], offers.indptr[user + 1]
        _price_pairs(offers, first, last, prices, worth)
        if offers.limits.indptr[first] == offers.limits.indptr[last]:
            found = _best_pairs(worth[: last - first], best, chosen)
        else:
            found = _best_within_limits(offers, first, worth[: last - first], best, chosen, counts)
        for place in range(found):
            pair = first + chosen[place]
            total += best[place]
            for cell in range(offers.quotas.indptr[pair], offers.quotas.indptr[pair + 1]):
                used[offers.quotas.codes[cell]] += 1
            for cell in range(offers.limits.indptr[pair], offers.limits.indptr[pair + 1]):
                counts[offers.limits.codes[cell]] = 0
    return used, total


@kernel
def _price_pairs(offers: Offers, first: int, last: int, prices: np.ndarray, worth: np.ndarray) -> None:
    cell = offers.quotas.indptr[first]
    for pair in range(first, last):
        value, end = offers.values[pair], offers.quotas.indptr[pair + 1]
        while cell < end:
            value -= prices[offers.quotas.codes[cell]]
            cell += 1
        worth[pair - first] = value


@kernel
def _best_pairs(worth: np.ndarray, best: np.ndarray, chosen: np.ndarray) -> int:
    """Write the largest positive values and their rows, best first; return how many they are."""
    k, found, floor = len(best) - 1, 0, 0.0
    for row in range(len(worth)):
        value = worth[row]
        if value <= floor:
            continue
        place = found
        while place > 0 and best[place - 1] < value:
            best[place], chosen[place] = best[place - 1], chosen[place - 1]
            place -= 1
        best[place], chosen[place] = value, row
        found = min(found + 1, k)
        if found == k:
            floor = best[k - 1]
    return found


@kernel
def _best_within_limits(
    offers: Offers, first: int, worth: np.ndarray, best: np.ndarray, chosen: np.ndarray, counts: np.ndarray
) -> int:
    """Write the largest positive values that the limits allow, one by one, and their rows."""
    found = 0
    while found < len(best) - 1:
        row = int(np.argmax(worth))
        if worth[row] <= 0.0:
            break
        if _count(offers, first + row, counts):
            best[found], chosen[found] = worth[row], row
            found += 1
        worth[row] = -np.inf
    return found


@kernel
def _count(offers: Offers, pair: int, counts: np.ndarray) -> bool:
    """Count a pair for its limits, or return that one of them refuses it."""
    limits = offers.limits
    for cell in range(limits.indptr[pair], limits.indptr[pair + 1]):
        if counts[limits.codes[cell]] >= offers.at_most[limits.codes[cell]]:
            return False
    for cell in range(limits.indptr[pair], limits.indptr[pair + 1]):
        counts[limits.codes[cell]] += 1
    return True

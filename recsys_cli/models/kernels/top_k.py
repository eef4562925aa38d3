"""Kernels that choose each user's top k: by scores, by sums over neighbours, or in a given order.

Every user is computed alone and in a fixed order: lists do not depend on chunks or threads. Lists of items
have the shape (users, wanted), i32, best first, -1 after the last; equal scores are ordered by item.
"""

# pylint: disable=too-many-locals, consider-using-enumerate  # explicit loops: numba compiles them best

from typing import Any

import numpy as np

from recsys_cli.utils.numba_kernels import CsrArrays, kernel

_LOW = np.uint64(0xFFFFFFFF)
_SIGN = np.uint32(0x80000000)
_BUCKETS = 512
_CROWD = 64  # keys of one bucket that insertion sort still handles quickly


@kernel
def best_cells(
    scores: np.ndarray,
    items: np.ndarray,
    columns: np.ndarray,
    indptr: np.ndarray,
    viewed: np.ndarray,
    above: np.float32,
    wanted: int,
) -> np.ndarray:
    """Return the unviewed items with the largest scores above `above`; scores of viewed items become -inf.

    Args:
        scores: (users, columns) f32.
        items: item of each column, ascending; columns: column of each item, -1 for none.
        indptr, viewed: the items that each user has viewed, as in a CSR matrix.
    """
    users, width = scores.shape
    best = np.full((users, wanted), -1, dtype=np.int32)
    if width == 0 or wanted == 0:
        return best
    stride = min(width, 8 * wanted)
    maxima, sizes = np.empty(stride, dtype=np.float32), np.empty(_BUCKETS, dtype=np.int64)
    keys = np.empty(width, dtype=np.uint64)
    for user in range(users):
        row = scores[user]
        for place in range(indptr[user], indptr[user + 1]):
            if columns[viewed[place]] >= 0:
                row[columns[viewed[place]]] = -np.inf
        limit = np.float32(above)
        if stride > wanted:
            limit = max(limit, _lower_bound(row, maxima, sizes, wanted))
        else:
            maxima[:] = np.inf
        count = 0
        for start in range(stride):
            if maxima[start] < limit:
                continue
            for column in range(start, width, stride):
                if row[column] >= limit and row[column] > above:
                    keys[count] = _key(row[column], items[column])
                    count += 1
        _take_best(keys, count, best[user])
    return best


@kernel
def _lower_bound(row: np.ndarray, maxima: np.ndarray, sizes: np.ndarray, wanted: int) -> np.float32:
    """Return a value that at least `wanted` cells reach, and fill `maxima` with those of strided cells.

    It is one of the maxima, close to the wanted-th largest.
    """
    stride = len(maxima)
    maxima[:] = row[:stride]
    for start in range(stride, len(row), stride):
        cells = row[start : start + stride]
        for place in range(len(cells)):
            maxima[place] = cells[place] if cells[place] > maxima[place] else maxima[place]
    top = np.uint64(0)
    for place in range(stride):
        top = max(top, _key(maxima[place], 0))
    sizes[:] = 0
    for place in range(stride):
        sizes[_bucket(top, _key(maxima[place], 0))] += 1
    last, total = 0, sizes[0]
    while total < wanted:
        last += 1
        total += sizes[last]
    bound = np.float32(np.inf)
    for place in range(stride):
        if maxima[place] < bound and _bucket(top, _key(maxima[place], 0)) <= last:
            bound = maxima[place]
    return bound


@kernel
def best_sums(
    taste: CsrArrays,
    weights: CsrArrays,
    users: np.ndarray,
    eligible: np.ndarray,
    indptr: np.ndarray,
    viewed: np.ndarray,
    wanted: int,
) -> np.ndarray:
    """Return the eligible, unviewed items with the largest positive sums of taste x weight per user.

    Args:
        taste: (all users, items); weights: (items, items), without negative cells.
        users: rows of `taste`; indptr, viewed: the items that each of these users has viewed.
    """
    taste_rows, taste_items, tastes = taste
    weight_rows, weight_items, cells = weights
    size = len(eligible)
    best = np.full((len(users), wanted), -1, dtype=np.int32)
    sums, marks = np.zeros(size, dtype=np.float32), np.zeros(size, dtype=np.int64)
    touched, keys = np.empty(size + 1, dtype=np.int32), np.empty(size + 1, dtype=np.uint64)
    for place in range(len(users)):
        count = 0
        for cell in range(taste_rows[users[place]], taste_rows[users[place] + 1]):
            item = taste_items[cell]
            for neighbour in range(weight_rows[item], weight_rows[item + 1]):
                other = weight_items[neighbour]
                sums[other] += tastes[cell] * cells[neighbour]
                touched[count] = other  # without a branch, which would be mispredicted half the time
                count += 1 - marks[other]
                marks[other] = 1
        for cell in range(indptr[place], indptr[place + 1]):
            sums[viewed[cell]] = 0.0
        found = 0
        for step in range(count):
            other = touched[step]
            keys[found] = _key(sums[other], other)
            found += np.int64(sums[other] > 0.0) & eligible[other]
            sums[other] = 0.0
            marks[other] = 0
        _take_best(keys, found, best[place])
    return best


@kernel
def first_unviewed(
    orders: np.ndarray, rows: np.ndarray, indptr: np.ndarray, viewed: np.ndarray, size: int, wanted: int
) -> np.ndarray:
    """Return the first items of each user's order that the user has not viewed.

    Args:
        orders: (orders, length) items, best first, -1 after the last.
        rows: the row of `orders` for each user.
        size: number of items.
    """
    best = np.full((len(rows), wanted), -1, dtype=np.int32)
    marks = np.zeros(size, dtype=np.uint8)
    for place in range(len(rows)):
        for cell in range(indptr[place], indptr[place + 1]):
            marks[viewed[cell]] = 1
        count = 0
        for item in orders[rows[place]]:
            if item < 0 or count == wanted:
                break
            if marks[item] == 0:
                best[place, count] = item
                count += 1
        for cell in range(indptr[place], indptr[place + 1]):
            marks[viewed[cell]] = 0
    return best


@kernel
def top_k_rows(scores: np.ndarray, indptr: np.ndarray, limit: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of each user's `limit` largest scores, best first, and their ranks from 1.

    Equal scores keep their order.
    """
    users, longest, total = len(indptr) - 1, 0, 0
    for user in range(users):
        longest = max(longest, indptr[user + 1] - indptr[user])
        total += min(limit, indptr[user + 1] - indptr[user])
    places, ranks = np.empty(total, dtype=np.int64), np.empty(total, dtype=np.uint16)
    keys, best = np.empty(longest, dtype=np.uint64), np.empty(min(limit, longest), dtype=np.int32)
    filled = 0
    for user in range(users):
        first, count = indptr[user], indptr[user + 1] - indptr[user]
        for row in range(count):
            keys[row] = _key(scores[first + row], row)
        _take_best(keys, count, best)
        for rank in range(min(limit, count)):
            places[filled], ranks[filled] = first + best[rank], rank + 1
            filled += 1
    return places, ranks


@kernel
def _key(score: np.float32, item: int) -> np.uint64:
    """Return a sort key: larger for a larger score and, among equal scores, for a smaller item."""
    bits = np.float32(score + np.float32(0.0)).view(np.uint32)
    bits = ~bits if bits & _SIGN else bits | _SIGN
    return (np.uint64(bits) << np.uint64(32)) | (_LOW - np.uint64(item))


@kernel
def _take_best(keys: np.ndarray, count: int, best: np.ndarray) -> None:
    """Write the items of the largest of the first `count` keys, in order; reorders `keys`.

    Buckets of similar scores, 128 per factor of two, leave little to sort.
    """
    wanted = min(len(best), count)
    if wanted == 0:
        return
    top = np.uint64(0)
    for place in range(count):
        top = max(top, keys[place])
    sizes = np.zeros(_BUCKETS + 1, dtype=np.int64)
    for place in range(count):
        sizes[_bucket(top, keys[place]) + 1] += 1
    last, total, largest = 0, sizes[1], sizes[1]
    while total < wanted:
        last += 1
        total += sizes[last + 1]
        largest = max(largest, sizes[last + 1])
    if largest > _CROWD:
        _nth_largest(keys[:count], wanted)
        chosen = np.sort(keys[:wanted])[::-1]
    else:
        for bucket in range(last + 1):
            sizes[bucket + 1] += sizes[bucket]
        chosen = np.empty(total, dtype=np.uint64)
        for place in range(count):
            bucket = _bucket(top, keys[place])
            if bucket <= last:
                chosen[sizes[bucket]] = keys[place]
                sizes[bucket] += 1
        _sort_nearly_sorted(chosen)
    for place in range(wanted):
        best[place] = np.int32(_LOW - (chosen[place] & _LOW))


@kernel
def _bucket(top: np.uint64, key: np.uint64) -> Any:
    return min(np.int64((top - key) >> np.uint64(48)), _BUCKETS - 1)


@kernel
def _nth_largest(values: np.ndarray, nth: int) -> Any:
    """Return the nth largest value, counted from 1; reorders `values`."""
    low, high, place = 0, len(values) - 1, nth - 1
    while low < high:
        pivot = values[(low + high) // 2]
        left, right = low, high
        while left <= right:
            while values[left] > pivot:
                left += 1
            while values[right] < pivot:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left += 1
                right -= 1
        if place <= right:
            high = right
        elif place >= left:
            low = left
        else:
            break
    return values[place]


@kernel
def _sort_nearly_sorted(keys: np.ndarray) -> None:
    """Sort in descending order keys that are all close to their final position."""
    for place in range(1, len(keys)):
        key, before = keys[place], place - 1
        while before >= 0 and keys[before] < key:
            keys[before + 1] = keys[before]
            before -= 1
        keys[before + 1] = key

"""The compiled loops of the first stage: best items of a user, sums over neighbours, merging.

Every user is worked on alone and in one order, so a list depends on no chunk and no number of threads.
Lists of items have the shape (users, wanted), i32, best first, -1 behind the last; equal scores go by item.
"""

# pylint: disable=too-many-locals, consider-using-enumerate  # loops as the compiler wants them

from typing import Any

import numpy as np

from recsys_cli.utils.compiled import compiled, compiled_sums

_LOW = np.uint64(0xFFFFFFFF)
_SIGN = np.uint32(0x80000000)
_DE_BRUIJN = np.uint64(0x03F79D71B4CB0A89)  # times a power of two, its upper six bits tell which
_BIT_PLACES = np.zeros(64, dtype=np.int64)
_BIT_PLACES[[((int(_DE_BRUIJN) << bit) & 0xFFFFFFFFFFFFFFFF) >> 58 for bit in range(64)]] = np.arange(64)
_BUCKETS = 512


@compiled
def best_cells(
    scores: np.ndarray,
    items: np.ndarray,
    columns: np.ndarray,
    indptr: np.ndarray,
    viewed: np.ndarray,
    above: np.float32,
    wanted: int,
) -> np.ndarray:
    """Return the unviewed items with the largest scores above `above`; viewed cells become -infinity.

    Args:
        scores: (users, columns) f32.
        items: item of each column, ascending; columns: column of each item, -1 for none.
        indptr, viewed: what each user has viewed, as in a CSR matrix.
    """
    users, width = scores.shape
    best = np.full((users, wanted), -1, dtype=np.int32)
    stride = max(1, min(width, 8 * wanted))
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
                    keys[count] = key_of(row[column], items[column])
                    count += 1
        take_best(keys, count, best[user])
    return best


@compiled
def _lower_bound(row: np.ndarray, maxima: np.ndarray, sizes: np.ndarray, wanted: int) -> np.float32:
    """Return a value that at least `wanted` cells reach; `maxima` become those of strided cells.

    It is one of the maxima, close to the wanted-th largest of them.
    """
    stride = len(maxima)
    maxima[:] = row[:stride]
    for start in range(stride, len(row), stride):
        part = row[start : start + stride]
        for place in range(len(part)):
            maxima[place] = part[place] if part[place] > maxima[place] else maxima[place]
    top = np.uint64(0)
    for place in range(stride):
        top = max(top, key_of(maxima[place], 0))
    sizes[:] = 0
    for place in range(stride):
        sizes[_bucket(top, key_of(maxima[place], 0))] += 1
    last, total = 0, sizes[0]
    while total < wanted:
        last += 1
        total += sizes[last]
    bound = np.float32(np.inf)
    for place in range(stride):
        if maxima[place] < bound and _bucket(top, key_of(maxima[place], 0)) <= last:
            bound = maxima[place]
    return bound


@compiled
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


@compiled
def key_of(score: np.float32, item: int) -> np.uint64:
    """Return a number that grows with the score and, among equal ones, falls with the item."""
    bits = np.float32(score + np.float32(0.0)).view(np.uint32)
    bits = ~bits if bits & _SIGN else bits | _SIGN
    return (np.uint64(bits) << np.uint64(32)) | (_LOW - np.uint64(item))


@compiled
def take_best(keys: np.ndarray, count: int, best: np.ndarray) -> None:
    """Write the items of the largest of the first `count` keys, in order; reorders `keys`.

    Buckets of nearby scores, 128 of them for a halving, leave little to be sorted.
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
    last, total = 0, sizes[1]
    while total < wanted:
        last += 1
        total += sizes[last + 1]
    if sizes[last + 1] > 64:
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


@compiled
def _bucket(top: np.uint64, key: np.uint64) -> Any:
    return min(np.int64((top - key) >> np.uint64(48)), _BUCKETS - 1)


@compiled
def _sort_nearly_sorted(keys: np.ndarray) -> None:
    """Sort, the largest first, keys of which none is far from its place."""
    for place in range(1, len(keys)):
        key, before = keys[place], place - 1
        while before >= 0 and keys[before] < key:
            keys[before + 1] = keys[before]
            before -= 1
        keys[before + 1] = key


@compiled
def best_sums(
    taste_rows: np.ndarray,
    taste_items: np.ndarray,
    taste: np.ndarray,
    weight_rows: np.ndarray,
    weight_items: np.ndarray,
    weights: np.ndarray,
    users: np.ndarray,
    eligible: np.ndarray,
    indptr: np.ndarray,
    viewed: np.ndarray,
    wanted: int,
) -> np.ndarray:
    """Return the eligible, unviewed items with the largest sums above 0 over what each user's items say.

    Args:
        taste_rows, taste_items, taste: CSR matrix (all users, items).
        weight_rows, weight_items, weights: CSR matrix (items, items), none of its cells negative.
        users: the rows of `taste` to be served; `indptr` and `viewed` go by their places.
    """
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
                sums[other] += taste[cell] * weights[neighbour]
                touched[count] = other  # without a branch: it would be guessed wrong half the time
                count += 1 - marks[other]
                marks[other] = 1
        for cell in range(indptr[place], indptr[place + 1]):
            sums[viewed[cell]] = 0.0
        found = 0
        for step in range(count):
            other = touched[step]
            keys[found] = key_of(sums[other], other)
            found += np.int64(sums[other] > 0.0) & eligible[other]
            sums[other] = 0.0
            marks[other] = 0
        take_best(keys, found, best[place])
    return best


@compiled
def sums_of_pairs(
    taste_rows: np.ndarray,
    taste_items: np.ndarray,
    taste: np.ndarray,
    weight_rows: np.ndarray,
    weight_items: np.ndarray,
    weights: np.ndarray,
    users: np.ndarray,
    indptr: np.ndarray,
    items: np.ndarray,
) -> np.ndarray:
    """Return the sums of `best_sums`, f32, for the items of each user; `indptr` says whose they are."""
    values = np.empty(len(items), dtype=np.float32)
    sums = np.zeros(len(weight_rows) - 1, dtype=np.float32)
    for place in range(len(users)):
        first, last = taste_rows[users[place]], taste_rows[users[place] + 1]
        for cell in range(first, last):
            item = taste_items[cell]
            for neighbour in range(weight_rows[item], weight_rows[item + 1]):
                sums[weight_items[neighbour]] += taste[cell] * weights[neighbour]
        for pair in range(indptr[place], indptr[place + 1]):
            values[pair] = sums[items[pair]]
        for cell in range(first, last):
            item = taste_items[cell]
            for neighbour in range(weight_rows[item], weight_rows[item + 1]):
                sums[weight_items[neighbour]] = 0.0
    return values


@compiled
def dense_sums(
    taste_rows: np.ndarray,
    taste_items: np.ndarray,
    taste: np.ndarray,
    rows: np.ndarray,
    weights: np.ndarray,
    users: np.ndarray,
) -> np.ndarray:
    """Return (users, columns) f32: each user's sum of the rows of `weights`, one after the other.

    Args:
        rows: the row of `weights` that belongs to each item, -1 for none.
    """
    sums = np.zeros((len(users), weights.shape[1]), dtype=np.float32)
    for place in range(len(users)):
        own = sums[place]
        for cell in range(taste_rows[users[place]], taste_rows[users[place] + 1]):
            row = rows[taste_items[cell]]
            if row >= 0:
                weight, values = taste[cell], weights[row]
                for column in range(len(own)):
                    own[column] += weight * values[column]
    return sums


@compiled_sums
def products_of_pairs(
    queries: np.ndarray, base: np.ndarray, indptr: np.ndarray, items: np.ndarray
) -> np.ndarray:
    """Return, f32, the product of each user's query with the vectors of its items."""
    values = np.empty(len(items), dtype=np.float32)
    for place in range(len(queries)):
        query = queries[place]
        for pair in range(indptr[place], indptr[place + 1]):
            vector = base[items[pair]]
            total = np.float32(0.0)
            for dimension in range(len(query)):
                total += query[dimension] * vector[dimension]
            values[pair] = total
    return values


@compiled
def first_unviewed(
    orders: np.ndarray, rows: np.ndarray, indptr: np.ndarray, viewed: np.ndarray, size: int, wanted: int
) -> np.ndarray:
    """Return the first items of each user's order that it has not viewed.

    Args:
        orders: (orders, length) items, best first, -1 behind the last.
        rows: which order each user has.
        size: number of items that there are.
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


@compiled
def cells_of_pairs(table: np.ndarray, rows: np.ndarray, indptr: np.ndarray, items: np.ndarray) -> np.ndarray:
    """Return, f32, of each pair the cell of `table` in the user's row and the item's column."""
    values = np.empty(len(items), dtype=np.float32)
    for place in range(len(rows)):
        row = table[rows[place]]
        for pair in range(indptr[place], indptr[place + 1]):
            values[pair] = row[items[pair]]
    return values


@compiled
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
    words, place_of = np.zeros(size // 64 + 1, dtype=np.uint64), np.empty(size, dtype=np.int32)
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
                items[count], place_of[item] = item, count
                count += 1
                word ^= lowest
        for cell in range(width):
            item = lists[user, cell]
            if item >= 0:
                places[user, cell] = place_of[item]
                sources[place_of[item]] |= bits[cell]
        indptr[user + 1] = count
    return indptr, items[:count].copy(), sources[:count].copy(), places


@compiled
def ranks_of(places: np.ndarray, count: int) -> np.ndarray:
    """Return, f32, the rank that a source's list gives to each of `count` items, NaN for none."""
    ranks = np.full(count, np.nan, dtype=np.float32)
    for user in range(places.shape[0]):
        for rank in range(places.shape[1]):
            if places[user, rank] >= 0:
                ranks[places[user, rank]] = rank + 1
    return ranks


@compiled
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

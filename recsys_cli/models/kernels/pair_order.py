"""Kernels that order each user's pairs by score, or by the value that rules give them, and name boosts."""

# pylint: disable=too-many-locals, consider-using-enumerate  # explicit loops: numba compiles them best

import numpy as np

from recsys_cli.models.kernels.selection_arrays import Lists, Rules, ScoredPairs
from recsys_cli.utils.numba_kernels import kernel

_LOW = np.uint64(0xFFFFFFFF)
_SIGN = np.uint32(0x80000000)
_NONE = np.uint64(0)
_SCORE, _BOOST = 0, 1  # PlacedBy
_FREE = 0  # state of a pair
_BUCKETS = 256
_CROWD = 32  # keys of one bucket that insertion sort still handles quickly


@kernel
def take_best_scores(scored: ScoredPairs, users: np.ndarray, k: int, lists: Lists) -> None:
    """Write the rows of the k largest scores of users, best first; of equal scores, the smaller item."""
    scores, items, rows = scored.scores, scored.items, lists.rows
    keys = np.empty(k, dtype=np.uint64)
    for user in users:
        out, found = lists.offsets[user], 0
        for row in range(scored.indptr[user], scored.indptr[user + 1]):
            key = _key(scores[row], items[row])
            if found == k and key < keys[k - 1]:
                continue
            place = found if found < k else k - 1
            while place > 0 and keys[place - 1] < key:
                keys[place], rows[out + place] = keys[place - 1], rows[out + place - 1]
                place -= 1
            keys[place], rows[out + place] = key, row
            found = min(found + 1, k)


@kernel
def order_pairs(
    scored: ScoredPairs, users: np.ndarray, rules: Rules, count: int, pairs: np.ndarray, lists: Lists
) -> None:
    """Write the pairs of users one after another, each user's best value first.

    Args:
        count: how many of the rules that count hold; a price of the others comes off no value.
        pairs: PAIR records.
        lists: `touched` is set for users with a pair that has a price.
    """
    longest, first = 0, 0
    for user in users:
        longest = max(longest, scored.indptr[user + 1] - scored.indptr[user])
    keys, spare = np.empty(longest, dtype=np.uint64), np.empty(longest, dtype=np.uint64)
    given = np.empty_like(pairs[:longest])
    for user in users:
        size = scored.indptr[user + 1] - scored.indptr[user]
        if _value_pairs(scored, user, rules, count, given, keys):
            lists.touched[user] = True
        _sort(keys, spare, size)
        ordered = pairs[first : first + size]
        for place in range(size):
            pair = given[np.int64(_LOW - (keys[place] & _LOW))]
            spot = place
            while spot > 0 and ordered[spot - 1].item > pair.item and ordered[spot - 1].value == pair.value:
                ordered[spot] = ordered[spot - 1]
                spot -= 1
            ordered[spot] = pair
        first += size


@kernel
def _value_pairs(
    scored: ScoredPairs, user: int, rules: Rules, count: int, given: np.ndarray, keys: np.ndarray
) -> bool:
    """Write a user's pairs and the keys to sort them by; return whether any has a price."""
    first, user_mark = scored.indptr[user], scored.user_marks[user]
    boosting, pricing, has_price = _NONE, _NONE, False
    for place in range(len(rules.factors)):
        boosting |= rules.factors[place].bit
    for place in range(rules.limits, count):
        pricing |= rules.counted.rules[place].bit
    before, factor = _NONE, 1.0
    for row in range(scored.indptr[user + 1] - first):
        mark, item = scored.marks[first + row] & user_mark, scored.items[first + row]
        if mark & boosting != before:
            before, factor = mark & boosting, _factor(mark, rules.factors)
        value = np.float64(scored.scores[first + row]) * factor
        if mark & pricing != _NONE:
            price = 0.0
            for quota in range(count - rules.limits):
                if mark & rules.counted.rules[rules.limits + quota].bit != _NONE:
                    price += rules.counted.prices[quota, item]
            has_price |= price != 0.0
            value -= price
        pair = given[row]
        pair.mark, pair.row, pair.item = mark, row, item
        pair.value, pair.nearest, pair.state = value, 0.0, _FREE
        keys[row] = _key(pair.value, row)
    return has_price


@kernel
def _key(score: np.float32, item: int) -> np.uint64:
    """Return a sort key: larger for a larger score and, among equal scores, for a smaller item."""
    bits = np.float32(score + np.float32(0.0)).view(np.uint32)
    bits = ~bits if bits & _SIGN else bits | _SIGN
    return (np.uint64(bits) << np.uint64(32)) | (_LOW - np.uint64(item))


@kernel
def _sort(keys: np.ndarray, spare: np.ndarray, size: int) -> None:
    """Sort the first `size` keys in descending order: by buckets of similar keys, then within them."""
    if size == 0:
        return
    top, low = keys[0], keys[0]
    for place in range(size):
        top, low = max(top, keys[place]), min(low, keys[place])
    shift = np.uint64(0)
    while (top - low) >> shift >= np.uint64(_BUCKETS):
        shift += np.uint64(1)
    ends, crowd = np.zeros(_BUCKETS + 1, dtype=np.int64), 0
    for place in range(size):
        spare[place] = keys[place]
        ends[np.int64((top - keys[place]) >> shift) + 1] += 1
    for bucket in range(_BUCKETS):
        crowd = max(crowd, ends[bucket + 1])
        ends[bucket + 1] += ends[bucket]
    for place in range(size):
        found = np.int64((top - spare[place]) >> shift)
        keys[ends[found]] = spare[place]
        ends[found] += 1
    _sort_with_gaps(keys[:size], size // 3 if crowd > _CROWD else 1)


@kernel
def _sort_with_gaps(keys: np.ndarray, most: int) -> None:
    """Sort in descending order: shell sort from a gap of about `most` down; 1: insertion sort."""
    gap = 1
    while gap < most:
        gap = 3 * gap + 1
    while gap > 0:
        for place in range(gap, len(keys)):
            key, spot = keys[place], place
            while spot >= gap and keys[spot - gap] < key:
                keys[spot] = keys[spot - gap]
                spot -= gap
            keys[spot] = key
        gap //= 3


@kernel
def _factor(mark: np.uint64, factors: np.ndarray) -> float:
    factor = 1.0
    for place in range(len(factors)):
        if mark & factors[place].bit != _NONE:
            factor *= factors[place].factor
    return factor


@kernel
def mark_boosts(scored: ScoredPairs, users: np.ndarray, factors: np.ndarray, k: int, lists: Lists) -> None:
    """Name the boost of chosen pairs that are not among the k best by score alone."""
    scores, items = scored.scores, scored.items
    for user in users:
        for place in range(lists.offsets[user], lists.offsets[user + 1]):
            row = lists.rows[place]
            if row < 0 or lists.reasons[place] != _SCORE:
                continue
            mark = scored.marks[row] & scored.user_marks[user]
            if _factor(mark, factors) <= 1.0:
                continue
            key, better, number = _key(scores[row], items[row]), 0, 0
            for other in range(scored.indptr[user], scored.indptr[user + 1]):
                better += int(_key(scores[other], items[other]) > key)
            while not (factors[number].factor > 1.0 and mark & factors[number].bit != _NONE):
                number += 1
            if better >= k:
                lists.reasons[place], lists.rules[place] = _BOOST, factors[number].rule

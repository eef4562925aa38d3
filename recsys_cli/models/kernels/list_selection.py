"""Kernels that choose each user's list from scored pairs by a day's rules, greedily from place to place.

A user's pairs are ordered by value, best first, equal values by item. A pair that a limit or a quota refuses
once is refused for the rest of the list, because groups only fill. The records and named tuples that the
kernels read and write stand here, too: numba invalidates its cache per file.
"""

# pylint: disable=too-many-locals, consider-using-enumerate  # explicit loops: numba compiles them best

from typing import NamedTuple

import numpy as np

from recsys_cli.utils.numba_kernels import kernel, kernel_with_reordered_sums

_ONE, _NONE = np.uint64(1), np.uint64(0)
_SCORE, _BOOST, _PIN, _AT_LEAST, _DIVERSITY, _EXPLORE = 0, 1, 2, 3, 4, 5  # PlacedBy
_FREE, _TAKEN, _REFUSED = 0, 1, 2  # states of a pair; refused by rule n of those that count: _REFUSED + n
_VECTORS, _NEIGHBOURS = 1, 2  # SimilarityForm; else tokens
_LOW = np.uint64(0xFFFFFFFF)
_SIGN = np.uint32(0x80000000)
_BUCKETS = 256
_CROWD = 32  # keys of one bucket that insertion sort still handles quickly

PAIR = np.dtype(
    [("mark", "u8"), ("row", "i8"), ("item", "i8"), ("value", "f4"), ("nearest", "f4"), ("state", "i8")]
)
SLOT = np.dtype([("pair", "i8"), ("reason", "i8"), ("rule", "i8")])
FACTOR = np.dtype([("bit", "u8"), ("rule", "i8"), ("factor", "f8")])
NEED = np.dtype([("bit", "u8"), ("rule", "i8"), ("at_least", "i8"), ("missing", "i8"), ("available", "i8")])
PIN = np.dtype([("bit", "u8"), ("rule", "i8"), ("place", "i8")])
COUNTED = np.dtype([("bit", "u8"), ("rule", "i8")])


class ScoredPairs(NamedTuple):
    """Scored pairs by user, as in a CSR matrix, and the pairs to explore, (users, slots), -1 for none."""

    indptr: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    marks: np.ndarray
    user_marks: np.ndarray
    explored: np.ndarray
    places: np.ndarray


class Counted(NamedTuple):
    """Rules that count rows of groups: first limits, then quotas.

    Attributes:
        rules: COUNTED, one a rule.
        indptr, codes: codes[indptr[n, item]:indptr[n, item + 1]] are the groups of an item by rule n.
        full: rows that a group of a limit may have in a list; left: that it may still have, -1: no bound.
        prices: of a row by quota and item.
    """

    rules: np.ndarray
    indptr: np.ndarray
    codes: np.ndarray
    full: np.ndarray
    left: np.ndarray
    prices: np.ndarray


class Rules(NamedTuple):
    """Rules by action: FACTOR, NEED and PIN records, and those that count; `acting`: the bits of all."""

    acting: np.uint64
    factors: np.ndarray
    needs: np.ndarray
    pins: np.ndarray
    counted: Counted
    limits: int


class Similarity(NamedTuple):
    """The similarity of items in the form of `form`; weight 0: none is used. `scratch`: zeros, by column."""

    form: int
    weight: float
    vectors: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    scratch: np.ndarray


class Lists(NamedTuple):
    """What is chosen.

    Attributes:
        offsets: where each user's list begins.
        rows: of the shortlist, -1 after the last; reasons: PlacedBy; rules: the rule's number or -1.
        unmet: by user, the bits of pins and needs that are not met.
        touched: by user, whether a price or a quota without rows may have changed the list.
        sold_out: by pair, the quota that refused it, or -1.
    """

    offsets: np.ndarray
    rows: np.ndarray
    reasons: np.ndarray
    rules: np.ndarray
    unmet: np.ndarray
    touched: np.ndarray
    sold_out: np.ndarray


@kernel
def choose_lists(
    scored: ScoredPairs,
    users: np.ndarray,
    pairs: np.ndarray,
    rules: Rules,
    count: int,
    similarity: Similarity,
    slots: np.ndarray,
    lists: Lists,
) -> None:
    """Write the lists of users, one after another; what is left of quotas falls.

    Args:
        pairs: PAIR records of the users, one user after another, best value first.
        count: how many of the rules that count hold.
        slots: SLOT records, one a place: scratch.
    """
    start = 0
    for user in users:
        size = scored.indptr[user + 1] - scored.indptr[user]
        own, start = pairs[start : start + size], start + size
        for slot in range(len(slots)):
            slots[slot].pair = -1
        for number in range(len(rules.needs)):
            need = rules.needs[number]
            need.missing = need.at_least if scored.user_marks[user] & need.bit != _NONE else 0
        lists.unmet[user] = _pin(own, slots, scored.user_marks[user], rules, count, similarity)
        _explore(own, slots, scored, user, rules, count, similarity)
        _fill(own, slots, rules, count, similarity)
        for number in range(len(rules.needs)):
            if rules.needs[number].missing > 0:
                lists.unmet[user] |= rules.needs[number].bit
        _write(own, slots, scored.indptr[user], user, lists)
        _restore(own, slots, rules.counted, rules.limits)
        for place in range(size if count > rules.limits else 0):
            number = own[place].state - _REFUSED
            if number >= rules.limits:
                lists.sold_out[scored.indptr[user] + own[place].row] = rules.counted.rules[number].rule
                lists.touched[user] = True


@kernel
def _write(pairs: np.ndarray, slots: np.ndarray, first: int, user: int, lists: Lists) -> None:
    """Write the slots that are filled, without gaps."""
    out = lists.offsets[user]
    for slot in slots:
        if slot.pair >= 0:
            lists.rows[out], lists.rules[out] = first + pairs[slot.pair].row, slot.rule
            lists.reasons[out] = slot.reason
            out += 1


@kernel
def _pin(
    pairs: np.ndarray, slots: np.ndarray, mark: np.uint64, rules: Rules, count: int, similarity: Similarity
) -> np.uint64:
    """Put the best pairs of each pin in its places; return the bits of the pins that lack a pair."""
    unmet = _NONE
    for number in range(len(rules.pins)):
        pin = rules.pins[number]
        if mark & pin.bit != _NONE:
            slot, chosen = _free_slot(slots, pin.place - 1), -1
            if slot >= 0:
                chosen = _best_free(pairs, pin.bit, 1, 0.0, rules.counted, count)
            if chosen >= 0:
                _take(pairs, chosen, rules.needs, rules.counted, count)
                _approach(pairs, pairs[chosen].item, similarity)
                slots[slot].pair, slots[slot].reason, slots[slot].rule = chosen, _PIN, pin.rule
            else:
                unmet |= pin.bit
    return unmet


@kernel
def _explore(
    pairs: np.ndarray,
    slots: np.ndarray,
    scored: ScoredPairs,
    user: int,
    rules: Rules,
    count: int,
    similarity: Similarity,
) -> None:
    """Put the pairs to explore in their places."""
    for column in range(scored.explored.shape[1]):
        row, chosen = scored.explored[user, column] - scored.indptr[user], 0
        slot = _free_slot(slots, scored.places[user, column] - 1)
        if row < 0 or slot < 0:
            continue
        while chosen < len(pairs) and pairs[chosen].row != row:
            chosen += 1
        if chosen < len(pairs) and _is_allowed(pairs, chosen, rules.counted, count):
            _take(pairs, chosen, rules.needs, rules.counted, count)
            _approach(pairs, pairs[chosen].item, similarity)
            slots[slot].pair, slots[slot].reason, slots[slot].rule = chosen, _EXPLORE, -1


@kernel
def _fill(pairs: np.ndarray, slots: np.ndarray, rules: Rules, count: int, similarity: Similarity) -> None:
    """Fill the slots that are free with the best pairs, or with those that unmet needs force in."""
    weight, counted, needs, free = similarity.weight, rules.counted, rules.needs, _free(slots)
    for slot in slots:
        if slot.pair >= 0:
            continue
        best = _best_free(pairs, _NONE, 0, weight, counted, count)
        if best < 0:
            return
        too_dear = count > rules.limits and pairs[best].value < 0.0  # only a need wants it
        wanted, lacking = _unmet_needs(pairs, 0 if too_dear else free, needs, counted, count)
        if too_dear and lacking == 0:
            return
        slot.pair, slot.reason, slot.rule = best, _SCORE, -1
        if weight > 0.0 and best != _best_free(pairs, _NONE, 0, 0.0, counted, count):
            slot.reason = _DIVERSITY
        if too_dear or free <= lacking:
            slot.pair = _forced(pairs, wanted, free < lacking, weight, counted, count)
        if slot.pair != best:
            number = 0
            while pairs[slot.pair].mark & wanted & needs[number].bit == _NONE:
                number += 1
            slot.reason, slot.rule = _AT_LEAST, needs[number].rule
        _take(pairs, slot.pair, needs, counted, count)
        free -= 1
        if free > 0:
            _approach(pairs, pairs[slot.pair].item, similarity)


@kernel
def _free(slots: np.ndarray) -> int:
    """Return how many slots have no pair."""
    free = 0
    for slot in slots:
        free += slot.pair < 0
    return free


@kernel
def _forced(
    pairs: np.ndarray, wanted: np.uint64, is_short: bool, weight: float, counted: Counted, count: int
) -> int:
    """Return the best pair with a wanted bit; where places are short, of those with the most of the bits."""
    least, chosen = _bit_count(wanted) if is_short else 1, -1
    while chosen < 0:
        chosen = _best_free(pairs, wanted, least, weight, counted, count)
        least -= 1
    return chosen


@kernel
def _free_slot(slots: np.ndarray, first: int) -> int:
    """Return the first free slot from `first` on, -1 if none is."""
    for slot in range(first, len(slots)):
        if slots[slot].pair < 0:
            return slot
    return -1


@kernel
def _unmet_needs(
    pairs: np.ndarray, free: int, needs: np.ndarray, counted: Counted, count: int
) -> tuple[np.uint64, int]:
    """Return the bits of unmet needs that allowed pairs can reduce, and how many pairs they lack in all."""
    wanted, lacking = _NONE, 0
    for number in range(len(needs)):
        lacking += needs[number].missing
        wanted |= needs[number].bit if needs[number].missing > 0 else _NONE
        needs[number].available = 0
    if free > lacking:
        return _NONE, 0
    for place in range(len(pairs)):
        if pairs[place].mark & wanted != _NONE and _is_allowed(pairs, place, counted, count):
            for number in range(len(needs)):
                if pairs[place].mark & needs[number].bit != _NONE:
                    needs[number].available += 1
    wanted, lacking = _NONE, 0
    for number in range(len(needs)):
        met = min(needs[number].missing, needs[number].available)
        lacking += met
        wanted |= needs[number].bit if met > 0 else _NONE
    return wanted, lacking


@kernel
def _best_free(
    pairs: np.ndarray, wanted: np.uint64, least: int, weight: float, counted: Counted, count: int
) -> int:
    """Return the best allowed pair that has at least `least` of the wanted bits, -1 if there is none."""
    best, best_score = -1, -np.inf
    scale = 1.0 - weight
    if weight > 0.0 and len(pairs) > 0 and pairs[0].value > 0.0:
        scale /= np.float64(pairs[0].value)
    for place in range(len(pairs)):
        pair = pairs[place]
        if pair.state != _FREE:
            continue
        relevance = scale * pair.value
        if relevance <= best_score:
            break  # no later pair is better, whatever it resembles
        score = relevance - weight * pair.nearest
        if score <= best_score or (least > 0 and _bit_count(pair.mark & wanted) < least):
            continue
        if _is_allowed(pairs, place, counted, count):
            best, best_score = place, score
    return best


@kernel
def _bit_count(bits: np.uint64) -> int:
    count = 0
    while bits != _NONE:
        bits &= bits - _ONE
        count += 1
    return count


@kernel
def _is_allowed(pairs: np.ndarray, place: int, counted: Counted, count: int) -> bool:
    """Return whether a pair is free and no limit or quota refuses it, and record a refusal."""
    pair = pairs[place]
    if pair.state != _FREE:
        return False
    for number in range(count):
        if pair.mark & counted.rules[number].bit != _NONE:
            for cell in range(counted.indptr[number, pair.item], counted.indptr[number, pair.item + 1]):
                if counted.left[counted.codes[cell]] == 0:
                    pair.state = _REFUSED + number
                    return False
    return True


@kernel
def _take(pairs: np.ndarray, place: int, needs: np.ndarray, counted: Counted, count: int) -> None:
    """Count a pair that is chosen for limits, quotas and needs."""
    pair = pairs[place]
    pair.state = _TAKEN
    for number in range(count):
        if pair.mark & counted.rules[number].bit != _NONE:
            for cell in range(counted.indptr[number, pair.item], counted.indptr[number, pair.item + 1]):
                if counted.left[counted.codes[cell]] > 0:
                    counted.left[counted.codes[cell]] -= 1
    for number in range(len(needs)):
        if pair.mark & needs[number].bit != _NONE and needs[number].missing > 0:
            needs[number].missing -= 1


@kernel
def _restore(pairs: np.ndarray, slots: np.ndarray, counted: Counted, limits: int) -> None:
    """Give back what the list took of limits, which hold for each list."""
    for slot in slots:
        for number in range(limits if slot.pair >= 0 else 0):
            pair = pairs[slot.pair]
            if pair.mark & counted.rules[number].bit != _NONE:
                for cell in range(counted.indptr[number, pair.item], counted.indptr[number, pair.item + 1]):
                    counted.left[counted.codes[cell]] = counted.full[counted.codes[cell]]


@kernel_with_reordered_sums
def _approach_vector(pairs: np.ndarray, vectors: np.ndarray, item: int) -> None:
    chosen = vectors[item]
    for place in range(len(pairs)):
        other, alike = vectors[pairs[place].item], np.float32(0.0)
        for column in range(len(chosen)):
            alike += chosen[column] * other[column]
        pairs[place].nearest = max(pairs[place].nearest, alike)


@kernel
def _approach(pairs: np.ndarray, item: int, similarity: Similarity) -> None:
    """Raise each pair's similarity to the nearest chosen item, now that `item` is one."""
    if similarity.weight == 0.0:
        return
    if similarity.form == _VECTORS:
        _approach_vector(pairs, similarity.vectors, item)
        return
    indptr, indices = similarity.indptr, similarity.indices
    data, scratch = similarity.data, similarity.scratch
    for cell in range(indptr[item], indptr[item + 1]):
        scratch[indices[cell]] = data[cell]
    for place in range(len(pairs)):
        other, alike = pairs[place].item, np.float32(0.0)
        if similarity.form == _NEIGHBOURS:
            alike = scratch[other]
        else:
            for cell in range(indptr[other], indptr[other + 1]):
                alike += data[cell] * scratch[indices[cell]]
        pairs[place].nearest = max(pairs[place].nearest, alike)
    for cell in range(indptr[item], indptr[item + 1]):
        scratch[indices[cell]] = 0.0


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

"""Kernels that choose each user's list from scored pairs by a day's rules, greedily from place to place.

A user's pairs are ordered by value, best first, equal values by item. A pair that a limit or a quota refuses once
is refused for the rest of the list, because groups only fill.
"""

# pylint: disable=too-many-locals, consider-using-enumerate  # explicit loops: numba compiles them best

import numpy as np

from recsys_cli.models.kernels.selection_arrays import Counted, Lists, Pairs, Rules, Similarity, Work
from recsys_cli.utils.numba_kernels import kernel, kernel_with_reordered_sums

_LOW = np.uint64(0xFFFFFFFF)
_SIGN = np.uint32(0x80000000)
_ONE, _NONE = np.uint64(1), np.uint64(0)
_SCORE, _BOOST, _PIN, _AT_LEAST, _DIVERSITY, _EXPLORE, _QUOTA = 0, 1, 2, 3, 4, 5, 6  # PlacedBy
_FREE, _TAKEN, _REFUSED = 0, 1, 2  # states of a pair
_VECTORS, _NEIGHBOURS = 1, 2  # SimilarityForm; else tokens


@kernel
def choose_lists(
    shortlist: Pairs, rules: Rules, similarity: Similarity, work: Work, lists: Lists, order: np.ndarray
) -> None:
    """Write the chosen rows of each user. Users are processed in `order`; what quotas have left falls."""
    slots, weight, count = work.slots, similarity.weight, len(rules.counted.rules)
    for place in range(len(order)):
        user = order[place]
        first, last, out = shortlist.indptr[user], shortlist.indptr[user + 1], lists.offsets[user]
        explores = False
        for column in range(shortlist.explored.shape[1]):
            explores |= shortlist.explored[user, column] >= 0
        if shortlist.user_marks[user] & rules.acting == _NONE and weight == 0.0 and not explores:
            _take_best_scores(
                shortlist.scores, shortlist.items, first, last, work.keys, lists, out, len(slots)
            )
            continue
        moved = _order_pairs(shortlist, user, rules, count, work)
        lists.unmet[user] = _fill(shortlist, user, rules, count, similarity, work)
        found = 0
        for slot in range(len(slots)):
            if slots[slot].pair >= 0:
                lists.rows[out + found] = first + work.pairs[slots[slot].pair].row
                lists.placed_by[out + found] = slots[slot].placed_by
                lists.rules[out + found] = slots[slot].rule
                found += 1
        _mark_boosts(shortlist, user, rules.factors, lists, found, len(slots))
        if count > rules.limits:
            for row in range(last - first):
                moved |= work.sold_out[row] >= rules.limits
            if moved:
                _order_pairs(shortlist, user, rules, rules.limits, work)
                _fill(shortlist, user, rules, rules.limits, similarity, work)
                _compare(first, out, lists, found, rules, work)


@kernel
def _take_best_scores(
    scores: np.ndarray,
    items: np.ndarray,
    first: int,
    last: int,
    keys: np.ndarray,
    lists: Lists,
    out: int,
    k: int,
) -> None:
    """Write the rows of the k largest scores, best first."""
    rows, found = lists.rows, 0
    for row in range(first, last):
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
def _key(score: np.float32, item: int) -> np.uint64:
    """Return a sort key: larger for a larger score and, among equal scores, for a smaller item."""
    bits = np.float32(score + np.float32(0.0)).view(np.uint32)
    bits = ~bits if bits & _SIGN else bits | _SIGN
    return (np.uint64(bits) << np.uint64(32)) | (_LOW - np.uint64(item))


@kernel
def _order_pairs(shortlist: Pairs, user: int, rules: Rules, count: int, work: Work) -> bool:
    """Fill `work` with a user's pairs, best value first; return whether any has a price."""
    first, size = shortlist.indptr[user], shortlist.indptr[user + 1] - shortlist.indptr[user]
    given, pairs, keys, user_mark = work.given, work.pairs, work.keys, shortlist.user_marks[user]
    boosting, pricing, moved = _NONE, _NONE, False
    for place in range(len(rules.factors)):
        boosting |= rules.factors[place].bit
    for place in range(rules.limits, count):
        pricing |= rules.counted.rules[place].bit
    before, factor = _NONE, 1.0
    for row in range(size):
        mark, item = shortlist.marks[first + row] & user_mark, shortlist.items[first + row]
        if mark & boosting != before:
            before, factor = mark & boosting, _factor(mark, rules.factors)
        value = np.float64(shortlist.scores[first + row]) * factor
        if mark & pricing != _NONE:
            price = _price(item, mark, rules.counted, rules.limits)
            moved |= price != 0.0
            value -= price
        one = given[row]
        one.mark, one.row, one.item = mark, row, item
        one.value, one.nearest, one.state = value, 0.0, _FREE
        keys[row] = _key(one.value, row)
    _sort(keys, size)
    for place in range(size):
        one = given[np.int64(_LOW - (keys[place] & _LOW))]
        spot = place
        while spot > 0 and pairs[spot - 1].item > one.item and pairs[spot - 1].value == one.value:
            pairs[spot] = pairs[spot - 1]
            spot -= 1
        pairs[spot] = one
    if count > rules.limits:
        for row in range(size):
            work.sold_out[row] = -1
    return moved


@kernel
def _sort(keys: np.ndarray, size: int) -> None:
    """Sort the first `size` keys in descending order: shell sort, as lists are short."""
    gap = 1
    while gap < size // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for place in range(gap, size):
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
def _price(item: int, mark: np.uint64, counted: Counted, limits: int) -> float:
    price = 0.0
    for number in range(limits, len(counted.rules)):
        if mark & counted.rules[number].bit != _NONE:
            for cell in range(counted.indptr[number, item], counted.indptr[number, item + 1]):
                price += counted.prices[counted.codes[cell]]
    return price


@kernel
def _fill(
    shortlist: Pairs, user: int, rules: Rules, count: int, similarity: Similarity, work: Work
) -> np.uint64:
    """Fill the slots of `work` with places in the order of pairs; return the bits of pins and needs unmet."""
    first, size = shortlist.indptr[user], shortlist.indptr[user + 1] - shortlist.indptr[user]
    pairs, slots, sold_out, user_mark = (
        work.pairs[:size],
        work.slots,
        work.sold_out,
        shortlist.user_marks[user],
    )
    needs, counted, unmet = rules.needs, rules.counted, _NONE
    for slot in range(len(slots)):
        slots[slot].pair = -1
    for number in range(len(needs)):
        needs[number].missing = needs[number].at_least if user_mark & needs[number].bit != _NONE else 0
    for number in range(len(rules.pins)):
        pin = rules.pins[number]
        if user_mark & pin.bit != _NONE:
            slot = _free_slot(slots, pin.place - 1)
            chosen = -1
            if slot >= 0:
                chosen = _best_free(pairs, pin.bit, 1, 0.0, counted, count, sold_out)
            if chosen >= 0:
                _take(pairs, chosen, needs, counted, count, similarity)
                slots[slot].pair, slots[slot].placed_by, slots[slot].rule = chosen, _PIN, pin.rule
            else:
                unmet |= pin.bit
    for column in range(shortlist.explored.shape[1]):
        row, chosen = shortlist.explored[user, column] - first, 0
        slot = _free_slot(slots, shortlist.places[user, column] - 1)
        while row >= 0 and pairs[chosen].row != row:
            chosen += 1
        if row >= 0 and slot >= 0 and _is_allowed(pairs, chosen, counted, count, sold_out):
            _take(pairs, chosen, needs, counted, count, similarity)
            slots[slot].pair, slots[slot].placed_by, slots[slot].rule = chosen, _EXPLORE, -1
    _fill_free(pairs, slots, needs, counted, count, sold_out, similarity)
    for number in range(len(needs)):
        if needs[number].missing > 0:
            unmet |= needs[number].bit
    _restore(pairs, slots, counted, rules.limits)
    return unmet


@kernel
def _fill_free(
    pairs: np.ndarray,
    slots: np.ndarray,
    needs: np.ndarray,
    counted: Counted,
    count: int,
    sold_out: np.ndarray,
    similarity: Similarity,
) -> None:
    """Fill the slots that are free with the best pairs, or with those that unmet needs force in."""
    weight, free = similarity.weight, 0
    for slot in range(len(slots)):
        free += slots[slot].pair < 0
    slot = _free_slot(slots, 0)
    while slot >= 0:
        chosen = _best_free(pairs, _NONE, 0, weight, counted, count, sold_out)
        if chosen < 0:
            return
        placed_by, rule = _SCORE, -1
        if weight > 0.0 and chosen != _best_free(pairs, _NONE, 0, 0.0, counted, count, sold_out):
            placed_by = _DIVERSITY
        wanted, lacking = _unmet_needs(pairs, free, needs, counted, count, sold_out)
        if 0 < free <= lacking:
            best = chosen
            least = (
                _bit_count(wanted) if free < lacking else 1
            )  # too few places: a pair should count for several
            chosen = _best_free(pairs, wanted, least, weight, counted, count, sold_out)
            while chosen < 0:
                least -= 1
                chosen = _best_free(pairs, wanted, least, weight, counted, count, sold_out)
            if chosen != best:
                number = 0
                while pairs[chosen].mark & wanted & needs[number].bit == _NONE:
                    number += 1
                placed_by, rule = _AT_LEAST, needs[number].rule
        _take(pairs, chosen, needs, counted, count, similarity)
        slots[slot].pair, slots[slot].placed_by, slots[slot].rule = chosen, placed_by, rule
        slot, free = _free_slot(slots, slot), free - 1


@kernel
def _free_slot(slots: np.ndarray, first: int) -> int:
    """Return the first free slot from `first` on, -1 if none is."""
    for slot in range(first, len(slots)):
        if slots[slot].pair < 0:
            return slot
    return -1


@kernel
def _unmet_needs(
    pairs: np.ndarray, free: int, needs: np.ndarray, counted: Counted, count: int, sold_out: np.ndarray
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
        if pairs[place].mark & wanted != _NONE and _is_allowed(pairs, place, counted, count, sold_out):
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
    pairs: np.ndarray,
    wanted: np.uint64,
    least: int,
    weight: float,
    counted: Counted,
    count: int,
    sold_out: np.ndarray,
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
        if _is_allowed(pairs, place, counted, count, sold_out):
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
def _is_allowed(pairs: np.ndarray, place: int, counted: Counted, count: int, sold_out: np.ndarray) -> bool:
    """Return whether a pair is free and no limit or quota refuses it, and record a refusal."""
    pair = pairs[place]
    if pair.state != _FREE:
        return False
    for number in range(count):
        if pair.mark & counted.rules[number].bit != _NONE:
            for cell in range(counted.indptr[number, pair.item], counted.indptr[number, pair.item + 1]):
                if counted.left[counted.codes[cell]] == 0:
                    pair.state = _REFUSED
                    sold_out[pair.row] = number
                    return False
    return True


@kernel
def _take(
    pairs: np.ndarray, place: int, needs: np.ndarray, counted: Counted, count: int, similarity: Similarity
) -> None:
    """Count a pair that is chosen for limits, quotas, needs and the similarity to others."""
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
    if similarity.weight > 0.0:
        if similarity.form == _VECTORS:
            _approach_vector(pairs, pair.item, similarity.vectors)
        else:
            _approach_row(pairs, pair.item, similarity)


@kernel
def _restore(pairs: np.ndarray, slots: np.ndarray, counted: Counted, limits: int) -> None:
    """Give back what the list took of limits, which hold for each list."""
    for slot in range(len(slots)):
        if slots[slot].pair >= 0:
            pair = pairs[slots[slot].pair]
            for number in range(limits):
                if pair.mark & counted.rules[number].bit != _NONE:
                    for cell in range(
                        counted.indptr[number, pair.item], counted.indptr[number, pair.item + 1]
                    ):
                        counted.left[counted.codes[cell]] += 1


@kernel_with_reordered_sums
def _approach_vector(pairs: np.ndarray, item: int, vectors: np.ndarray) -> None:
    """Raise each pair's similarity to the nearest chosen item, now that `item` is one."""
    chosen = vectors[item]
    for place in range(len(pairs)):
        other, alike = vectors[pairs[place].item], np.float32(0.0)
        for column in range(len(chosen)):
            alike += chosen[column] * other[column]
        pairs[place].nearest = max(pairs[place].nearest, alike)


@kernel
def _approach_row(pairs: np.ndarray, item: int, similarity: Similarity) -> None:
    """Do the same for rows of a CSR matrix."""
    indptr, indices, data, scratch = (
        similarity.indptr,
        similarity.indices,
        similarity.data,
        similarity.scratch,
    )
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
def _mark_boosts(shortlist: Pairs, user: int, factors: np.ndarray, lists: Lists, found: int, k: int) -> None:
    """Name the boost of chosen pairs that are not among the k best by score alone."""
    scores, items, user_mark = shortlist.scores, shortlist.items, shortlist.user_marks[user]
    for place in range(lists.offsets[user], lists.offsets[user] + found):
        row = lists.rows[place]
        mark = shortlist.marks[row] & user_mark
        if lists.placed_by[place] != _SCORE or not _factor(mark, factors) > 1.0:
            continue
        key, better = _key(scores[row], items[row]), 0
        for other in range(shortlist.indptr[user], shortlist.indptr[user + 1]):
            better += _key(scores[other], items[other]) > key
        number = 0
        while not (factors[number].factor > 1.0 and mark & factors[number].bit != _NONE):
            number += 1
        if better >= k:
            lists.placed_by[place], lists.rules[place] = _BOOST, factors[number].rule


@kernel
def _compare(first: int, out: int, lists: Lists, found: int, rules: Rules, work: Work) -> None:
    """Compare a user's list with the one that `work` holds, chosen without quotas.

    Chosen pairs that are only in the list with quotas are marked, and pairs that a quota cut off are written.
    """
    slots, pairs, cut, rank = work.slots, work.pairs, out, 0
    for slot in range(len(slots)):
        if slots[slot].pair >= 0:
            row = pairs[slots[slot].pair].row
            rank += 1
            if work.sold_out[row] >= rules.limits:
                lists.cut_rows[cut], lists.cut_ranks[cut] = first + row, rank
                lists.cut_rules[cut] = rules.counted.rules[work.sold_out[row]].rule
                cut += 1
    for place in range(out, out + found):
        if lists.placed_by[place] in (_PIN, _AT_LEAST, _EXPLORE):
            continue
        both = False
        for slot in range(len(slots)):
            both |= slots[slot].pair >= 0 and first + pairs[slots[slot].pair].row == lists.rows[place]
        if not both:
            lists.placed_by[place], lists.rules[place] = _QUOTA, lists.cut_rules[out] if cut > out else -1

"""Kernels that choose each user's list from scored pairs by a day's rules, greedily from place to place.

A user's pairs are ordered by value, best first, equal values by item. A pair that a limit or a quota refuses once
is refused for the rest of the list, because groups only fill.
"""

# pylint: disable=too-many-locals, consider-using-enumerate  # explicit loops: numba compiles them best

from typing import Any, NamedTuple

import numpy as np

from recsys_cli.utils.numba_kernels import kernel

_LOW = np.uint64(0xFFFFFFFF)
_SIGN = np.uint32(0x80000000)
_ONE = np.uint64(1)
_NONE = np.uint64(0)
_SCORE, _BOOST, _PIN, _AT_LEAST, _DIVERSITY, _EXPLORE, _QUOTA = 0, 1, 2, 3, 4, 5, 6  # PlacedBy
_FREE, _TAKEN, _REFUSED = 0, 1, 2  # states of a pair
_VECTORS, _NEIGHBOURS, _TOKENS = 1, 2, 3  # SimilarityForm


class Pairs(NamedTuple):
    """Scored pairs by user, as in a CSR matrix, and the pairs to explore, (users, slots), -1 for none."""

    indptr: np.ndarray
    items: np.ndarray
    scores: np.ndarray
    marks: np.ndarray
    user_marks: np.ndarray
    explored: np.ndarray
    places: np.ndarray


class Grouped(NamedTuple):
    """Limits or quotas: (count,) bits and rules; codes[indptr[n, item]:indptr[n, item + 1]] are an item's groups."""

    bits: np.ndarray
    rules: np.ndarray
    indptr: np.ndarray
    codes: np.ndarray


class Rules(NamedTuple):
    """Rules by action: bits and rules of each, and its numbers; at_most and left are by group code."""

    acting: np.uint64
    boost_bits: np.ndarray
    boosts: np.ndarray
    boost_rules: np.ndarray
    need_bits: np.ndarray
    needs: np.ndarray
    need_rules: np.ndarray
    pin_bits: np.ndarray
    pins: np.ndarray
    pin_rules: np.ndarray
    limits: Grouped
    at_most: np.ndarray
    quotas: Grouped
    prices: np.ndarray
    left: np.ndarray


class Similarity(NamedTuple):
    """The similarity of items in the form of `form`; `weight` 0: none is used."""

    form: int
    weight: float
    vectors: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    width: int


class Work(NamedTuple):
    """What the choice of one list needs: arrays by pair in order of value, by group, by need and by place."""

    keys: np.ndarray
    rows: np.ndarray
    items: np.ndarray
    marks: np.ndarray
    values: np.ndarray
    raw: np.ndarray  # values by pair in the given order
    states: np.ndarray
    nearest: np.ndarray
    sold_out: np.ndarray  # by pair in the given order: the quota's rule that refused it, or -1
    counts: np.ndarray
    missing: np.ndarray
    available: np.ndarray
    slots: np.ndarray
    placed_by: np.ndarray
    rules: np.ndarray
    scratch: np.ndarray


class Lists(NamedTuple):
    """What is chosen: rows of pairs, -1 for none, from offsets[user] on; the same for pairs cut off by quotas."""

    offsets: np.ndarray
    rows: np.ndarray
    placed_by: np.ndarray
    rules: np.ndarray
    unmet: np.ndarray
    cut_rows: np.ndarray
    cut_ranks: np.ndarray
    cut_rules: np.ndarray


@kernel
def choose_lists(
    pairs: Pairs, rules: Rules, similarity: Similarity, order: np.ndarray, k: int, priced: bool
) -> Lists:
    """Return the chosen rows of each user. Users are processed in `order`; `rules.left` falls with each row taken.

    Args:
        k: places of a list.
        priced: whether quotas hold.
    """
    lists, longest = _empty_lists(pairs.indptr, k)
    work = _new_work(longest, k, len(rules.at_most), len(rules.needs), similarity.width)
    for place in range(len(order)):
        user = order[place]
        first, last = pairs.indptr[user], pairs.indptr[user + 1]
        out = lists.offsets[user]
        explores = False
        for slot in range(pairs.explored.shape[1]):
            explores |= pairs.explored[user, slot] >= 0
        if pairs.user_marks[user] & rules.acting == _NONE and similarity.weight == 0.0 and not explores:
            found = _best_scores(pairs.scores[first:last], pairs.items[first:last], work.keys, work.rows, k)
            for rank in range(found):
                lists.rows[out + rank] = first + work.rows[rank]
            continue
        moved = _order_pairs(pairs, user, rules, work, priced)
        lists.unmet[user] = _fill(pairs, user, rules, similarity, work, k, priced)
        found = 0
        for slot in range(k):
            if work.slots[slot] >= 0:
                lists.rows[out + found] = first + work.rows[work.slots[slot]]
                lists.placed_by[out + found] = work.placed_by[slot]
                lists.rules[out + found] = work.rules[slot]
                found += 1
        _mark_boosts(pairs, user, rules, lists, found, k)
        if priced:
            for row in range(last - first):
                moved |= work.sold_out[row] >= 0
            if moved:
                _order_pairs(pairs, user, rules, work, False)
                _fill(pairs, user, rules, similarity, work, k, False)
                _compare(pairs, user, rules, lists, found, work, k)
    return lists


@kernel
def _empty_lists(indptr: np.ndarray, k: int) -> tuple[Lists, int]:
    users, longest = len(indptr) - 1, 0
    offsets = np.zeros(users + 1, dtype=np.int64)
    for user in range(users):
        size = indptr[user + 1] - indptr[user]
        longest = max(longest, size)
        offsets[user + 1] = offsets[user] + min(k, size)
    total = offsets[users]
    return (
        Lists(
            offsets,
            np.full(total, -1, dtype=np.int64),
            np.zeros(total, dtype=np.uint8),
            np.full(total, -1, dtype=np.int8),
            np.zeros(users, dtype=np.uint64),
            np.full(total, -1, dtype=np.int64),
            np.zeros(total, dtype=np.uint16),
            np.full(total, -1, dtype=np.int8),
        ),
        longest,
    )


@kernel
def _new_work(longest: int, k: int, groups: int, needs: int, width: int) -> Work:
    return Work(
        np.empty(max(longest, k + 1), dtype=np.uint64),
        np.empty(max(longest, k + 1), dtype=np.int64),
        np.empty(longest, dtype=np.int64),
        np.empty(longest, dtype=np.uint64),
        np.empty(longest, dtype=np.float32),
        np.empty(longest, dtype=np.float32),
        np.empty(longest, dtype=np.uint8),
        np.empty(longest, dtype=np.float32),
        np.full(longest, -1, dtype=np.int8),
        np.zeros(groups, dtype=np.int64),
        np.zeros(needs, dtype=np.int64),
        np.zeros(needs, dtype=np.int64),
        np.empty(k, dtype=np.int64),
        np.empty(k, dtype=np.uint8),
        np.empty(k, dtype=np.int8),
        np.zeros(width, dtype=np.float32),
    )


@kernel
def _best_scores(scores: np.ndarray, items: np.ndarray, keys: np.ndarray, rows: np.ndarray, k: int) -> Any:
    """Write the rows of the k largest scores, best first, and return how many they are."""
    found = 0
    for row in range(len(scores)):
        key = _key(scores[row], items[row])
        if found == k and key < keys[k - 1]:
            continue
        place = found if found < k else k - 1
        while place > 0 and keys[place - 1] < key:
            keys[place], rows[place] = keys[place - 1], rows[place - 1]
            place -= 1
        keys[place], rows[place] = key, row
        found = min(found + 1, k)
    return found


@kernel
def _key(score: np.float32, item: int) -> np.uint64:
    """Return a sort key: larger for a larger score and, among equal scores, for a smaller item."""
    bits = np.float32(score + np.float32(0.0)).view(np.uint32)
    bits = ~bits if bits & _SIGN else bits | _SIGN
    return (np.uint64(bits) << np.uint64(32)) | (_LOW - np.uint64(item))


@kernel
def _order_pairs(pairs: Pairs, user: int, rules: Rules, work: Work, priced: bool) -> bool:
    """Fill `work` with a user's pairs, best value first; return whether any has a price."""
    first, size = pairs.indptr[user], pairs.indptr[user + 1] - pairs.indptr[user]
    boosting, quota_bits, moved = _NONE, _NONE, False
    for place in range(len(rules.boost_bits)):
        boosting |= rules.boost_bits[place]
    for place in range(len(rules.quotas.bits)):
        quota_bits |= rules.quotas.bits[place]
    before, factor = _NONE, 1.0
    for row in range(size):
        mark = pairs.marks[first + row] & pairs.user_marks[user]
        if mark & boosting != before:
            before, factor = mark & boosting, 1.0
            for place in range(len(rules.boosts)):
                if mark & rules.boost_bits[place] != _NONE:
                    factor *= rules.boosts[place]
        value = np.float64(pairs.scores[first + row]) * factor
        if priced and mark & quota_bits != _NONE:
            price = _price(pairs.items[first + row], mark, rules.quotas, rules.prices)
            moved |= price != 0.0
            value -= price
        work.raw[row] = value
        work.keys[row] = _key(work.raw[row], row)
    work.keys[:size].sort()
    for place in range(size):
        row = np.int64(_LOW - (work.keys[size - 1 - place] & _LOW))
        item, spot = pairs.items[first + row], place
        while spot > 0 and work.items[spot - 1] > item and work.raw[work.rows[spot - 1]] == work.raw[row]:
            work.rows[spot], work.items[spot] = work.rows[spot - 1], work.items[spot - 1]
            spot -= 1
        work.rows[spot], work.items[spot] = row, item
    for place in range(size):
        row = work.rows[place]
        work.marks[place] = pairs.marks[first + row] & pairs.user_marks[user]
        work.values[place] = work.raw[row]
        work.states[place], work.nearest[place] = _FREE, 0.0
        if priced:
            work.sold_out[place] = -1
    return moved


@kernel
def _price(item: int, mark: np.uint64, quotas: Grouped, prices: np.ndarray) -> Any:
    price = 0.0
    for quota in range(len(quotas.bits)):
        if mark & quotas.bits[quota] != _NONE:
            for cell in range(quotas.indptr[quota, item], quotas.indptr[quota, item + 1]):
                price += prices[quotas.codes[cell]]
    return price


@kernel
def _fill(
    pairs: Pairs, user: int, rules: Rules, similarity: Similarity, work: Work, k: int, priced: bool
) -> np.uint64:
    """Fill the slots of `work` with places in the order of pairs; return the bits of pins and needs unmet."""
    size, user_mark = pairs.indptr[user + 1] - pairs.indptr[user], pairs.user_marks[user]
    work.counts[:] = 0
    work.slots[:] = -1
    for need in range(len(rules.needs)):
        work.missing[need] = rules.needs[need] if user_mark & rules.need_bits[need] != _NONE else 0
    unmet = _pin(size, user_mark, rules, similarity, work, priced)
    _explore(pairs, user, rules, similarity, work, priced)
    free = 0
    for slot in range(k):
        free += work.slots[slot] < 0
    slot = 0
    while free > 0:
        chosen, placed_by, rule = _next(size, free, rules, similarity.weight, work, priced)
        if chosen < 0:
            break
        slot = _free_slot(work.slots, slot)
        _take(chosen, slot, size, rules, similarity, work, priced)
        work.placed_by[slot], work.rules[slot] = placed_by, rule
        free -= 1
    for need in range(len(rules.needs)):
        if work.missing[need] > 0:
            unmet |= rules.need_bits[need]
    return unmet


@kernel
def _pin(
    size: int, user_mark: np.uint64, rules: Rules, similarity: Similarity, work: Work, priced: bool
) -> np.uint64:
    unmet = _NONE
    for pin in range(len(rules.pins)):
        bit = rules.pin_bits[pin]
        if user_mark & bit == _NONE:
            continue
        slot = _free_slot(work.slots, rules.pins[pin] - 1)
        chosen = _best_free(size, bit, 1, 0.0, rules, work, priced) if slot >= 0 else -1
        if chosen < 0:
            unmet |= bit
            continue
        _take(chosen, slot, size, rules, similarity, work, priced)
        work.placed_by[slot], work.rules[slot] = _PIN, rules.pin_rules[pin]
    return unmet


@kernel
def _explore(
    pairs: Pairs, user: int, rules: Rules, similarity: Similarity, work: Work, priced: bool
) -> None:
    first, size = pairs.indptr[user], pairs.indptr[user + 1] - pairs.indptr[user]
    for column in range(pairs.explored.shape[1]):
        row = pairs.explored[user, column] - first
        if row < 0:
            continue
        chosen, slot = 0, _free_slot(work.slots, pairs.places[user, column] - 1)
        while work.rows[chosen] != row:
            chosen += 1
        if slot >= 0 and _is_allowed(chosen, rules, work, priced):
            _take(chosen, slot, size, rules, similarity, work, priced)
            work.placed_by[slot], work.rules[slot] = _EXPLORE, -1


@kernel
def _free_slot(slots: np.ndarray, first: int) -> int:
    """Return the first free slot from `first` on, -1 if none is."""
    for slot in range(first, len(slots)):
        if slots[slot] < 0:
            return slot
    return -1


@kernel
def _next(
    size: int, free: int, rules: Rules, weight: float, work: Work, priced: bool
) -> tuple[int, int, int]:
    """Return the pair for the next place, -1 if none is allowed, and what places it, with its rule."""
    best = _best_free(size, _NONE, 0, weight, rules, work, priced)
    if best < 0:
        return -1, _SCORE, -1
    wanted, total = _unmet_needs(size, free, rules, work, priced)
    if total > 0 and free <= total:
        least = _bit_count(wanted) if free < total else 1  # too few places: an item should count for several
        chosen = -1
        while chosen < 0 and least > 0:
            chosen = _best_free(size, wanted, least, weight, rules, work, priced)
            least -= 1
        if chosen != best:
            need = 0
            while work.marks[chosen] & wanted & rules.need_bits[need] == _NONE:
                need += 1
            return chosen, _AT_LEAST, rules.need_rules[need]
    if weight > 0.0 and best != _best_free(size, _NONE, 0, 0.0, rules, work, priced):
        return best, _DIVERSITY, -1
    return best, _SCORE, -1


@kernel
def _unmet_needs(size: int, free: int, rules: Rules, work: Work, priced: bool) -> tuple[np.uint64, int]:
    """Return the bits of unmet needs that allowed pairs can reduce, and how many pairs they lack in all."""
    wanted, total = _NONE, 0
    for need in range(len(rules.needs)):
        total += work.missing[need]
        if work.missing[need] > 0:
            wanted |= rules.need_bits[need]
        work.available[need] = 0
    if free > total or total == 0:
        return wanted, total
    for place in range(size):
        if work.marks[place] & wanted != _NONE and _is_allowed(place, rules, work, priced):
            for need in range(len(rules.needs)):
                work.available[need] += work.marks[place] & rules.need_bits[need] != _NONE
    wanted, total = _NONE, 0
    for need in range(len(rules.needs)):
        lacking = min(work.missing[need], work.available[need])
        total += lacking
        if lacking > 0:
            wanted |= rules.need_bits[need]
    return wanted, total


@kernel
def _best_free(
    size: int, wanted: np.uint64, least: int, weight: float, rules: Rules, work: Work, priced: bool
) -> int:
    """Return the best allowed pair that has at least `least` of the wanted bits, -1 if there is none."""
    best, best_score = -1, -np.inf
    scale = 1.0 / work.values[0] if size > 0 and work.values[0] > 0.0 else 1.0
    for place in range(size):
        if work.states[place] != _FREE:
            continue
        relevance = (1.0 - weight) * (work.values[place] * scale)
        if relevance <= best_score:
            break
        score = relevance - weight * work.nearest[place]
        if score <= best_score or (least > 0 and _bit_count(work.marks[place] & wanted) < least):
            continue
        if _is_allowed(place, rules, work, priced):
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
def _is_allowed(place: int, rules: Rules, work: Work, priced: bool) -> bool:
    """Return whether a pair is free and no limit or quota refuses it, and record a refusal."""
    if work.states[place] != _FREE:
        return False
    item, mark = work.items[place], work.marks[place]
    limits, quotas = rules.limits, rules.quotas
    for limit in range(len(limits.bits)):
        if mark & limits.bits[limit] != _NONE:
            for cell in range(limits.indptr[limit, item], limits.indptr[limit, item + 1]):
                if work.counts[limits.codes[cell]] >= rules.at_most[limits.codes[cell]]:
                    work.states[place] = _REFUSED
                    return False
    if priced:
        for quota in range(len(quotas.bits)):
            if mark & quotas.bits[quota] != _NONE:
                for cell in range(quotas.indptr[quota, item], quotas.indptr[quota, item + 1]):
                    if rules.left[quotas.codes[cell]] == 0:
                        work.states[place] = _REFUSED
                        work.sold_out[work.rows[place]] = quotas.rules[quota]
                        return False
    return True


@kernel
def _take(
    place: int, slot: int, size: int, rules: Rules, similarity: Similarity, work: Work, priced: bool
) -> None:
    """Put a pair in a slot and count it for limits, needs, quotas and the similarity to others."""
    work.slots[slot], work.states[place] = place, _TAKEN
    item, mark = work.items[place], work.marks[place]
    limits, quotas = rules.limits, rules.quotas
    for limit in range(len(limits.bits)):
        if mark & limits.bits[limit] != _NONE:
            for cell in range(limits.indptr[limit, item], limits.indptr[limit, item + 1]):
                work.counts[limits.codes[cell]] += 1
    for need in range(len(rules.needs)):
        if mark & rules.need_bits[need] != _NONE and work.missing[need] > 0:
            work.missing[need] -= 1
    if priced:
        for quota in range(len(quotas.bits)):
            if mark & quotas.bits[quota] != _NONE:
                for cell in range(quotas.indptr[quota, item], quotas.indptr[quota, item + 1]):
                    if rules.left[quotas.codes[cell]] > 0:
                        rules.left[quotas.codes[cell]] -= 1
    if similarity.weight > 0.0:
        _approach(item, size, similarity, work.items, work.nearest, work.scratch)


@kernel
def _approach(
    item: int, size: int, similarity: Similarity, items: np.ndarray, nearest: np.ndarray, scratch: np.ndarray
) -> None:
    """Raise each pair's similarity to the nearest chosen item, now that `item` is one."""
    if similarity.form == _VECTORS:
        for place in range(size):
            alike = _dot(similarity.vectors[item], similarity.vectors[items[place]])
            nearest[place] = max(nearest[place], alike)
        return
    indptr, indices, data = similarity.indptr, similarity.indices, similarity.data
    for cell in range(indptr[item], indptr[item + 1]):
        scratch[indices[cell]] = data[cell]
    for place in range(size):
        other, alike = items[place], np.float32(0.0)
        if similarity.form == _NEIGHBOURS:
            alike = scratch[other]
        else:
            for cell in range(indptr[other], indptr[other + 1]):
                alike += data[cell] * scratch[indices[cell]]
        nearest[place] = max(nearest[place], alike)
    for cell in range(indptr[item], indptr[item + 1]):
        scratch[indices[cell]] = 0.0


@kernel
def _dot(left: np.ndarray, right: np.ndarray) -> np.float32:
    total = np.float32(0.0)
    for column in range(len(left)):
        total += left[column] * right[column]
    return total


@kernel
def _mark_boosts(pairs: Pairs, user: int, rules: Rules, lists: Lists, found: int, k: int) -> None:
    """Name the boost of chosen pairs that are not among the k best by score alone."""
    for place in range(lists.offsets[user], lists.offsets[user] + found):
        row = lists.rows[place]
        if lists.placed_by[place] != _SCORE or not _is_boosted(pairs.marks[row] & pairs.user_marks[user], rules):
            continue
        key, better = _key(pairs.scores[row], pairs.items[row]), 0
        for other in range(pairs.indptr[user], pairs.indptr[user + 1]):
            better += _key(pairs.scores[other], pairs.items[other]) > key
        if better < k:
            continue
        for boost in range(len(rules.boosts)):
            if rules.boosts[boost] > 1.0 and pairs.marks[row] & rules.boost_bits[boost] != _NONE:
                lists.placed_by[place], lists.rules[place] = _BOOST, rules.boost_rules[boost]
                break


@kernel
def _is_boosted(mark: np.uint64, rules: Rules) -> bool:
    factor = 1.0
    for boost in range(len(rules.boosts)):
        if mark & rules.boost_bits[boost] != _NONE:
            factor *= rules.boosts[boost]
    return factor > 1.0


@kernel
def _compare(pairs: Pairs, user: int, rules: Rules, lists: Lists, found: int, work: Work, k: int) -> None:
    """Compare a user's list with the one that `work` holds, chosen without quotas.

    Chosen pairs that are only in the list with quotas are marked, and pairs that a quota cut off are written.
    """
    first, out, cut = pairs.indptr[user], lists.offsets[user], lists.offsets[user]
    rank, refused_by = 0, -1
    for slot in range(k):
        if work.slots[slot] < 0:
            continue
        rank += 1
        row = work.rows[work.slots[slot]]
        if work.sold_out[row] >= 0:
            lists.cut_rows[cut], lists.cut_ranks[cut] = first + row, rank
            lists.cut_rules[cut] = work.sold_out[row]
            refused_by = lists.cut_rules[out]
            cut += 1
    for place in range(out, out + found):
        if lists.placed_by[place] not in (_SCORE, _BOOST, _DIVERSITY):
            continue
        row, both = lists.rows[place] - first, False
        for slot in range(k):
            both |= work.slots[slot] >= 0 and work.rows[work.slots[slot]] == row
        if not both:
            lists.placed_by[place], lists.rules[place] = _QUOTA, refused_by

"""A kernel that improves lists which share quotas: chains of swaps, each user giving way to the one before.

A chain begins with a user who swaps a row for a better one. Where the groups of that row are full, another
user swaps a row for something else, and so on until all fit. Chains are searched from the best on, as Lin and
Kernighan (1973) do: while what they gain, less the prices of what is still overfull, is positive.
"""

# pylint: disable=too-many-locals, consider-using-enumerate  # explicit loops: numba compiles them best

from typing import NamedTuple

import numpy as np

from recsys_cli.utils.numba_kernels import kernel

_BREADTH = 6
_LEAST = 1e-9  # gain: less is rounding
_NO_BITS = np.uint64(0)


class Market(NamedTuple):
    """Pairs by user: values, items, groups of quotas and limits (indptr and codes), bits that lists need."""

    indptr: np.ndarray
    values: np.ndarray
    items: np.ndarray
    quota_indptr: np.ndarray
    quota_codes: np.ndarray
    limit_indptr: np.ndarray
    limit_codes: np.ndarray
    at_most: np.ndarray
    needed: np.ndarray
    prices: np.ndarray
    penalty: float


class Lists(NamedTuple):
    """Lists and what quotas have left: pairs by (user, slot), -1 for none; both change.

    `fixed` rows stay; `inside`: by pair, whether it is in its list; `left` and `lacking`: rows by group that
    at_most leaves and that at_least lacks, negative where there are more than enough.
    """

    slots: np.ndarray
    fixed: np.ndarray
    inside: np.ndarray
    left: np.ndarray
    lacking: np.ndarray


class Moves(NamedTuple):
    """Candidates by depth, the best first: what they gain, the slot, the pair that enters (-1: none)."""

    gains: np.ndarray
    slots: np.ndarray
    pairs: np.ndarray
    counts: np.ndarray
    tried: np.ndarray
    gone: np.ndarray
    reached: np.ndarray


@kernel
def exchange(market: Market, lists: Lists, depth: int, work: int) -> np.ndarray:
    """Improve lists until no chain is found or the work is spent; return which users changed.

    Args:
        depth: swaps of a chain at most; work: how many pairs may be looked at.
    """
    users = len(lists.slots)
    changed = np.zeros(users, dtype=np.bool_)
    size = 1 + (np.max(market.items) if len(market.items) else 0)
    moves = Moves(
        np.zeros((depth, _BREADTH)),
        np.zeros((depth, _BREADTH), dtype=np.int64),
        np.zeros((depth, _BREADTH), dtype=np.int64),
        np.zeros(depth, dtype=np.int64),
        np.zeros(depth, dtype=np.int64),
        np.zeros(depth, dtype=np.int64),
        np.zeros(size),
    )
    idle, user = 0, 0
    while users > 0 and idle < users and work > 0:
        found, work = _search(market, lists, moves, user, changed, work)
        idle = 0 if found else idle + 1
        if not found:
            user = (user + 1) % users
    return changed


@kernel
def _search(
    market: Market, lists: Lists, moves: Moves, user: int, changed: np.ndarray, work: int
) -> tuple[bool, int]:
    """Make the first chain found that begins with a user; return whether there was one, and the work left."""
    k = lists.slots.shape[1]
    moves.reached[:] = 0.0
    work -= _expand(market, lists, moves, 0, user, user + 1, -1, 0.0)
    depth = 0
    while depth >= 0 and work > 0:
        tried = moves.tried[depth]
        if tried == moves.counts[depth]:
            depth -= 1
            if depth >= 0:
                slot = moves.slots[depth, moves.tried[depth] - 1]
                _swap(market, lists, slot // k, slot % k, moves.gone[depth])
            continue
        moves.tried[depth] += 1
        slot, pair, gain = moves.slots[depth, tried], moves.pairs[depth, tried], moves.gains[depth, tried]
        moves.gone[depth] = lists.slots[slot // k, slot % k]
        _swap(market, lists, slot // k, slot % k, pair)
        owed = _owed(market, lists, pair)
        if owed == 0.0 and _is_within(market, lists, pair):
            for step in range(depth + 1):
                changed[moves.slots[step, moves.tried[step] - 1] // k] = True
            return True, work
        if depth + 1 < len(moves.counts) and gain > moves.reached[market.items[pair]] + _LEAST:
            moves.reached[market.items[pair]] = gain
            depth += 1
            work -= _expand(market, lists, moves, depth, 0, len(lists.slots), pair, gain + owed)
        else:
            _swap(market, lists, slot // k, slot % k, moves.gone[depth])
    while depth > 0:
        depth -= 1
        slot = moves.slots[depth, moves.tried[depth] - 1]
        _swap(market, lists, slot // k, slot % k, moves.gone[depth])
    return False, work


@kernel
def _expand(
    market: Market, lists: Lists, moves: Moves, depth: int, first: int, last: int, pending: int, raw: float
) -> int:
    """Find the best swaps of some users that make room for a pair; return how many were looked at."""
    k = lists.slots.shape[1]
    moves.counts[depth], moves.tried[depth] = 0, 0
    looked = 0
    for user in range(first, last):
        looked += k
        for slot in range(k):
            gone = lists.slots[user, slot]
            if (
                lists.fixed[user, slot]
                or gone == pending >= 0
                or not _makes_room(market, lists, gone, pending)
            ):
                continue
            looked += _swaps_of_slot(market, lists, moves, depth, user, slot, pending, raw)
            if gone < 0:
                break  # other free slots are the same
    return looked


@kernel
def _swaps_of_slot(
    market: Market, lists: Lists, moves: Moves, depth: int, user: int, slot: int, pending: int, raw: float
) -> int:
    """Find what may enter a slot in place of what is there; return how many pairs were looked at."""
    place, gone = user * lists.slots.shape[1] + slot, lists.slots[user, slot]
    if gone >= 0:
        raw -= market.values[gone]
        _move(market, lists, gone, -1)
        raw -= market.penalty * _count_lacking(market, lists, gone)
        if pending >= 0 and raw > _LEAST:
            _insert(moves, depth, raw, place, -1)
    for pair in range(market.indptr[user], market.indptr[user + 1]):
        if lists.inside[pair] or (gone >= 0 and market.needed[gone] & ~market.needed[pair] != _NO_BITS):
            continue
        gain = raw + market.values[pair] + _worth_of_groups(market, lists, pair)
        if gain > max(_LEAST, _floor(moves, depth)) and _fits_limits(market, lists, user, slot, pair):
            _insert(moves, depth, gain, place, pair)
    if gone >= 0:
        _move(market, lists, gone, 1)
    return int(market.indptr[user + 1] - market.indptr[user])


@kernel
def _makes_room(market: Market, lists: Lists, gone: int, pending: int) -> bool:
    """Return whether all groups of the pending pair that are overfull lose a row with `gone`."""
    if pending < 0:
        return True
    if gone < 0:
        return False
    for cell in range(market.quota_indptr[pending], market.quota_indptr[pending + 1]):
        code, shared = market.quota_codes[cell], False
        if lists.left[code] >= 0:
            continue
        for other in range(market.quota_indptr[gone], market.quota_indptr[gone + 1]):
            shared |= market.quota_codes[other] == code
        if not shared:
            return False
    return True


@kernel
def _count_lacking(market: Market, lists: Lists, gone: int) -> int:
    """Return how many groups lack a row now that this pair is gone."""
    count = 0
    for cell in range(market.quota_indptr[gone], market.quota_indptr[gone + 1]):
        count += lists.lacking[market.quota_codes[cell]] > 0
    return count


@kernel
def _worth_of_groups(market: Market, lists: Lists, pair: int) -> float:
    """Return what a pair's groups add to its value: a penalty less where rows lack, less a price if full."""
    worth = 0.0
    for cell in range(market.quota_indptr[pair], market.quota_indptr[pair + 1]):
        code = market.quota_codes[cell]
        if lists.lacking[code] > 0:
            worth += market.penalty
        if lists.left[code] <= 0:
            worth -= max(market.prices[code], 0.0)
    return worth


@kernel
def _owed(market: Market, lists: Lists, pair: int) -> float:
    """Return the prices of a pair's groups that are overfull."""
    owed = 0.0
    if pair >= 0:
        for cell in range(market.quota_indptr[pair], market.quota_indptr[pair + 1]):
            if lists.left[market.quota_codes[cell]] < 0:
                owed += max(market.prices[market.quota_codes[cell]], 0.0)
    return owed


@kernel
def _is_within(market: Market, lists: Lists, pair: int) -> bool:
    """Return whether none of a pair's groups is overfull."""
    if pair >= 0:
        for cell in range(market.quota_indptr[pair], market.quota_indptr[pair + 1]):
            if lists.left[market.quota_codes[cell]] < 0:
                return False
    return True


@kernel
def _fits_limits(market: Market, lists: Lists, user: int, slot: int, pair: int) -> bool:
    """Return whether a user's limits allow a pair in this slot."""
    for cell in range(market.limit_indptr[pair], market.limit_indptr[pair + 1]):
        code, count = market.limit_codes[cell], 0
        for other in range(lists.slots.shape[1]):
            held = lists.slots[user, other]
            if other == slot or held < 0:
                continue
            for place in range(market.limit_indptr[held], market.limit_indptr[held + 1]):
                count += market.limit_codes[place] == code
        if count >= market.at_most[code]:
            return False
    return True


@kernel
def _floor(moves: Moves, depth: int) -> float:
    """Return the gain that a candidate must exceed to be among the best of its depth."""
    return moves.gains[depth, _BREADTH - 1] if moves.counts[depth] == _BREADTH else -np.inf


@kernel
def _insert(moves: Moves, depth: int, gain: float, slot: int, pair: int) -> None:
    """Keep a candidate if it is one of the best of its depth; of equal ones, the first."""
    gains, count = moves.gains[depth], moves.counts[depth]
    if gain <= _floor(moves, depth):
        return
    place = min(count, _BREADTH - 1)
    while place > 0 and gains[place - 1] < gain:
        gains[place] = gains[place - 1]
        moves.slots[depth, place] = moves.slots[depth, place - 1]
        moves.pairs[depth, place] = moves.pairs[depth, place - 1]
        place -= 1
    gains[place], moves.slots[depth, place], moves.pairs[depth, place] = gain, slot, pair
    moves.counts[depth] = min(count + 1, _BREADTH)


@kernel
def _swap(market: Market, lists: Lists, user: int, slot: int, pair: int) -> None:
    """Put a pair, or nothing, in a slot in place of what is there."""
    gone = lists.slots[user, slot]
    if gone >= 0:
        lists.inside[gone] = False
        _move(market, lists, gone, -1)
    if pair >= 0:
        lists.inside[pair] = True
        _move(market, lists, pair, 1)
    lists.slots[user, slot] = pair


@kernel
def _move(market: Market, lists: Lists, pair: int, rows: int) -> None:
    for cell in range(market.quota_indptr[pair], market.quota_indptr[pair + 1]):
        lists.left[market.quota_codes[cell]] -= rows
        lists.lacking[market.quota_codes[cell]] -= rows

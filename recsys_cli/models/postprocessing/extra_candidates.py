"""Candidates that no source proposes and rules need: items to pin, to hold a minimum, to fill short lists."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recsys_cli.models.candidates.protocol import CandidateRules, Pairs, UserChunk

_BLOCK, _LARGEST_BLOCK = 64, 4_096  # items that are tried at a time
_PAIRS = 4_194_304  # pairs that are tried at a time, at most


@dataclass(frozen=True)
class Wish:
    """So many more candidates of some users that meet a rule.

    Attributes:
        bit: of the rule, u64; 0: any item that is allowed.
        items: that may meet it, the most popular first, i32.
        wanted: of each user, i64.
    """

    bit: np.uint64
    items: np.ndarray
    wanted: np.ndarray


def granted(wish: Wish, chunk: UserChunk, rules: CandidateRules, known: np.ndarray) -> np.ndarray:
    """Return the most popular items that grant a wish: i32, (users, most that are wanted), -1 for none.

    They are allowed for the user, not viewed and none of `known`.

    Args:
        known: keys (place of the user x number of items + item) of what is there already, ascending.
    """
    found = np.full((len(chunk), int(wish.wanted.max(initial=0))), -1, dtype=np.int32)
    counts = np.zeros(len(chunk), dtype=np.int64)
    first, width = 0, _BLOCK
    while first < len(wish.items):
        places = np.flatnonzero(counts < wish.wanted)
        if not places.size:
            break
        block = np.sort(wish.items[first : first + min(width, max(_PAIRS // len(places), 1))])
        ranks = np.argsort(np.argsort(wish.items[first : first + len(block)]))
        suits = _suitable(chunk, places, block, rules, wish.bit) & ~_among(known, places, block, chunk.size)
        suits = suits[:, ranks]  # back in the order of popularity
        new = np.cumsum(suits, axis=1) + counts[places, None]
        takes = suits & (new <= wish.wanted[places, None])
        rows, columns = np.nonzero(takes)
        found[places[rows], new[rows, columns] - 1] = wish.items[first + columns]
        counts[places] += takes.sum(axis=1)
        first, width = first + len(block), min(2 * width, _LARGEST_BLOCK)
    return found


def _suitable(
    chunk: UserChunk, places: np.ndarray, items: np.ndarray, rules: CandidateRules, bit: np.uint64
) -> np.ndarray:
    """Return whether each item, ascending, is allowed for each user and meets a rule: (users, items)."""
    indptr = np.arange(len(places) + 1, dtype=np.int64) * len(items)
    marks = rules.marks(chunk.users[places], Pairs(indptr, np.tile(items, len(places))))
    suits = rules.allowed(marks)
    if bit:
        suits &= (marks & bit) != 0
    return np.asarray(suits.reshape(len(places), len(items)))


def _among(known: np.ndarray, places: np.ndarray, items: np.ndarray, size: int) -> np.ndarray:
    """Return whether each (user, item) is one of the keys `known`: (users, items)."""
    return _are_known(known, places[:, None] * size + items[None, :])


def _are_known(known: np.ndarray, keys: np.ndarray) -> np.ndarray:
    if known.size == 0:
        return np.zeros(keys.shape, dtype=np.bool_)
    found = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.asarray(known[found] == keys)


def keys_of(chunk: UserChunk, pairs: Pairs | None = None, wanting: np.ndarray | None = None) -> np.ndarray:
    """Return the keys of what users have viewed and of their pairs, ascending, i64; some may be there twice.

    Args:
        wanting: whether each user counts; None: all do.
    """
    rows = np.repeat(np.arange(len(chunk), dtype=np.int64), np.diff(chunk.viewed.indptr))
    sides = [(rows, chunk.viewed.indices), *([] if pairs is None else [(pairs.rows, pairs.items)])]
    if wanting is not None:
        sides = [(rows[wanting[rows]], items[wanting[rows]]) for rows, items in sides]
    return np.sort(np.concatenate([rows * chunk.size + items for rows, items in sides]), kind="stable")


def with_keys(known: np.ndarray, lists: np.ndarray, size: int) -> np.ndarray:
    """Return the keys with those of lists, (users, items), -1 for none, ascending."""
    rows, columns = np.nonzero(lists >= 0)
    return np.sort(
        np.concatenate([known, rows.astype(np.int64) * size + lists[rows, columns]]), kind="stable"
    )


def without(lists: np.ndarray, known: np.ndarray, size: int) -> np.ndarray:
    """Return the lists with -1 in the place of what is known."""
    users = np.arange(len(lists), dtype=np.int64)
    found = _are_known(known, users[:, None] * size + lists)
    return np.where(found, -1, lists).astype(np.int32)


def side_by_side(lists: Iterator[np.ndarray], users: int) -> np.ndarray:
    """Return lists of items beside one another, (users, all their widths), i32."""
    found = [one for one in lists if one.size]
    return np.concatenate(found, axis=1) if found else np.zeros((users, 0), dtype=np.int32)

"""Arrays that the kernels of list selection read and write: records of rules and pairs, and named tuples."""

from typing import NamedTuple

import numpy as np

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

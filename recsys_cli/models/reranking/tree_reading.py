"""Trees that CatBoost has exported, turned into the arrays that the kernels read."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import chain, groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys_cli.models.kernels.tree_scores import MOST_IN_A_BYTE, TOGETHER
from recsys_cli.models.reranking.catboost_json import SplitTest, split_tests
from recsys_cli.models.reranking.tree_arrays import Forest, Forests, Slot
from recsys_cli.utils.storage.atomic_writes import as_system_error

if TYPE_CHECKING:
    from catboost import CatBoost

FIRST_TREES = 100  # these choose the shortlist
_DEEPEST = 16
_MOST_BORDERS = 65_535  # of a slot: its bins are u16
_ONES = 0xFFFFFFFFFFFFFFFF


def as_json(model: "CatBoost") -> dict[str, Any]:
    """Return the trees of a CatBoost model as it exports them, without what differs in equal trainings.

    Raises: OSError if there is no room for its temporary file.
    """
    from catboost import CatBoostError

    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        with as_system_error(path, CatBoostError):
            model.save_model(str(path), format="json")
        exported = dict(json.loads(path.read_text(encoding="utf-8")))
    return {key: exported[key] for key in ("features_info", "oblivious_trees", "scale_and_bias")}


def read_forests(exported: Mapping[str, Any]) -> Forests:
    """Return the trees, of numbers and one-hot categories, that CatBoost has exported.

    Raises: ValueError or LookupError for trees of another kind.
    """
    trees = exported["oblivious_trees"]
    few = len(trees) < 2 * FIRST_TREES
    return Forests(
        read_forest(exported),
        None if few else read_forest({**exported, "oblivious_trees": trees[:FIRST_TREES]}),
    )


def read_forest(exported: Mapping[str, Any]) -> Forest:
    """Return the trees, of numbers and one-hot categories, that CatBoost has exported.

    Raises: ValueError or LookupError for trees of another kind.
    """
    trees, (scale, (bias,)) = exported["oblivious_trees"], exported["scale_and_bias"]
    splits = [tree["splits"] or [] for tree in trees]  # null: a tree of one leaf
    used = np.array([split["split_index"] for own in splits for split in own], dtype=np.int64)
    slots, slot_of, border_of = _slots(split_tests(exported["features_info"]), used)
    depths, sizes = _lengths(splits), _lengths([tree["leaf_values"] for tree in trees])
    leaves, weights = _joined(trees, "leaf_values") * scale, _joined(trees, "leaf_weights")
    if depths.max() > _DEEPEST or (sizes != 1 << depths).any():
        raise ValueError("a tree has splits without leaves")
    if not np.isfinite(leaves).all():
        raise ValueError("a leaf is not a number")
    if (sizes != _lengths([tree["leaf_weights"] for tree in trees])).any() or not (weights >= 0).all():
        raise ValueError("the leaves have no weights")
    leaves[: sizes[0]] += bias
    filling = -len(trees) % TOGETHER
    starts = _starts(np.append(depths, np.zeros(filling, np.int64)))
    return Forest(
        slots,
        slot_of[used],
        border_of[used],
        (1 << np.arange(len(used)) - np.repeat(starts[: len(trees)], depths)).astype(
            np.uint8 if depths.max() <= 8 else np.uint16
        ),
        starts,
        np.append(leaves, np.zeros(filling)),
        np.append(weights, np.zeros(filling)),
        _starts(np.append(sizes, np.ones(filling, np.int64))),
    )


def _lengths(lists: Sequence[Sequence[Any]]) -> np.ndarray:
    return np.array([len(one) for one in lists], dtype=np.int64)


def _joined(trees: Sequence[Mapping[str, Any]], key: str) -> np.ndarray:
    return np.fromiter(chain.from_iterable(tree[key] for tree in trees), np.float64)


def _starts(lengths: np.ndarray) -> np.ndarray:
    return np.append(0, np.cumsum(lengths))


def _slots(tests: Sequence[SplitTest], used: np.ndarray) -> tuple[tuple[Slot, ...], np.ndarray, np.ndarray]:
    """Return the slots, and for each test its slot and the index of its border in that slot.

    These indices are u8 if every slot has at most 255 borders, else u16.

    Args:
        used: indices of the tests that the trees use; others have no slot.

    Raises: ValueError if a column has more than 65,535 borders.
    """
    slots: list[Slot] = []
    slot_of, border_of = np.zeros(len(tests), np.int64), np.zeros(len(tests), np.uint16)
    for (column, value), group in groupby(np.unique(used), key=lambda place: tests[place][:2]):
        own = list(group)
        if len(own) > _MOST_BORDERS:
            raise ValueError(f"{column!r} has {len(own):,} borders, more than {_MOST_BORDERS:,}")
        slot_of[own], border_of[own] = len(slots), np.arange(len(own))
        known = [tests[place].border for place in own] if value is None else [_codes()[value]]
        slots.append(Slot(column, np.array(known, dtype=np.float32), value is not None))
    most = max((len(slot.borders) for slot in slots), default=0)
    return tuple(slots), slot_of, border_of.astype(np.uint8 if most <= MOST_IN_A_BYTE else np.uint16)


@cache
def _codes() -> dict[int, int]:
    """Return the code of each hash that CatBoost may store."""
    return {hash_of_code(code): code for code in range(1_000)}


def hash_of_code(code: int) -> int:
    """Return the hash that CatBoost stores for a category's code, from 0 to 999.

    Source: CityHash 1.0 (Pike and Alakuijala) of a text of one to three bytes, lower 32 bits.
    """
    text = str(code).encode()
    word = text[0] + (text[len(text) >> 1] << 8)
    tail = len(text) + (text[-1] << 2)
    mixed = (word * 0x9AE16A3B2F90404F & _ONES) ^ (tail * 0xC949D7C7509E6557 & _ONES)
    mixed = ((mixed ^ (mixed >> 47)) * 0x9AE16A3B2F90404F) & 0xFFFFFFFF
    return mixed - (1 << 32) if mixed >> 31 else mixed

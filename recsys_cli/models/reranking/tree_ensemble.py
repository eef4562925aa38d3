"""The ranker's trees as plain arrays: exactly the scores of CatBoost, but faster.

A user's features are the same in all of its rows, an item's in all lists: they are binned once, and only the
features of the pair are binned row by row. Training is done by CatBoost.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from recsys_cli.models.kernels.tree_scores import MOST_IN_A_BYTE, TOGETHER, count_borders, sum_trees
from recsys_cli.models.kernels.tree_shap import share_trees
from recsys_cli.models.reranking.catboost_json import SplitTest, split_tests
from recsys_cli.utils.storage.atomic_files import as_system_error

if TYPE_CHECKING:
    from catboost import CatBoost

FIRST_TREES = 100  # these choose the shortlist
_DEEPEST = 16
_MOST_BORDERS = 65_535  # of a slot: its bins are u16
_ONES = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True)
class Slot:
    """What the trees use of a column: how many borders a number exceeds, or whether a category has a code.

    Attributes:
        borders: ascending, f32; for a category its code alone.
    """

    column: str
    borders: np.ndarray
    is_category: bool

    def bins(self, values: np.ndarray) -> np.ndarray:
        """Return the bin of each value: the number of borders below it, 0 for NaN; 1 for the category.

        u8 where there are at most 255 borders, else u16.
        """
        if self.is_category:
            return np.asarray(values == self.borders[0], dtype=np.uint8)
        return np.asarray(count_borders(np.ascontiguousarray(values, dtype=np.float32), self.borders))


@dataclass(frozen=True)
class Forest:
    """Oblivious trees over bins.

    Attributes:
        slots: in the order of the columns of the bins.
        slot, border, bit, starts: of each split, and where each tree's splits start; a split adds `bit` to
            the leaf's number if the bin exceeds `border`.
        border: u8 where every slot has at most 255 borders, else u16; all bins are of its type.
        leaves: values of all trees, f64; weights: of the training rows in each leaf; offsets: where each
            tree's leaves start.

    Trees of a single leaf 0 fill up the last `TOGETHER`.
    """

    slots: tuple[Slot, ...]
    slot: np.ndarray
    border: np.ndarray
    bit: np.ndarray
    starts: np.ndarray
    leaves: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray

    def places(self, columns: Collection[str]) -> np.ndarray:
        """Return the indices of the slots of these columns."""
        return np.flatnonzero([slot.column in columns for slot in self.slots])

    def bins(self, columns: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
        """Return (rows, slots of these columns), of the type of `border`."""
        places = self.places(columns)
        bins = np.empty((rows, len(places)), dtype=self.border.dtype)
        for column, place in enumerate(places):
            slot = self.slots[place]
            bins[:, column] = slot.bins(columns[slot.column])
        return bins

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return SHAP values, (rows, columns + 1) f64, the base value last; a row sums to its raw score.

        They equal those of CatBoost, which gives leaves without training rows the value 0.

        Args:
            columns: f32 by name, all that the trees use.
        """
        places = {name: place for place, name in enumerate(columns)}
        return np.asarray(
            share_trees(
                self.bins(columns, len(next(iter(columns.values())))),
                np.array([places[slot.column] for slot in self.slots], dtype=np.int64),
                len(columns),
                (self.slot, self.border, self.starts),
                self.leaves,
                self.weights,
                self.offsets,
            )
        )


@dataclass(frozen=True)
class Forests:
    """A model's trees, and the first of them, which choose the shortlist.

    Attributes:
        first: None if the model has hardly more trees.
    """

    all: Forest
    first: Forest | None


@dataclass(frozen=True)
class BoundForest:
    """A forest bound to one day's items.

    Attributes:
        items: bins, (items, item slots), of the type of the forest's `border`.
        item_slots: indices of the slots of the items' columns.
    """

    forest: Forest
    items: np.ndarray
    item_slots: np.ndarray

    def raw_scores(
        self,
        users: Mapping[str, np.ndarray],
        rows: np.ndarray,
        items: np.ndarray,
        columns: Mapping[str, np.ndarray],
    ) -> np.ndarray:
        """Return the raw score of each pair, f32.

        Args:
            users: f32 by name, one value per user of the chunk; rows: the user of each pair, an index.
            items: internal index of the item of each pair.
            columns: the features of the pairs, by name.
        """
        forest = self.forest
        user_slots, pair_slots = forest.places(users), forest.places(columns)
        size = len(next(iter(users.values()), ()))
        pair_bins = np.empty((len(pair_slots), len(items)), dtype=forest.border.dtype)
        for row, place in enumerate(pair_slots):
            slot = forest.slots[place]
            pair_bins[row] = slot.bins(columns[slot.column])
        return np.asarray(
            sum_trees(
                forest.bins(users, size),
                self.items,
                pair_bins,
                (user_slots, self.item_slots, pair_slots),
                (rows, items),
                (forest.slot, forest.border, forest.bit, forest.starts),
                forest.leaves,
                forest.offsets,
            )
        )


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


def bind_forest(forest: Forest, items: pl.DataFrame) -> BoundForest:
    """Bind the trees to a day's items, one row per internal index."""
    return BoundForest(forest, forest.bins(as_numbers(items), len(items)), forest.places(items.columns))


def as_numbers(frame: pl.DataFrame) -> dict[str, np.ndarray]:
    """Return the columns by name, f32, NaN for null."""
    numbers = frame.select(pl.all().cast(pl.Float32).fill_null(np.nan))
    # writable, as all other columns are: kernels are compiled per kind of array
    return {column.name: column.to_numpy(writable=True) for column in numbers.get_columns()}


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

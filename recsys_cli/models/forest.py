"""The ranker's trees as plain arrays: the very scores of CatBoost, sooner.

A user's own features are the same in all of its rows, an item's in all lists: they are put into bins once,
and only what belongs to the pair is put into bins row by row. CatBoost trains.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from recsys_cli.models.contribution_loops import share_trees
from recsys_cli.models.forest_loops import TOGETHER, count_borders, sum_trees
from recsys_cli.utils.files import as_system_error

if TYPE_CHECKING:
    from catboost import CatBoost

Question = tuple[str, int, float]  # the column and, of a category, the hash of the value; else the border

FIRST_TREES = 100  # that choose a shortlist
_DEEPEST = 16
_MOST_BORDERS = 255
_ONES = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True)
class Slot:
    """What the trees ask of a column: how many borders a number exceeds, or whether a category is the one.

    Attributes:
        borders: ascending, f32; of a category the code alone.
    """

    column: str
    borders: np.ndarray
    is_category: bool

    def bins(self, values: np.ndarray) -> np.ndarray:
        """Return the bin of each value, u8: the number of borders below it, 0 for NaN; 1 for the category."""
        if self.is_category:
            return np.asarray(values == self.borders[0], dtype=np.uint8)
        return np.asarray(count_borders(np.ascontiguousarray(values, dtype=np.float32), self.borders))


@dataclass(frozen=True)
class Forest:
    """Oblivious trees over bins.

    Attributes:
        slots: what is asked, in the order of the rows of the bins.
        slot, border, bit, starts: of each split, and where each tree's splits begin; a split adds `bit` to
            the leaf's number where the bin exceeds `border`.
        leaves: f64, of all trees; weights: of the training rows in each; offsets: where each tree's begin.

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
        """Return the slots that ask for one of the columns."""
        return np.flatnonzero([slot.column in columns for slot in self.slots])

    def bins(self, columns: Mapping[str, np.ndarray], rows: int) -> np.ndarray:
        """Return (rows, slots that ask for one of the columns) u8."""
        places = self.places(columns)
        bins = np.empty((rows, len(places)), dtype=np.uint8)
        for column, place in enumerate(places):
            slot = self.slots[place]
            bins[:, column] = slot.bins(columns[slot.column])
        return bins

    def contributions(self, columns: Mapping[str, np.ndarray]) -> np.ndarray:
        """Return SHAP values, (rows, columns + 1) f64, the base value last; a row sums to its raw score.

        They are those of CatBoost, which gives a leaf that no training row has reached the value 0.

        Args:
            columns: f32 by name, all that the trees ask for.
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
    """A model's trees, and the first of them: they know soon who cannot win.

    Attributes:
        first: None where there are hardly more trees.
    """

    all: Forest
    first: Forest | None


@dataclass(frozen=True)
class BoundForest:
    """A forest over one day's items.

    Attributes:
        items: (items, item slots) u8.
        item_slots: which slots ask for an item's columns.
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
            users: f32 by name, a value a user of some; rows: which of them each pair belongs to.
            items: internal index of the item of each pair.
            columns: what belongs to the pairs, by name.
        """
        forest = self.forest
        user_slots, pair_slots = forest.places(users), forest.places(columns)
        size = len(next(iter(users.values()), ()))
        pair_bins = np.empty((len(pair_slots), len(items)), dtype=np.uint8)
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
    """Return the trees of a CatBoost model as it exports them, without what tells trainings apart.

    Raises: OSError where there is no room for its temporary file.
    """
    from catboost import CatBoostError

    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.json"
        with as_system_error(path, CatBoostError):
            model.save_model(str(path), format="json")
        told = dict(json.loads(path.read_text(encoding="utf-8")))
    return {part: told[part] for part in ("features_info", "oblivious_trees", "scale_and_bias")}


def read_forests(told: Mapping[str, Any]) -> Forests:
    """Return the trees, of numbers and one-hot categories, that CatBoost has exported.

    Raises: ValueError or KeyError for trees of another kind.
    """
    trees = told["oblivious_trees"]
    few = len(trees) < 2 * FIRST_TREES
    return Forests(
        read_forest(told), None if few else read_forest({**told, "oblivious_trees": trees[:FIRST_TREES]})
    )


def read_forest(told: Mapping[str, Any]) -> Forest:
    """Return the trees, of numbers and one-hot categories, that CatBoost has exported.

    Raises: ValueError or KeyError for trees of another kind.
    """
    names = told["features_info"]
    numbers = [feature["feature_id"] for feature in names.get("float_features", [])]
    categories = [feature["feature_id"] for feature in names.get("categorical_features", [])]
    of_trees = [tree["splits"] or [] for tree in told["oblivious_trees"]]  # null: a tree of one leaf
    splits = [split for own in of_trees for split in own]
    asked = [_question(split, numbers, categories) for split in splits]
    slots, places = _slots(asked, categories)
    if any(len(slot.borders) > _MOST_BORDERS for slot in slots):
        raise ValueError("a column has more borders than a byte can count")
    depths = [len(own) for own in of_trees]
    scale, (bias,) = told["scale_and_bias"]
    leaves = [np.array(tree["leaf_values"], np.float64) * scale for tree in told["oblivious_trees"]]
    weights = [np.array(tree["leaf_weights"], np.float64) for tree in told["oblivious_trees"]]
    if max(depths) > _DEEPEST or any(len(own) != 1 << d for own, d in zip(leaves, depths, strict=True)):
        raise ValueError("the trees have splits without leaves")
    if not all(np.isfinite(own).all() for own in leaves):
        raise ValueError("a leaf is no number")
    if any(len(own) != len(other) or (own < 0).any() for own, other in zip(weights, leaves, strict=True)):
        raise ValueError("the leaves have no weights")
    leaves[0] += bias
    filling = -len(leaves) % TOGETHER
    depths, nothing = [*depths, *[0] * filling], [np.zeros(1)] * filling
    leaves, weights = [*leaves, *nothing], [*weights, *nothing]
    return Forest(
        slots,
        np.array([places[one][0] for one in asked], dtype=np.int64),
        np.array([places[one][1] for one in asked], dtype=np.uint8),
        np.concatenate([1 << np.arange(depth) for depth in depths]).astype(
            np.uint8 if max(depths) <= 8 else np.uint16
        ),
        np.concatenate([[0], np.cumsum(depths)]).astype(np.int64),
        np.concatenate(leaves),
        np.concatenate(weights),
        np.concatenate([[0], np.cumsum([len(own) for own in leaves])]).astype(np.int64),
    )


def bind_forest(forest: Forest, items: pl.DataFrame) -> BoundForest:
    """Bind the trees to a day's items: a row an internal index."""
    return BoundForest(forest, forest.bins(as_numbers(items), len(items)), forest.places(items.columns))


def as_numbers(frame: pl.DataFrame) -> dict[str, np.ndarray]:
    """Return the columns by name, f32, NaN for null."""
    return {
        column.name: column.cast(pl.Float32).fill_null(np.nan).to_numpy() for column in frame.get_columns()
    }


def _question(split: Mapping[str, Any], numbers: Sequence[str], categories: Sequence[str]) -> Question:
    if split["split_type"] == "FloatFeature":
        return numbers[split["float_feature_index"]], 0, split["border"]
    if split["split_type"] == "OneHotFeature":
        return categories[split["cat_feature_index"]], split["value"], 0.0
    raise ValueError(f"no such split is known: {split['split_type']}")


def _slots(
    asked: Sequence[Question], categories: Sequence[str]
) -> tuple[tuple[Slot, ...], dict[Question, tuple[int, int]]]:
    """Return the slots, and of each question its slot and the place of its border among the slot's."""
    borders: dict[tuple[str, int], set[float]] = {}
    for column, value, border in asked:
        borders.setdefault((column, value), set()).add(border)
    codes = {hash_of_code(code): code for code in range(1_000)}
    slots: list[Slot] = []
    places: dict[Question, tuple[int, int]] = {}
    for (column, value), own in borders.items():
        is_category, ascending = column in categories, sorted(own)
        places.update({(column, value, border): (len(slots), n) for n, border in enumerate(ascending)})
        known = [codes[value]] if is_category else ascending
        slots.append(Slot(column, np.array(known, dtype=np.float32), is_category))
    return tuple(slots), places


def hash_of_code(code: int) -> int:
    """Return the hash that CatBoost keeps of a category's code, from 0 to 999.

    Source: CityHash 1.0 (Pike and Alakuijala) of a text of one to three bytes, its lower 32 bits.
    """
    text = str(code).encode()
    word = text[0] + (text[len(text) >> 1] << 8)
    tail = len(text) + (text[-1] << 2)
    mixed = (word * 0x9AE16A3B2F90404F & _ONES) ^ (tail * 0xC949D7C7509E6557 & _ONES)
    mixed = ((mixed ^ (mixed >> 47)) * 0x9AE16A3B2F90404F) & 0xFFFFFFFF
    return mixed - (1 << 32) if mixed >> 31 else mixed

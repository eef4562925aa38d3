"""The ranker's trees as arrays: scores and SHAP values of candidates.

A user's features are the same in all of its rows, an item's in all lists: they are binned once, and only the
features of the pair are binned row by row.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys_cli.models.kernels.tree_scores import count_borders, sum_trees
from recsys_cli.models.kernels.tree_shap import sum_shap_values


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
            sum_shap_values(
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


def bind_forest(forest: Forest, items: pl.DataFrame) -> BoundForest:
    """Bind the trees to a day's items, one row per internal index."""
    return BoundForest(forest, forest.bins(as_numbers(items), len(items)), forest.places(items.columns))


def as_numbers(frame: pl.DataFrame) -> dict[str, np.ndarray]:
    """Return the columns by name, f32, NaN for null."""
    numbers = frame.select(pl.all().cast(pl.Float32).fill_null(np.nan))
    # writable, as all other columns are: kernels are compiled per kind of array
    return {column.name: column.to_numpy(writable=True) for column in numbers.get_columns()}

"""The second stage: CatBoost over the joined candidates."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recsys_cli.models.candidates.merge import Candidates
from recsys_cli.models.kernels.top_k import top_k_rows
from recsys_cli.models.reranking.calibration import Calibration
from recsys_cli.models.reranking.feature_join import RankerTables, pair_columns
from recsys_cli.models.reranking.tree_ensemble import BoundForest, Forests, as_numbers, bind_forest
from recsys_cli.utils.errors import ModelError

if TYPE_CHECKING:
    from catboost import CatBoost  # 1.5 s to import: loaded only to train

Preference = Callable[[Candidates, np.ndarray], np.ndarray]  # of candidates and their first scores: f32


@dataclass(frozen=True)
class Ranker:
    """A trained CatBoost model with the columns that it reads.

    Attributes:
        forests: the trees for scoring.
        open_model: returns the same trees as a CatBoost model, for further training.
        columns: names of the features, in the order of training.
        categories: those of them that hold category codes.
        calibration: from raw scores to probabilities.
        score: the kind of published scores, "probability" or "raw".
    """

    forests: Forests
    open_model: Callable[[], "CatBoost"]
    columns: tuple[str, ...]
    categories: tuple[str, ...]
    calibration: Calibration
    score: str

    def on(self, items: pl.DataFrame) -> "BoundRanker":
        """Return the ranker bound to a day's items, in its own columns."""
        all_trees, first = self.forests.all, self.forests.first
        return BoundRanker(
            self, bind_forest(all_trees, items), None if first is None else bind_forest(first, items)
        )

    @cached_property
    def model(self) -> "CatBoost":
        """The trees as a CatBoost model."""
        return self.open_model()

    def scores(self, raw: np.ndarray) -> np.ndarray:
        """Return the published scores, f32, always in the order of the raw scores."""
        return self.calibration.probabilities(raw) if self.score == "probability" else raw

    def importance(self) -> dict[str, float]:
        """Return each feature's share, in percent, of what the trees change in a score, the largest first."""
        values = self.model.get_feature_importance(type="PredictionValuesChange")
        return dict(sorted(zip(self.columns, map(float, values), strict=True), key=lambda pair: -pair[1]))

    def contributions(self, frame: pl.DataFrame) -> np.ndarray:
        """Return SHAP values, (rows, columns + 1), the base value last; a row sums to its raw score."""
        return self.forests.all.contributions(as_numbers(frame.select(self.columns)))


@dataclass(frozen=True)
class BoundRanker:
    """A ranker bound to one day's items."""

    ranker: Ranker
    forest: BoundForest
    first: BoundForest | None

    def scored(
        self,
        candidates: Candidates,
        tables: RankerTables,
        shortlist: int,
        preference: Preference | None = None,
    ) -> "Scored":
        """Return the raw scores of all trees for each user's `shortlist` best candidates by the first trees.

        Args:
            shortlist: number per user; 0: all candidates.
            preference: of each candidate for the shortlist, from the scores by the first trees; None: these.
        """
        columns = pair_columns(candidates, tables)
        self._check({*tables.users.columns, *tables.items.columns, *columns})
        users = {name: values[candidates.users] for name, values in tables.user_numbers.items()}
        pairs = candidates.pairs
        places, items, lengths = pairs.rows, pairs.items, np.diff(pairs.indptr)
        if self.first is None or not 0 < shortlist < lengths.max(initial=0):
            raw = self.forest.raw_scores(users, places, items, columns)
            return Scored(np.arange(len(pairs)), pairs.indptr, raw, np.full(len(pairs), np.nan, np.float32))
        first = self.first.raw_scores(users, places, items, columns)
        order = first if preference is None else preference(candidates, first)
        rows = _sorted_places(top_k_rows(order, pairs.indptr, shortlist)[0], len(pairs))
        indptr = np.concatenate([[0], np.cumsum(np.minimum(lengths, shortlist))])
        chosen = {name: values[rows] for name, values in columns.items()}
        return Scored(rows, indptr, self.forest.raw_scores(users, places[rows], items[rows], chosen), first)

    def scores(self, raw: np.ndarray) -> np.ndarray:
        """Return the published scores, f32."""
        return self.ranker.scores(raw)

    def _check(self, known: Collection[str]) -> None:
        missing = [name for name in self.ranker.columns if name not in known]
        if missing:
            raise ModelError(
                f"the model was trained with features that are missing now: {', '.join(missing)}",
                where="data.users.features, data.items.features, features.windows_days",
                fix="restore the settings of the training, or run `recsys train` again",
            )


@dataclass(frozen=True)
class Scored:
    """Raw scores of candidates.

    Attributes:
        rows: the candidates that all trees scored, ascending; indptr: where those of each user start.
        raw: their raw scores, f32, equal to CatBoost's.
        first: scores of every candidate by the first trees, f32; NaN if there was no shortlist.
    """

    rows: np.ndarray
    indptr: np.ndarray
    raw: np.ndarray
    first: np.ndarray


def _sorted_places(places: np.ndarray, size: int) -> np.ndarray:
    chosen = np.zeros(size, dtype=np.bool_)
    chosen[places] = True
    return np.flatnonzero(chosen)

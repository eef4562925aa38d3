"""The second stage: CatBoost over the joined candidates."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recsys_cli.configs.sections import RankerSettings
from recsys_cli.models.calibration import Calibration
from recsys_cli.models.candidates.merge import Candidates
from recsys_cli.models.candidates.selection_loops import best_first
from recsys_cli.models.forest import BoundForest, Forests, as_json, as_numbers, bind_forest, read_forests
from recsys_cli.models.join import RankerTables, pair_columns
from recsys_cli.utils.errors import ModelError

if TYPE_CHECKING:
    from catboost import CatBoost, Pool  # 1.5 s to import: loaded only to train

LABEL = "label"
GROUP = "group"
_WITHOUT_WEIGHTS = ("YetiRank", "PairLogit")  # losses of pairs know no weight of a row
_ONE_HOT = 255  # categories up to this many values are split one against the rest: all that a forest knows


@dataclass(frozen=True)
class Ranker:
    """A trained CatBoost model with the columns that it reads.

    Attributes:
        forests: the trees, to score with.
        open_model: gives the same trees as CatBoost has them, to go on with.
        columns: names of the features, in the order of training.
        categories: those of them that hold codes of categories.
        calibration: from raw scores to probabilities.
        score: what users see, "probability" or "raw".
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
        """The trees as CatBoost has them."""
        return self.open_model()

    def scores(self, raw: np.ndarray) -> np.ndarray:
        """Return what users see, f32: never in another order than the raw scores."""
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
    """A ranker over one day's users and items."""

    ranker: Ranker
    forest: BoundForest
    first: BoundForest | None

    def scored(self, candidates: Candidates, tables: RankerTables, shortlist: int) -> "Scored":
        """Return the raw scores of all trees for the `shortlist` candidates of each user that the first
        trees prefer; 0: for all.
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
        rows = _sorted_places(best_first(first, pairs.indptr, shortlist)[0], len(pairs))
        indptr = np.concatenate([[0], np.cumsum(np.minimum(lengths, shortlist))])
        chosen = {name: values[rows] for name, values in columns.items()}
        return Scored(rows, indptr, self.forest.raw_scores(users, places[rows], items[rows], chosen), first)

    def scores(self, raw: np.ndarray) -> np.ndarray:
        """Return what users see, f32."""
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
        rows: the candidates that all trees scored, ascending; indptr: where those of each user begin.
        raw: of these, f32: what CatBoost gives for the joined frame.
        first: of every candidate, f32, by the first trees; NaN where nobody was left out.
    """

    rows: np.ndarray
    indptr: np.ndarray
    raw: np.ndarray
    first: np.ndarray


def fit_ranker(
    frame: pl.DataFrame,
    columns: tuple[str, ...],
    categories: tuple[str, ...],
    settings: RankerSettings,
    threads: int,
) -> Ranker:
    """Learn from rows with `label` and `group`, early stopped on the users of `validation`, uncalibrated.

    A group's rows are adjacent and share a `validation` flag.

    Raises: ModelError when there is nothing to learn from.
    """
    train, validation = frame.filter(~pl.col("validation")), frame.filter("validation")
    if frame[LABEL].n_unique() < 2:
        raise _nothing_to_learn()
    if train[LABEL].n_unique() < 2 or validation[LABEL].n_unique() < 2:
        raise _one_sided(train, validation, settings)
    learnt, held_out = (
        _pool(part, columns, categories, settings.loss_function) for part in (train, validation)
    )
    model = _mean_of_members(
        settings,
        settings.iterations,
        threads,
        lambda member: member.fit(
            learnt, eval_set=held_out, early_stopping_rounds=settings.early_stopping_rounds
        ),
    )
    return Ranker(
        read_forests(as_json(model)), lambda: model, columns, categories, Calibration(), settings.score
    )


def refit_ranker(frame: pl.DataFrame, judged: Ranker, settings: RankerSettings, threads: int) -> Ranker:
    """Learn again from all rows, with as many trees as `judged` kept, and under its calibration."""
    trees = max(1, round(judged.model.tree_count_ / settings.members))
    pool = _pool(frame, judged.columns, judged.categories, settings.loss_function)
    model = _mean_of_members(settings, trees, threads, lambda member: member.fit(pool))
    return replace(judged, forests=read_forests(as_json(model)), open_model=lambda: model)


def continue_ranker(frame: pl.DataFrame, base: Ranker, settings: RankerSettings, threads: int) -> Ranker:
    """Add `settings.warm_iterations` trees that learn from new rows what the ranker still gets wrong.

    Raises: ModelError when the rows are all of one label.
    """
    if frame[LABEL].n_unique() < 2:
        raise _nothing_to_learn()
    model = _new_model(settings, settings.warm_iterations, threads, settings.random_state)
    model.fit(_pool(frame, base.columns, base.categories, settings.loss_function), init_model=base.model)
    return replace(base, forests=read_forests(as_json(model)), open_model=lambda: model)


def _sorted_places(places: np.ndarray, size: int) -> np.ndarray:
    chosen = np.zeros(size, dtype=np.bool_)
    chosen[places] = True
    return np.flatnonzero(chosen)


def _nothing_to_learn() -> ModelError:
    return ModelError(
        "the label windows hold too few users whose candidates they then chose",
        where="ranker.label_days, ranker.label_windows",
        fix="give a later --date or more history, longer windows or more num_candidates of the sources",
    )


def _one_sided(train: pl.DataFrame, validation: pl.DataFrame, settings: RankerSettings) -> ModelError:
    learnt, kept = (part[GROUP].n_unique() for part in (train, validation))
    return ModelError(
        f"of {learnt + kept} lists with a chosen candidate, {learnt} are to learn from and {kept} are kept "
        "for early stopping: either side needs some, with candidates that were chosen and others",
        where=f"ranker.validation_share = {settings.validation_share}",
        fix="set ranker.validation_share nearer to its default, 0.15, or give more history or longer windows",
    )


def _mean_of_members(
    settings: RankerSettings, iterations: int, threads: int, learn: Callable[["CatBoost"], object]
) -> "CatBoost":
    """Return one model that gives the mean raw score of members that differ by their seed.

    Source: Breiman (1996), Bagging Predictors, for why a mean of unsteady models is better than one.
    """
    from catboost import sum_models

    members = []
    for number in range(settings.members):
        member = _new_model(settings, iterations, threads, settings.random_state + number)
        learn(member)
        members.append(member)
    if len(members) == 1:
        return members[0]
    return sum_models(members, weights=[1 / len(members)] * len(members))


def _new_model(settings: RankerSettings, iterations: int, threads: int, seed: int) -> "CatBoost":
    from catboost import CatBoost

    parameters = {
        "loss_function": settings.loss_function,
        "iterations": iterations,
        "depth": settings.depth,
        "learning_rate": settings.learning_rate,
        "rsm": settings.rsm,
        "one_hot_max_size": _ONE_HOT,
        "random_seed": seed,
        "thread_count": threads,
        "allow_writing_files": False,
        "logging_level": "Silent",
    }
    return CatBoost(parameters)


def _pool(
    frame: pl.DataFrame, columns: tuple[str, ...], categories: tuple[str, ...], loss_function: str
) -> "Pool":
    from catboost import Pool

    return Pool(
        frame.select(columns),
        weight=None if loss_function in _WITHOUT_WEIGHTS else _weights(frame),
        label=frame[LABEL].to_numpy(),
        group_id=frame[GROUP].to_numpy(),
        cat_features=list(categories),
    )


def _weights(frame: pl.DataFrame) -> np.ndarray:
    """Return weights of mean 1: a user of many positives counts more than one of few, not in proportion.

    Lists are judged by user; in proportion, a few busy newcomers would decide what everybody is shown.
    """
    weights = frame.select(1 / pl.col(LABEL).sum().over(GROUP).sqrt()).to_series().to_numpy()
    return np.asarray(weights / weights.mean())

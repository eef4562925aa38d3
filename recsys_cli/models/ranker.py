"""The second stage: CatBoost over the joined candidates."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from catboost import CatBoost, Pool

from recsys_cli.configs.sections import RankerSettings
from recsys_cli.models.calibration import Calibration
from recsys_cli.utils.errors import ModelError

LABEL = "label"
GROUP = "group"
_ONE_HOT = 255  # categories up to this many values are split one against the rest: quick to train and serve


@dataclass(frozen=True)
class Ranker:
    """A trained CatBoost model with the columns that it reads.

    Attributes:
        model: the trees.
        columns: names of the features, in the order of training.
        categories: those of them that hold codes of categories.
        calibration: from raw scores to probabilities.
        score: what users see, "probability" or "raw".
    """

    model: CatBoost
    columns: tuple[str, ...]
    categories: tuple[str, ...]
    calibration: Calibration
    score: str

    def raw_scores(self, frame: pl.DataFrame, threads: int) -> np.ndarray:
        """Return the raw score of each row, f32."""
        pool = Pool(self._features(frame), cat_features=list(self.categories))
        return np.asarray(
            self.model.predict(pool, prediction_type="RawFormulaVal", thread_count=threads), np.float32
        )

    def scores(self, raw: np.ndarray) -> np.ndarray:
        """Return what users see, f32: never in another order than the raw scores."""
        return self.calibration.probabilities(raw) if self.score == "probability" else raw

    def importance(self) -> dict[str, float]:
        """Return each feature's share, in percent, of what the trees change in a score, the largest first."""
        values = self.model.get_feature_importance()
        return dict(sorted(zip(self.columns, map(float, values), strict=True), key=lambda pair: -pair[1]))

    def contributions(self, frame: pl.DataFrame) -> np.ndarray:
        """Return SHAP values, (rows, columns + 1), the base value last; a row sums to its raw score."""
        pool = Pool(self._features(frame), cat_features=list(self.categories))
        return np.asarray(self.model.get_feature_importance(pool, type="ShapValues"))

    def _features(self, frame: pl.DataFrame) -> pl.DataFrame:
        missing = [name for name in self.columns if name not in frame.columns]
        if missing:
            raise ModelError(
                f"the model was trained with features that are missing now: {', '.join(missing)}",
                where="data.users.features, data.items.features, features.windows_days",
                fix="restore the settings of the training, or run `recsys train` again",
            )
        return frame.select(self.columns)


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
    if train[LABEL].n_unique() < 2 or validation[LABEL].n_unique() < 2:
        raise _nothing_to_learn()
    model = CatBoost(_parameters(settings, settings.iterations, threads))
    model.fit(
        _pool(train, columns, categories),
        eval_set=_pool(validation, columns, categories),
        early_stopping_rounds=settings.early_stopping_rounds,
    )
    return Ranker(model, columns, categories, Calibration(), settings.score)


def refit_ranker(frame: pl.DataFrame, judged: Ranker, settings: RankerSettings, threads: int) -> Ranker:
    """Learn again from all rows, with as many trees as `judged` kept, and under its calibration."""
    model = CatBoost(_parameters(settings, judged.model.tree_count_, threads))
    model.fit(_pool(frame, judged.columns, judged.categories))
    _forget_when(model)
    return replace(judged, model=model)


def continue_ranker(frame: pl.DataFrame, base: Ranker, settings: RankerSettings, threads: int) -> Ranker:
    """Add `settings.warm_iterations` trees that learn from new rows what the ranker still gets wrong.

    Raises: ModelError when the rows are all of one label.
    """
    if frame[LABEL].n_unique() < 2:
        raise _nothing_to_learn()
    model = CatBoost(_parameters(settings, settings.warm_iterations, threads))
    model.fit(_pool(frame, base.columns, base.categories), init_model=base.model)
    _forget_when(model)
    return replace(base, model=model)


def _forget_when(model: CatBoost) -> None:
    for name in ("model_guid", "train_finish_time"):  # the same training gives the same bytes
        model.get_metadata()[name] = ""


def _nothing_to_learn() -> ModelError:
    return ModelError(
        "the label windows hold too few users whose candidates they then chose",
        where="ranker.label_days, ranker.label_windows",
        fix="give a later --date or more history, longer windows or more num_candidates of the sources",
    )


def _parameters(settings: RankerSettings, iterations: int, threads: int) -> dict[str, Any]:
    return {
        "loss_function": settings.loss_function,
        "iterations": iterations,
        "depth": settings.depth,
        "learning_rate": settings.learning_rate,
        "rsm": settings.rsm,
        "one_hot_max_size": _ONE_HOT,
        "random_seed": settings.random_state,
        "thread_count": threads,
        "allow_writing_files": False,
        "logging_level": "Silent",
    }


def _pool(frame: pl.DataFrame, columns: tuple[str, ...], categories: tuple[str, ...]) -> Pool:
    return Pool(
        frame.select(columns),
        weight=_weights(frame),
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

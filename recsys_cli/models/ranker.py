"""The second stage: CatBoost over the joined candidates."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from catboost import CatBoost, Pool

from recsys_cli.configs.sections import RankerSettings
from recsys_cli.utils.errors import ModelError

LABEL = "label"
GROUP = "group"


@dataclass(frozen=True)
class Ranker:
    """A trained CatBoost model with the columns that it reads.

    Attributes:
        model: the trees.
        columns: names of the features, in the order of training.
        categories: those of them that hold codes of categories.
        loss_function: what the trees were trained with; it decides what a raw score means.
    """

    model: CatBoost
    columns: tuple[str, ...]
    categories: tuple[str, ...]
    loss_function: str

    def raw_scores(self, frame: pl.DataFrame, threads: int) -> np.ndarray:
        """Return the raw score of each row, f32."""
        pool = Pool(self._features(frame), cat_features=list(self.categories))
        return np.asarray(
            self.model.predict(pool, prediction_type="RawFormulaVal", thread_count=threads), np.float32
        )

    def scores(self, raw: np.ndarray) -> np.ndarray:
        """Return what users see, f32: the probability under Logloss, the raw score under a ranking loss."""
        if self.loss_function != "Logloss":
            return raw
        return np.asarray(1.0 / (1.0 + np.exp(-raw.astype(np.float64))), dtype=np.float32)

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
    """Learn from rows with `label` and `group`; a group's rows are adjacent and share a `validation` flag.

    Raises: ModelError when there is nothing to learn from.
    """
    train, validation = frame.filter(~pl.col("validation")), frame.filter("validation")
    if train[LABEL].n_unique() < 2 or validation[LABEL].n_unique() < 2:
        raise ModelError(
            "the label windows hold too few users whose candidates they then chose",
            where="ranker.label_days, ranker.label_windows",
            fix="give a later --date or more history, longer windows or more candidates.num_candidates",
        )
    model = CatBoost(
        {
            "loss_function": settings.loss_function,
            "eval_metric": "NDCG:top=10",
            "iterations": settings.iterations,
            "depth": settings.depth,
            "learning_rate": settings.learning_rate,
            "rsm": settings.rsm,
            "random_seed": settings.random_state,
            "thread_count": threads,
            "allow_writing_files": False,
            "logging_level": "Silent",
        }
    )
    model.fit(
        _pool(train, columns, categories),
        eval_set=_pool(validation, columns, categories),
        early_stopping_rounds=settings.early_stopping_rounds,
    )
    for name in ("model_guid", "train_finish_time"):  # the same training gives the same bytes
        model.get_metadata()[name] = ""
    return Ranker(model, columns, categories, settings.loss_function)


def _pool(frame: pl.DataFrame, columns: tuple[str, ...], categories: tuple[str, ...]) -> Pool:
    return Pool(
        frame.select(columns),
        label=frame[LABEL].to_numpy(),
        group_id=frame[GROUP].to_numpy(),
        cat_features=list(categories),
    )

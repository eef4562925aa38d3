"""Warm start: a model that goes on learning from the days since its training, instead of starting again."""

from datetime import timedelta

import numpy as np
import polars as pl

from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.stage import continue_candidate_stage
from recsys_cli.models.reranking.ranker import Ranker
from recsys_cli.models.training.context import TrainingContext
from recsys_cli.models.training.holdout import evaluate_on_holdout
from recsys_cli.models.training.label_window import LabelWindow, TrainingTables
from recsys_cli.models.training.quantised_rows import quantise
from recsys_cli.models.training.ranker_training import continue_ranker, nothing_to_learn
from recsys_cli.models.training.two_stage_training import Training
from recsys_cli.models.training.window_rows import WindowRows
from recsys_cli.models.two_stage import TwoStageModel
from recsys_cli.utils.errors import ModelError


def warm_start(base: TwoStageModel, tables: Tables, context: TrainingContext) -> Training:
    """Continue both stages of `base` with the days from its training to `tables.day`.

    These days are one label window: the candidate models of `base` have not seen them, so its lists in them
    are its holdout, and the ranker's new trees learn from them. Then the candidate models go on, too.

    Raises: ModelError where no day has passed since the training, or the window has leaked; InputError where
        nothing happened in these days.
    """
    if tables.day - base.trained_through < timedelta(days=1):
        raise ModelError(
            f"the promoted model is trained through {base.trained_through}: no newer day to learn from",
            where="recsys train --warm-start",
            fix="give a later --date",
        )
    known = TrainingTables.of(tables, context.settings)
    window = LabelWindow(base.trained_through, known, context, trained=base.stage)
    rows = window.rows()
    holdout = evaluate_on_holdout(base.ranker, window, context)
    ranker = _continued(rows, holdout.ranker, context)
    since = base.trained_through - timedelta(days=context.settings.ranker.label_days)
    with context.stages.stage("candidate models") as progress:
        # one label window of older events is among them so that the model does not forget them
        stage = continue_candidate_stage(
            base.stage, tables, context.settings, context.threads, since, progress
        )
    model = TwoStageModel(stage, ranker, tables.day)
    return Training(model, [rows], holdout.verdict, ranker.importance())


def _continued(rows: WindowRows, judged: Ranker, context: TrainingContext) -> Ranker:
    if not rows.rows:
        raise nothing_to_learn()
    with context.stages.stage("quantise"):
        quantised = quantise([rows], judged.columns, judged.categories)
    with context.stages.stage("ranker") as progress:
        baseline = np.concatenate([_raw_scores(judged, chunk) for chunk in rows.chunks(judged.columns)])
        return continue_ranker(quantised, judged, baseline, context.fitting(progress))


def _raw_scores(ranker: Ranker, chunk: pl.DataFrame) -> np.ndarray:
    """Return what the trees give for rows of joined features, f64."""
    return np.asarray(ranker.model.predict(chunk.select(ranker.columns), prediction_type="RawFormulaVal"))

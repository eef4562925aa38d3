"""Warm start: continue training a model with the days since its training, instead of training a new one."""

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
from recsys_cli.utils.dates import days_before
from recsys_cli.utils.errors import ModelError


def warm_start(base: TwoStageModel, tables: Tables, context: TrainingContext) -> Training:
    """Continue both stages of `base` with the days from its training to `tables.day`.

    These days are one label window. The candidate models of `base` have not seen it: so it is the holdout for
    its lists, and the ranker's new trees learn from it. Then the candidate models are trained further, too.

    Raises: ModelError if no day has passed since the training, or the window has leaked; InputError if these
        days have no event.
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
    since = days_before(base.trained_through, context.settings.ranker.label_days, "ranker.label_days")
    with context.stages.stage("candidate models") as progress:
        # include one label window of older events so that the model does not forget them
        stage = continue_candidate_stage(
            base.stage, tables, context.settings, context.threads, since, progress
        )
    model = TwoStageModel(stage, ranker, tables.day)
    return Training(model, [rows], holdout.evaluation, ranker.importance(), holdout.own_item_auc)


def _continued(rows: WindowRows, calibrated: Ranker, context: TrainingContext) -> Ranker:
    if not rows.rows:
        raise nothing_to_learn()
    with context.stages.stage("quantise"):
        quantised = quantise([rows], calibrated.columns, calibrated.categories)
    with context.stages.stage("ranker") as progress:
        baseline = np.concatenate(
            [_raw_scores(calibrated, chunk) for chunk in rows.chunks(calibrated.columns)]
        )
        trees = context.settings.warm_start.iterations
        return continue_ranker(quantised, calibrated, baseline, context.fitting(progress), trees)


def _raw_scores(ranker: Ranker, chunk: pl.DataFrame) -> np.ndarray:
    """Return the raw scores of rows of joined features, f64."""
    return np.asarray(ranker.model.predict(chunk.select(ranker.columns), prediction_type="RawFormulaVal"))

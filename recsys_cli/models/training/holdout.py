"""The holdout: a ranker that has not seen the last label window is calibrated and evaluated on it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recsys_cli.models.evaluation.daily_evaluation import (
    Budget,
    EvaluationOptions,
    EvaluationResult,
    evaluate_day,
)
from recsys_cli.models.evaluation.own_item_auc import own_item_auc
from recsys_cli.models.reranking.calibration import Calibration, fit_calibration
from recsys_cli.models.reranking.ranker import Ranker
from recsys_cli.models.training.checkpoint import FinishedStep
from recsys_cli.models.training.context import TrainingContext
from recsys_cli.models.training.label_window import LabelWindow
from recsys_cli.models.training.leakage_check import MadeBefore, check_leakage
from recsys_cli.models.training.window_rows import LABEL
from recsys_cli.models.two_stage import rank_users
from recsys_cli.utils.columns import ITEM, USER
from recsys_cli.utils.parallel import chunks_of, map_in_threads
from recsys_cli.utils.progress import Progress
from recsys_cli.utils.storage.atomic_writes import as_system_error
from recsys_cli.utils.storage.table_files import read_parquet_file

HOLDOUT = "holdout"  # the name of the step
_CALIBRATION_USERS = 10_000
_CONTESTANT = "contestant"
_BY_USER = "by_user.parquet"


@dataclass(frozen=True)
class Holdout:
    """A ranker's result in a window that it had not seen.

    Attributes:
        ranker: the same ranker, calibrated.
        own_item_auc: see `own_item_auc`; None: not defined there.
    """

    ranker: Ranker
    evaluation: EvaluationResult
    own_item_auc: float | None


def evaluate_on_holdout(ranker: Ranker, window: LabelWindow, context: TrainingContext) -> Holdout:
    """Calibrate a ranker on a window that it has not seen, and evaluate its lists there.

    Raises: InputError if no user with an event before the window has a relevant item in it; ModelError if
        the window has leaked into what was made before it.
    """

    def write(folder: Path) -> Mapping[str, Any]:
        made = MadeBefore(window.stage, window.day, window.prepare)
        with context.stages.stage("leakage check"):
            check_leakage(window.tables, window.first_day, made, context.settings.features, context.threads)
        with context.stages.stage("calibration") as progress:
            calibrated = replace(ranker, calibration=_fitted_calibration(ranker, window, context, progress))
        with context.stages.stage("holdout") as progress:
            evaluation = _evaluated(calibrated, window, context, progress)
            facts = _write(folder, calibrated.calibration, evaluation)
            return {**facts, "own_item_auc": own_item_auc(window.day)}

    step = context.checkpoint.step(HOLDOUT, write)
    calibration, evaluation = _read(step)
    return Holdout(replace(ranker, calibration=calibration), evaluation, step.facts["own_item_auc"])


def _fitted_calibration(
    ranker: Ranker, window: LabelWindow, context: TrainingContext, progress: Progress
) -> Calibration:
    """Calibrate raw scores on a sample of users, active or not, in a window that the ranker has not seen."""
    users = np.arange(len(window.features.users), dtype=np.uint32)
    if len(users) > _CALIBRATION_USERS:
        chosen = np.random.default_rng(context.settings.ranker.random_state)
        users = np.sort(chosen.choice(users, _CALIBRATION_USERS, replace=False))
    bound = ranker.on(window.day.tables.items)
    scoring = context.settings.scoring
    shortlist = scoring.shortlist_of(scoring.top_k)
    taken = window.positives.with_columns(pl.lit(1, dtype=pl.Int8).alias(LABEL))

    def outcomes(chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ranked = rank_users(chunk, window.day, bound, shortlist)
        keys = ranked.candidates.keys(ranked.scored.rows)
        labelled = keys.join(taken, on=[USER, ITEM], how="left", maintain_order="left")
        return ranked.scored.raw, labelled[LABEL].fill_null(0).to_numpy()

    raw, labels = [], []
    for one, other in map_in_threads(outcomes, chunks_of(users, scoring.chunk_users), context.threads):
        raw.append(one)
        labels.append(other)
        progress(min(len(raw) * scoring.chunk_users, len(users)), len(users))
    return fit_calibration(np.concatenate(raw), np.concatenate(labels))


def _evaluated(
    ranker: Ranker, window: LabelWindow, context: TrainingContext, progress: Progress
) -> EvaluationResult:
    scoring, k = context.settings.scoring, context.settings.evaluation.k
    options = EvaluationOptions(k, scoring.shortlist_of(k), scoring.chunk_users, context.threads, progress)
    return evaluate_day(window.day, window.features, ranker, window.positives, options)


def _write(folder: Path, calibration: Calibration, evaluation: EvaluationResult) -> dict[str, Any]:
    """Write the measures of each user to a file, and return the rest as JSON facts."""
    named = [
        frame.with_columns(pl.lit(name).alias(_CONTESTANT)) for name, frame in evaluation.by_user.items()
    ]
    with as_system_error(folder / _BY_USER, pl.exceptions.ComputeError):
        pl.concat(named).write_parquet(folder / _BY_USER)
    return {
        "calibration": asdict(calibration),
        "contestants": list(evaluation.by_user),
        "variety": {name: dict(measures) for name, measures in evaluation.variety.items()},
        "budget": asdict(evaluation.budget),
    }


def _read(step: FinishedStep) -> tuple[Calibration, EvaluationResult]:
    frame, facts = read_parquet_file(step.folder / _BY_USER), step.facts
    by_user = {
        name: frame.filter(pl.col(_CONTESTANT) == name).drop(_CONTESTANT) for name in facts["contestants"]
    }
    budget = dict(facts["budget"])
    sources = {name: (found, alone) for name, (found, alone) in budget.pop("by_source").items()}
    evaluation = EvaluationResult(by_user, facts["variety"], Budget(**budget, by_source=sources))
    return Calibration(**facts["calibration"]), evaluation

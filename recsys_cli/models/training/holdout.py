"""The holdout: a ranker that has not seen the last label window is calibrated and judged on it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recsys_cli.models.evaluation.daily_evaluation import Budget, Verdict, judge_day
from recsys_cli.models.reranking.calibration import Calibration, fit_calibration
from recsys_cli.models.reranking.ranker import Ranker
from recsys_cli.models.training.checkpoint import FinishedStep
from recsys_cli.models.training.context import TrainingContext
from recsys_cli.models.training.label_window import LabelWindow
from recsys_cli.models.training.leakage_check import check_leakage
from recsys_cli.models.training.window_rows import LABEL
from recsys_cli.models.two_stage import rank_users
from recsys_cli.utils.columns import ITEM, USER
from recsys_cli.utils.parallel import chunks_of, mapped
from recsys_cli.utils.progress import Progress
from recsys_cli.utils.storage.atomic_files import as_system_error

HOLDOUT = "holdout"  # the name of the step
_CALIBRATION_USERS = 10_000
_CONTESTANT = "contestant"
_BY_USER = "by_user.parquet"


@dataclass(frozen=True)
class Holdout:
    """How a ranker did in a window that it had not seen.

    Attributes:
        ranker: the same, calibrated.
    """

    ranker: Ranker
    verdict: Verdict


def evaluate_on_holdout(ranker: Ranker, window: LabelWindow, context: TrainingContext) -> Holdout:
    """Calibrate a ranker on a window that it has not seen, and judge its lists there.

    Raises: InputError if nobody who had an event before the window took anything; ModelError where the window
        has leaked into what was made before it.
    """

    def write(folder: Path) -> Mapping[str, Any]:
        day = window.day
        with context.stages.stage("leakage check"):
            features, threads = context.settings.features, context.threads
            check_leakage(window.tables, window.cut, window.stage, day, features, threads, window.content)
        with context.stages.stage("calibration") as progress:
            judged = replace(ranker, calibration=_calibrated(ranker, window, context, progress))
        with context.stages.stage("holdout") as progress:
            return _write(folder, judged.calibration, _judged(judged, window, context, progress))

    calibration, verdict = _read(context.checkpoint.step(HOLDOUT, write))
    return Holdout(replace(ranker, calibration=calibration), verdict)


def _calibrated(
    ranker: Ranker, window: LabelWindow, context: TrainingContext, progress: Progress
) -> Calibration:
    """Fit raw scores to what some users, active or not, did in a window that the ranker has not seen."""
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
    for one, other in mapped(outcomes, chunks_of(users, scoring.chunk_users), context.threads):
        raw.append(one)
        labels.append(other)
        progress(min(len(raw) * scoring.chunk_users, len(users)), len(users))
    return fit_calibration(np.concatenate(raw), np.concatenate(labels))


def _judged(ranker: Ranker, window: LabelWindow, context: TrainingContext, progress: Progress) -> Verdict:
    settings = context.settings
    return judge_day(
        window.day,
        window.features,
        ranker,
        window.positives,
        k=settings.evaluation.k,
        shortlist=settings.scoring.shortlist_of(settings.evaluation.k),
        chunk_users=settings.scoring.chunk_users,
        threads=context.threads,
        progress=progress,
    )


def _write(folder: Path, calibration: Calibration, verdict: Verdict) -> dict[str, Any]:
    """Write what a verdict says of each user, and return the rest."""
    named = [frame.with_columns(pl.lit(name).alias(_CONTESTANT)) for name, frame in verdict.by_user.items()]
    with as_system_error(folder / _BY_USER, pl.exceptions.ComputeError):
        pl.concat(named).write_parquet(folder / _BY_USER)
    return {
        "calibration": asdict(calibration),
        "contestants": list(verdict.by_user),
        "variety": {name: dict(measures) for name, measures in verdict.variety.items()},
        "budget": asdict(verdict.budget),
    }


def _read(step: FinishedStep) -> tuple[Calibration, Verdict]:
    frame, facts = pl.read_parquet(step.folder / _BY_USER), step.facts
    by_user = {
        name: frame.filter(pl.col(_CONTESTANT) == name).drop(_CONTESTANT) for name in facts["contestants"]
    }
    budget = dict(facts["budget"])
    sources = {name: (found, alone) for name, (found, alone) in budget.pop("by_source").items()}
    verdict = Verdict(by_user, facts["variety"], Budget(**budget, by_source=sources))
    return Calibration(**facts["calibration"]), verdict

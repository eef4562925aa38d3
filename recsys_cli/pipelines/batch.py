"""`batch`: the whole night of a day, step by step, in one process."""

from dataclasses import dataclass

from recsys_cli.pipelines.check import check_before_run
from recsys_cli.pipelines.features import write_features
from recsys_cli.pipelines.score import ScoreReport, score_users
from recsys_cli.pipelines.scoring.job import ScoreRequest
from recsys_cli.pipelines.scoring.preflight import reraising_with_all_problems
from recsys_cli.pipelines.workspace.feature_store import (
    Partition,
    ReadInputs,
    has_features,
)
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.promoted_model import without_unused_deliveries
from recsys_cli.pipelines.workspace.run_record import Run
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.progress import Progress, no_progress


@dataclass(frozen=True)
class BatchReport:
    """What the steps of a night have made."""

    features: Partition
    score: ScoreReport


def run_batch(
    workspace: Workspace, request: ScoreRequest, run: Run, progress: Progress = no_progress
) -> BatchReport:
    """Check the day, write its features, and publish its recommendations; a step that fails ends the night.

    Raises: InputError, ModelError or OutputError with every problem that the check found; then as
        `write_features` and `score_users` do.
    """
    day = without_unused_deliveries(ScoringDay(workspace, request.day))
    inputs = _check(day, run, accept_inputs=request.accept_inputs)
    features = write_features(day, run, inputs, accept_inputs=request.accept_inputs)
    del inputs  # scoring reads the features: the tables need not stay in memory
    return BatchReport(features, score_users(day.workspace, request, run, progress))


def _check(day: ScoringDay, run: Run, *, accept_inputs: bool) -> ReadInputs | None:
    """Return the day's inputs, read and checked; None if its features exist, whose inputs were checked."""
    with run.stages.stage("check"):
        with reraising_with_all_problems(day):
            if has_features(day):
                return None
            fingerprint = day.inputs_fingerprint()
        return ReadInputs(fingerprint, check_before_run(day, accept_inputs=accept_inputs))

"""`train --plan`: what a training will take, predicted from each of its pieces before it begins."""

from datetime import date

from recsys_cli.data_preparation.features.labels import label_cuts
from recsys_cli.models.training.label_window import TrainingTables
from recsys_cli.models.training.lightfm_fits import elapsed_seconds
from recsys_cli.pipelines.training.context import expected_iterations, temporary_context, training_key
from recsys_cli.pipelines.training.memory import training_bounds, training_memory
from recsys_cli.pipelines.training.trial import try_pieces
from recsys_cli.pipelines.workspace.inputs import read_inputs
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.plans import read_plan
from recsys_cli.pipelines.workspace.run_record import Run
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.json_record import Count, JsonRecord, Seconds, Word
from recsys_cli.utils.stage_timer import peak_bytes, process_seconds
from recsys_cli.utils.storage.folder_checks import check_writable
from recsys_cli.utils.storage.json_files import write_sealed_json
from recsys_cli.utils.storage.locks import locked


class TrainingPlan(JsonRecord):
    """What a training will take from the start, without cached fits, on a machine as busy as now.

    The ranker's members are taken to learn for all of `ranker.iterations`, unless an earlier model under the
    same settings of the ranker has stopped sooner.

    Attributes:
        key: of the training that it is made for; seconds: of the whole process; peak_bytes: of memory.
        disk_bytes: of the finished steps, LightFM's cached fits and the model.
        users: that label windows look at; sampled_users: those whose rows the prediction comes from.
        rows: that the ranker learns from; iterations: of all of its members, both times.
        lightfm_fits: that run side by side at most.
    """

    key: Word
    seconds: Seconds
    peak_bytes: Count
    disk_bytes: Count
    users: Count
    sampled_users: Count
    rows: Count
    iterations: Count
    lightfm_fits: Count


def plan_training(workspace: Workspace, day: date, run: Run) -> TrainingPlan:
    """Try the pieces of a training, leave no model, and return what all of it will take; the plan is kept.

    Raises: as `train_model` does: it works under the same lock.
    """
    settings, threads = workspace.settings, workspace.threads
    check_writable(workspace.models.folder)
    with locked(workspace.lock("models"), "the models"):
        with run.stages.stage("read"):
            cuts = label_cuts(day, settings.ranker.label_days, settings.ranker.label_windows)
            tables = read_inputs(workspace, day, feature_days=cuts)
            bounds = training_bounds(tables, settings, threads, peak_bytes())
            key = training_key(workspace, tables, settings, bounds)
        opened = process_seconds()
        with run.stages.stage("trial"), temporary_context(workspace, run, bounds) as context:
            trial = try_pieces(
                TrainingTables.of(tables, settings), cuts, context, expected_iterations(workspace)
            )
    memory, (steps, fits) = training_memory(tables, settings, threads), trial.timeline()
    elapsed = elapsed_seconds(steps, fits, bounds.fits if threads > 1 else 0, trial.cores)
    plan = TrainingPlan(
        key=key,
        seconds=round(opened + elapsed, 2),
        peak_bytes=memory.finished_fits
        + max(trial.peaks[0] + memory.learning(bounds.fits), trial.peaks[1] + memory.similarities),
        disk_bytes=trial.disk_bytes + memory.finished_fits + memory.final_fit.model - memory.window_fit.model,
        users=min(len(tables.users), settings.ranker.max_train_users),
        sampled_users=trial.users,
        rows=sum(trial.rows),
        iterations=sum(trial.iterations),
        lightfm_fits=bounds.fits,
    )
    write_sealed_json(ScoringDay(workspace, day).training_plan, plan.as_json())
    return plan


def stored_training_plan(day: ScoringDay, key: str) -> TrainingPlan | None:
    """Return the plan that was made for a training, None where there is none."""
    plan = read_plan(day.training_plan, TrainingPlan)
    return plan if plan is not None and plan.key == key else None

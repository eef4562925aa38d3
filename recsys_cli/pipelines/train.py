"""`train`: both stages from the events before a day, stored as one model version."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from loguru import logger

from recsys_cli.configs.dotted_keys import recorded
from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.features.labels import label_cuts
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.evaluation.daily_evaluation import TWO_STAGES
from recsys_cli.models.training.two_stage_training import Training, train_two_stage
from recsys_cli.models.training.warm_start import warm_start
from recsys_cli.models.training.window_rows import WindowRows
from recsys_cli.models.versions.bundle import Bundle, read_manifest, write_bundle
from recsys_cli.models.versions.manifest_schema import (
    FullTraining,
    LabelWindowFigures,
    ModelManifest,
    TrainedSettings,
    TrainingFacts,
)
from recsys_cli.models.versions.registry import check_pointer, promote, shortfall
from recsys_cli.models.versions.trained_settings import (
    left_by_warm_start,
    row_settings,
    warm_start_settings,
)
from recsys_cli.pipelines.evaluation.summary import holdout_summary
from recsys_cli.pipelines.training.context import resumable_context, training_key
from recsys_cli.pipelines.training.memory import training_bounds
from recsys_cli.pipelines.workspace.input_check import InputCheck, read_figures
from recsys_cli.pipelines.workspace.inputs import read_inputs, with_days
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.promoted_model import open_base
from recsys_cli.pipelines.workspace.run_record import Run, library_versions
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.stage_timer import peak_bytes
from recsys_cli.utils.storage.atomic_writes import staging_folder
from recsys_cli.utils.storage.folder_checks import check_writable
from recsys_cli.utils.storage.locks import locked


@dataclass(frozen=True)
class TrainReport:
    """A new model version.

    Attributes:
        key: of the training, as in its plan.
        folder: on this disk; place: where it belongs, as a message shows it.
        shortfall: why it was not promoted although that was asked for; empty where it was.
    """

    version: str
    key: str
    folder: Path
    place: str
    promoted: bool
    shortfall: str
    windows: list[WindowRows]
    manifest: ModelManifest


@dataclass(frozen=True)
class _Job:
    """What a training works with, once its tables are read.

    Attributes:
        settings: those that the model is made with.
        base: the model that a warm start goes on from; None: a full training.
    """

    workspace: Workspace
    run: Run
    settings: Settings
    tables: Tables
    base: Bundle | None


def train_model(
    day: ScoringDay, run: Run, *, promoted: bool = True, warm: bool = False, accept_inputs: bool = False
) -> TrainReport:
    """Learn both stages from everything before `day`, write the version and promote it if it is good enough.

    Args:
        warm: go on from the promoted model instead of starting again.
        accept_inputs: let inputs through whose figures miss their bounds.

    Raises: InputError, ModelError, OutputError, LockedError; the promoted model then stays.
    """
    workspace, inputs = day.workspace, InputCheck(day, run, accept_inputs)
    check_writable(workspace.models.folder)
    workspace.models.check_reachable()
    with locked(workspace.lock("models"), "the models"):
        check_pointer(workspace.models)
        job = _open_warm_job(inputs, run) if warm else _open_job(inputs, run)
        bounds = training_bounds(job.tables, job.settings, workspace.threads, peak_bytes())
        key = training_key(workspace, job.tables, job.settings, bounds, job.base)
        context = resumable_context(workspace, run, key, bounds)
        if job.base is None:
            training = train_two_stage(job.tables, context)
        else:
            training = warm_start(job.base.model, job.tables, context)
        version = _save_version(job, training)
        report = _promote_if_better(job, version, training.windows, key, wanted=promoted)
        context.checkpoint.remove()
    return report


def _open_job(inputs: InputCheck, run: Run) -> _Job:
    workspace, day = inputs.day.workspace, inputs.day.date
    settings = workspace.settings
    with run.stages.stage("read"):
        cuts = label_cuts(day, settings.ranker.label_days, settings.ranker.label_windows)
        tables = read_inputs(workspace, day, feature_days=cuts)
        inputs.let_through(read_figures(workspace, tables))
    return _Job(workspace, run, settings, tables, None)


def _open_warm_job(inputs: InputCheck, run: Run) -> _Job:
    workspace = inputs.day.workspace
    with run.stages.stage("read"):
        tables = read_inputs(workspace, inputs.day.date, feature_days=[])
        inputs.let_through(read_figures(workspace, tables))
    base = open_base(workspace, tables)
    _log_waiting_settings(base, workspace.settings)
    settings = warm_start_settings(base, workspace.settings)
    tables = with_days(tables, workspace, [base.model.trained_through])
    return _Job(workspace, run, settings, tables, base)


def _log_waiting_settings(base: Bundle, settings: Settings) -> None:
    """Log the settings that a warm start does not follow."""
    left = left_by_warm_start(base, settings)
    if left:
        logger.warning(
            "a warm start keeps what {} was trained with; these settings wait for a full `recsys train`: {}",
            base.version,
            ", ".join(left),
        )


def _save_version(job: _Job, training: Training) -> str:
    """Write the version, and return its name."""
    models = job.workspace.models
    with job.run.stages.stage("save"):
        facts = _training_facts(job, training)
        with staging_folder(models.folder) as staged:
            version = write_bundle(training.model, staged, facts)
            models.put(staged, version)
    return version


def _promote_if_better(
    job: _Job, version: str, windows: list[WindowRows], key: str, *, wanted: bool
) -> TrainReport:
    """Promote the version if that is wanted and it beats recent popularity; return the report."""
    models = job.workspace.models
    folder = models.open(version)
    manifest = read_manifest(folder)
    missing = shortfall(manifest) if wanted else ""
    promoted = wanted and not missing
    if promoted:
        promote(models, version)
    place = models.location_of(version)
    return TrainReport(version, key, folder, place, promoted, missing, windows, manifest)


def _training_facts(job: _Job, training: Training) -> TrainingFacts:
    run, k = job.run, job.settings.evaluation.k
    return TrainingFacts(
        run_id=run.run_id,
        created=run.started.isoformat(timespec="seconds"),
        events=len(job.tables.events),
        label_windows=[_window_figures(window) for window in training.windows],
        trees=training.model.ranker.model.tree_count_,
        holdout=holdout_summary(training.windows[-1].first_day, training.evaluation, k),
        feature_importance={name: round(share, 3) for name, share in training.importance.items()},
        seconds={stage.name: round(stage.seconds, 2) for stage in run.stages.all()},
        libraries=library_versions(),
        warm_start_of=None if job.base is None else job.base.version,
        full_training=None if job.base is None else _full_training(job.base),
        settings=_recorded(job.settings, job.workspace.secrets),
        own_item_auc=training.own_item_auc,
        reading=row_settings(job.settings, job.workspace.secrets),
    )


def _full_training(base: Bundle) -> FullTraining:
    """Return the time and the results of the last full training before a warm start."""
    manifest = base.manifest
    return manifest.full_training or FullTraining(
        version=base.version,
        seconds=round(sum(manifest.seconds.values()), 2),
        holdout=manifest.holdout.models[TWO_STAGES],
    )


def _recorded(settings: Settings, secrets: Collection[str]) -> TrainedSettings:
    """Return the settings as a manifest stores them; the model needs its time zone, which is no secret."""
    sections = recorded(settings, set(secrets) - {"timezone"})
    return TrainedSettings.read(
        {name: section for name, section in sections.items() if name not in ("data", "output")}
    )


def _window_figures(window: WindowRows) -> LabelWindowFigures:
    return LabelWindowFigures(
        first_day=window.first_day,
        candidates_trained_through=window.first_day,
        users=window.users,
        rows=window.rows,
        positives=window.positives,
        positives_in_window=window.positives_in_window,
    )

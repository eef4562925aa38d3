"""`train`: both stages from the events before a day, kept as one model version."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from loguru import logger

from recsys_cli.configs.dotted_keys import recorded
from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.features.labels import label_cuts
from recsys_cli.models.training.two_stage_training import Training, train_two_stage
from recsys_cli.models.training.warm_start import warm_start
from recsys_cli.models.training.window_rows import WindowRows
from recsys_cli.models.versions.bundle import Bundle, read_manifest, write_bundle
from recsys_cli.models.versions.registry import check_pointer, promote, shortfall
from recsys_cli.models.versions.trained_settings import left_by_warm_start, warm_start_settings
from recsys_cli.pipelines.evaluation.summary import exam_facts
from recsys_cli.pipelines.training.context import resumable_context, training_key
from recsys_cli.pipelines.training.memory import training_bounds
from recsys_cli.pipelines.workspace.inputs import read_inputs, with_external
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.promoted_model import open_base
from recsys_cli.pipelines.workspace.run_record import Run, library_versions
from recsys_cli.utils.stage_timer import peak_bytes
from recsys_cli.utils.storage.atomic_files import staging_folder
from recsys_cli.utils.storage.folders import check_writable
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
    manifest: dict[str, Any]


def train_model(
    workspace: Workspace,
    day: date,
    run: Run,
    *,
    promoted: bool = True,
    warm: bool = False,
) -> TrainReport:
    """Learn both stages from everything before `day`, write the version and promote it if it earns it.

    Args:
        warm: go on from the promoted model instead of starting again.

    Raises: InputError, ModelError, OutputError, LockedError; the promoted model then stays.
    """
    settings = workspace.settings
    check_writable(workspace.models.folder)
    workspace.models.check_reachable()
    with locked(workspace.lock("models"), "the models"):
        check_pointer(workspace.models)
        with run.stages.stage("read"):
            cuts = label_cuts(day, settings.ranker.label_days, settings.ranker.label_windows)
            tables = read_inputs(workspace, day, external_days=[] if warm else cuts)
        base = None
        if warm:
            base = open_base(workspace, tables)
            _tell_what_is_left(base, settings)
            settings = warm_start_settings(base, settings)
            tables = with_external(tables, workspace, [base.model.trained_through])
        bounds = training_bounds(tables, settings, workspace.threads, peak_bytes())
        key = training_key(workspace, tables, settings, bounds, base)
        context = resumable_context(workspace, run, key, bounds)
        training = (
            train_two_stage(tables, context) if base is None else warm_start(base.model, tables, context)
        )
        with run.stages.stage("save"):
            facts = _facts(training, settings, run, len(tables.events)) | _origin(base)
            facts["settings"] = _recorded(settings, workspace.secrets)
            with staging_folder(workspace.models.folder) as staged:
                version = write_bundle(training.model, staged, facts)
                workspace.models.put(staged, version)
        folder = workspace.models.open(version)
        manifest = read_manifest(folder)
        missing = shortfall(manifest) if promoted else ""
        if promoted and not missing:
            promote(workspace.models, version)
        context.checkpoint.remove()
    promoted = promoted and not missing
    place = workspace.models.location_of(version)
    return TrainReport(version, key, folder, place, promoted, missing, training.windows, manifest)


def _tell_what_is_left(base: Bundle, settings: Settings) -> None:
    """Log the settings that a warm start does not follow."""
    left = left_by_warm_start(base, settings)
    if left:
        logger.warning(
            "a warm start keeps what {} was trained with; these settings wait for a full `recsys train`: {}",
            base.version,
            ", ".join(left),
        )


def _origin(base: Bundle | None) -> dict[str, Any]:
    """Return which model a warm start went on from, and what the last full one took and gave."""
    if base is None:
        return {"warm_start_of": None, "full_training": None}
    told = base.manifest
    full = told["full_training"] or {
        "version": base.version,
        "seconds": round(sum(told["seconds"].values()), 2),
        "exam": told["exam"]["models"]["two stages"],
    }
    return {"warm_start_of": base.version, "full_training": full}


def _facts(training: Training, settings: Settings, run: Run, events: int) -> dict[str, Any]:
    return {
        "run_id": run.run_id,
        "created": run.started.isoformat(timespec="seconds"),
        "events": events,
        "label_windows": [_window_facts(window) for window in training.windows],
        "trees": training.model.ranker.model.tree_count_,
        "exam": exam_facts(training.windows[-1].cut, training.evaluation, settings.evaluation.k),
        "feature_importance": {name: round(share, 3) for name, share in training.importance.items()},
        "seconds": {stage.name: round(stage.seconds, 2) for stage in run.stages.all()},
        "libraries": library_versions(),
    }


def _recorded(settings: Settings, secrets: Collection[str]) -> dict[str, Any]:
    """Return the settings as a manifest keeps them; the model needs its time zone, which is no secret."""
    told = recorded(settings, set(secrets) - {"timezone"})
    return {name: section for name, section in told.items() if name not in ("data", "output")}


def _window_facts(window: WindowRows) -> dict[str, Any]:
    return {
        "first_day": str(window.cut),
        "candidates_trained_through": str(window.cut),
        "users": window.users,
        "rows": window.rows,
        "positives": window.positives,
        "positives_in_window": window.positives_in_window,
    }

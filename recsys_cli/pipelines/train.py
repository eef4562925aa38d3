"""`train`: both stages from the events before a day, kept as one model version."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from recsys_cli.data_preparation.tables import read_tables
from recsys_cli.models.bundle import read_manifest, write_bundle
from recsys_cli.models.registry import promote
from recsys_cli.models.training import TrainingWindow, train_two_stage
from recsys_cli.pipelines.run_record import Run, library_versions
from recsys_cli.pipelines.workspace import Workspace
from recsys_cli.utils.files import check_writable, put_folder, staging_folder
from recsys_cli.utils.locks import locked
from recsys_cli.utils.progress import Progress, silent


@dataclass(frozen=True)
class TrainReport:
    """A new model version."""

    version: str
    folder: Path
    promoted: bool
    windows: list[TrainingWindow]
    manifest: dict[str, Any]


def train_model(
    workspace: Workspace, day: date, run: Run, *, promoted: bool = True, progress: Progress = silent
) -> TrainReport:
    """Learn both stages from everything before `day`, write the version and promote it.

    Raises: InputError, ModelError, OutputError, LockedError; the promoted model then stays.
    """
    settings = workspace.settings
    check_writable(workspace.models)
    with locked(workspace.lock("models"), "the models"):
        with run.stages.stage("read"):
            tables = read_tables(
                settings.data, workspace.root, day, settings.timezone, settings.scoring.exclude
            )
        with run.stages.stage("train"):
            model, windows = train_two_stage(tables, settings, workspace.threads, progress)
        with run.stages.stage("save"):
            facts = {
                "run_id": run.run_id,
                "created": run.started.isoformat(timespec="seconds"),
                "events": len(tables.events),
                "label_windows": [_window_facts(window) for window in windows],
                "trees": model.ranker.model.tree_count_,
                "settings": settings.model_dump(mode="json", exclude={"data", "output"}),
                "libraries": library_versions(),
            }
            with staging_folder(workspace.models) as staged:
                version = write_bundle(model, staged, facts)
                put_folder(staged, workspace.models / version)
        if promoted:
            promote(workspace.models, version)
    folder = workspace.models / version
    return TrainReport(version, folder, promoted, windows, read_manifest(folder))


def _window_facts(window: TrainingWindow) -> dict[str, Any]:
    return {
        "first_day": str(window.cut),
        "candidates_trained_through": str(window.cut),
        "users": window.users,
        "rows": window.rows,
        "positives": window.positives,
        "positives_in_window": window.reachable,
    }

"""The record that each run leaves in `runs/<run_id>/`."""

import os
import platform
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.utils.stage_timer import StageTimer
from recsys_cli.utils.storage.json_files import write_json

STARTED = "started"
_LIBRARIES = (
    "recsys-cli",
    "polars",
    "pyarrow",
    "catboost",
    "rectools-lightfm",
    "faiss-cpu",
    "numpy",
    "scipy",
)


@dataclass(frozen=True)
class Run:
    """One run of one command: its id, its folder and its stages."""

    run_id: str
    command: str
    folder: Path
    started: datetime
    stages: StageTimer = field(default_factory=StageTimer)


def begin_run(workspace: Workspace, command: str, day: date | None = None) -> Run:
    """Make the folder of a new run, with a record that says of a killed run which one it was.

    Raises: OutputError if it cannot be made.
    """
    started = datetime.now(UTC)
    run_id = f"{started:%Y%m%dT%H%M%S}-{command}-{secrets.token_hex(3)}"
    folder = workspace.runs / run_id
    record = {
        "schema_version": 1,
        "run_id": run_id,
        "command": command,
        "status": STARTED,
        "date": None if day is None else str(day),
        "started": started.isoformat(timespec="seconds"),
        "process": {"host": platform.node(), "pid": os.getpid()},
    }
    write_json(folder / "run.json", record)
    return Run(run_id, command, folder, started)


def end_run(run: Run, status: str, settings: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Write what the run did: settings, library versions, stages and the command's own facts."""
    stages = [
        {"name": s.name, "seconds": round(s.seconds, 3), "peak_bytes": s.peak_bytes} for s in run.stages.all()
    ]
    record = {
        **facts,  # of lists that lay there already they tell of another run: this one's own words win
        "schema_version": 1,
        "run_id": run.run_id,
        "command": run.command,
        "status": status,
        "started": run.started.isoformat(timespec="seconds"),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "stages": stages,
        "settings": dict(settings),
        "libraries": library_versions(),
    }
    write_json(run.folder / "run.json", record)


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that shape a result."""
    return {name: version(name) for name in _LIBRARIES}

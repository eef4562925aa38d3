"""The record that each run leaves in `runs/<run_id>/`."""

import os
import platform
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import Field, JsonValue

from recsys_cli.data_preparation.tables.input_figures import InputFigures
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.utils.json_record import Count, Day, Figure, JsonRecord, Moment, RunId, Seconds, Sha256, Word
from recsys_cli.utils.stage_timer import StageTimer
from recsys_cli.utils.storage.json_files import read_json, write_json
from recsys_cli.utils.storage.safe_paths import path_below

STARTED, COMPLETE = "started", "complete"
RUN_FILE = "run.json"
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


class ProcessFacts(JsonRecord):
    """The process of a run."""

    host: Word
    pid: Count


class StageFacts(JsonRecord):
    """A stage of a run: its seconds, and the process's peak memory by its end."""

    name: Word
    seconds: Seconds
    peak_bytes: Count


class RunInputs(JsonRecord):
    """What a run has read.

    Attributes:
        accepted: figures beyond their bounds that `--accept-inputs` let through.
    """

    figures: InputFigures
    accepted: list[Word] = Field(default_factory=list)


class RunRecord(JsonRecord):
    """The record of a run; the figures of its command stand beside these fields.

    Attributes:
        process: unset once the run has ended.
        ended: unset while the run works, and of a killed run.
        settings: by dotted key, secrets masked.
        warnings: of a quiet run, without their numbers.
    """

    schema_version: Count
    run_id: RunId
    command: Word
    status: Word
    day: Day | None = Field(default=None, alias="date")
    started: Moment
    ended: Moment | None = None
    process: ProcessFacts | None = None
    stages: list[StageFacts] = Field(default_factory=list)
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    libraries: dict[Word, Word] = Field(default_factory=dict)
    error: str | None = None
    model_version: Word | None = None
    users: Count | None = None
    rows: Count | None = None
    catalogue_coverage: Figure | None = None
    sha256: Sha256 | None = None
    inputs: RunInputs | None = None
    warnings: list[str] = Field(default_factory=list)

    @property
    def seconds(self) -> float | None:
        """How long the run took; None where it has not ended."""
        return None if self.ended is None else (self.ended - self.started).total_seconds()

    @property
    def peak_bytes(self) -> int | None:
        """The largest resident memory of the process; None where no stage has ended."""
        return max((stage.peak_bytes for stage in self.stages), default=0) or None


@dataclass(frozen=True)
class Run:
    """One run of one command: its id, its folder and its stages; `facts` go into its record."""

    run_id: str
    command: str
    folder: Path
    started: datetime
    stages: StageTimer = field(default_factory=StageTimer)
    facts: dict[str, Any] = field(default_factory=dict)


def begin_run(workspace: Workspace, command: str, day: date | None = None) -> Run:
    """Make the folder of a new run, with a first record, all that is left of a run that is killed.

    Raises: OutputError if it cannot be made.
    """
    started = datetime.now(UTC)
    run_id = f"{started:%Y%m%dT%H%M%S}-{command}-{secrets.token_hex(3)}"
    record = RunRecord(
        schema_version=1,
        run_id=run_id,
        command=command,
        status=STARTED,
        day=day,
        started=started.replace(microsecond=0),
        process=ProcessFacts(host=platform.node(), pid=os.getpid()),
    )
    file = run_file(workspace, run_id)
    write_json(file, record.as_json(), beside=_written_first(file))
    return Run(run_id, command, workspace.runs / run_id, started)


def end_run(run: Run, status: str, settings: Mapping[str, JsonValue], figures: Mapping[str, object]) -> None:
    """Write what the run did: settings, library versions, stages and the command's own figures."""
    stages = [
        StageFacts(name=one.name, seconds=round(one.seconds, 3), peak_bytes=one.peak_bytes)
        for one in run.stages.all()
    ]
    own = RunRecord(
        schema_version=1,
        run_id=run.run_id,
        command=run.command,
        status=status,
        started=run.started.replace(microsecond=0),
        ended=datetime.now(UTC).replace(microsecond=0),
        stages=stages,
        settings=dict(settings),
        libraries=library_versions(),
    )
    # Figures of lists that were there already are those of another run: this run's own values win.
    file = run.folder / RUN_FILE
    write_json(file, {**figures, **own.as_json()}, beside=_written_first(file))


def _written_first(file: Path) -> Path:
    """Return where a record is written first: nobody comes back to a killed run's folder to clean it."""
    return file.parent.parent / file.name


def run_file(workspace: Workspace, run_id: str) -> Path:
    """Return the file of a run's record.

    Raises: UnsafeNameError, a ValueError, for an id that is no name of a folder.
    """
    return path_below(workspace.runs, run_id) / RUN_FILE


def read_record(file: Path) -> RunRecord:
    """Return the record in a file.

    Raises: OSError where it cannot be opened; ValueError where it holds something else, or another run.
    """
    record = RunRecord.read(read_json(file))
    if record.run_id != file.parent.name:
        raise ValueError(f"it is that of another run, {record.run_id}")
    return record


@cache
def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that shape a result."""
    return {name: version(name) for name in _LIBRARIES}

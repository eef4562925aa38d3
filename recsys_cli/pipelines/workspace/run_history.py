"""The records of all runs, as a table and one by one."""

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date
from pathlib import Path

import polars as pl

from recsys_cli.data_preparation.tables.input_figures import InputFigures
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_record import (
    COMPLETE,
    RUN_FILE,
    STARTED,
    RunInputs,
    RunRecord,
    read_record,
    run_file,
)
from recsys_cli.utils.errors import UsageError
from recsys_cli.utils.storage.atomic_writes import replacing

KILLED = "killed"
_LAST_RUNS, _RECENT_DAYS = 7, 31  # that inputs are compared with
_MOST_RECORDS = 300  # that are looked through for them, the newest first
SCHEMA = pl.Schema(
    {
        "run_id": pl.String(),
        "command": pl.String(),
        "status": pl.String(),
        "date": pl.String(),
        "started": pl.Datetime("us", "UTC"),
        "ended": pl.Datetime("us", "UTC"),
        "seconds": pl.Float64(),
        "peak_bytes": pl.Int64(),
        "model_version": pl.String(),
        "users": pl.Int64(),
        "rows": pl.Int64(),
        "catalogue_coverage": pl.Float64(),
        "error": pl.String(),
    }
)


@dataclass(frozen=True)
class PastInputs:
    """What the last good runs of earlier dates have read, one a date.

    Attributes:
        good: the newest first.
        accepted: of the newest date whose inputs were let through by `--accept-inputs`.
    """

    good: list[InputFigures] = field(default_factory=list)
    accepted: InputFigures | None = None

    @property
    def known(self) -> list[InputFigures]:
        """All of them."""
        return [*self.good, *([self.accepted] if self.accepted else [])]

    @property
    def newest(self) -> InputFigures | None:
        """Those of the newest date."""
        return max(self.known, key=lambda one: one.day, default=None)

    def described(self) -> str:
        """Return what they are, as text; empty where there are none."""
        if len(self.good) > 1:
            return f"expected from the last {len(self.good)} runs"
        return f"expected from the run for {self.known[0].day}" if self.known else ""


def past_inputs(workspace: Workspace, today: InputFigures) -> PastInputs:
    """Return what the last seven good runs of earlier dates have read, read in the same way.

    Those of the last 31 days count; where there are none, the newest one does.
    """
    by_day: dict[date, RunInputs] = {}
    for record in newest_records(workspace):
        inputs = record.inputs
        if inputs is not None and record.status == COMPLETE and inputs.figures.reading == today.reading:
            by_day.setdefault(inputs.figures.day, inputs)
    last = sorted((one for one in by_day if one < today.day), reverse=True)[:_LAST_RUNS]
    last = [one for one in last if (today.day - one).days <= _RECENT_DAYS] or last[:1]
    accepted = [by_day[one].figures for one in last if by_day[one].accepted]
    good = [by_day[one].figures for one in last if not by_day[one].accepted]
    return PastInputs(good, accepted[0] if accepted else None)


def last_warnings(workspace: Workspace, command: str) -> list[str]:
    """Return what the last good run of a command has warned of, without numbers."""
    records = newest_records(workspace)
    good = (one for one in records if one.command == command and one.status == COMPLETE)
    return next((one.warnings for one in good), [])


def newest_records(workspace: Workspace) -> Iterator[RunRecord]:
    """Yield the records of the newest runs, the newest first; their ids begin with the time."""
    files = sorted(workspace.runs.glob(f"*/{RUN_FILE}"), key=lambda file: file.parent.name, reverse=True)
    for file in files[:_MOST_RECORDS]:
        with suppress(OSError, ValueError):
            yield read_record(file)


def read_runs(workspace: Workspace) -> pl.DataFrame:
    """Return a row a run, the newest first; a killed run has only what it recorded when it began.

    A run that has begun and not ended is "killed" where this machine began it and no longer has its process.
    A record that cannot be read has no row.
    """
    records = [_row(record) for record in _records(workspace)]
    return pl.DataFrame(records, SCHEMA, orient="row").sort("run_id", descending=True)


def read_run(workspace: Workspace, run_id: str) -> RunRecord:
    """Return the whole record of a run.

    Raises: UsageError where there is none, or it is damaged.
    """
    what = f"there is no record of a run {run_id!r}"
    try:
        if "/" not in run_id:
            return read_record(run_file(workspace, run_id))
    except (OSError, ValueError) as error:
        if not isinstance(error, FileNotFoundError):
            what = f"the record of the run {run_id!r} cannot be read: {error}"
    raise UsageError(
        what,
        where=str(workspace.runs),
        fix="take a run_id of `recsys runs list`",
    )


def write_runs(runs: pl.DataFrame, target: Path) -> None:
    """Write the table as a parquet file, whole or not at all.

    Raises: OutputError.
    """
    with replacing(target) as temporary:
        runs.write_parquet(temporary)


def _records(workspace: Workspace) -> Iterator[RunRecord]:
    for file in workspace.runs.glob(f"*/{RUN_FILE}"):
        with suppress(OSError, ValueError):
            yield read_record(file)


def _is_killed(record: RunRecord) -> bool:
    process = record.process
    if record.status != STARTED or process is None or process.host != platform.node():
        return False
    try:
        os.kill(process.pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        pass
    return False


def _row(record: RunRecord) -> dict[str, object]:
    """Return the columns of the table."""
    return {
        "run_id": record.run_id,
        "command": record.command,
        "status": KILLED if _is_killed(record) else record.status,
        "date": None if record.day is None else str(record.day),
        "started": record.started.astimezone(UTC),
        "ended": None if record.ended is None else record.ended.astimezone(UTC),
        "seconds": record.seconds,
        "peak_bytes": record.peak_bytes,
        "model_version": record.model_version,
        "users": record.users,
        "rows": record.rows,
        "catalogue_coverage": record.catalogue_coverage,
        "error": record.error,
    }

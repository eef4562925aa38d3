"""The records of all runs, as a table and one by one."""

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC
from pathlib import Path

import polars as pl

from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_record import RUN_FILE, STARTED, RunRecord, read_record, run_file
from recsys_cli.utils.errors import UsageError
from recsys_cli.utils.storage.atomic_writes import replacing

KILLED = "killed"
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

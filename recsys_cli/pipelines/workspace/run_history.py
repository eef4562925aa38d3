"""The records of all runs, as a table and one by one."""

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_record import STARTED
from recsys_cli.utils.dates import parse_instant
from recsys_cli.utils.errors import UsageError
from recsys_cli.utils.storage.atomic_files import replacing
from recsys_cli.utils.storage.json_files import read_json

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
    """Return a row a run, the newest first; of a run that was killed only what it said when it began.

    A run that has begun and not ended is "killed" where this machine began it and no longer has its process.
    """
    records = [_row(file) for file in workspace.runs.glob("*/run.json")]
    found = pl.DataFrame([record for record in records if record], SCHEMA, orient="row", strict=False)
    return found.sort("run_id", descending=True)


def read_run(workspace: Workspace, run_id: str) -> dict[str, Any]:
    """Return the whole record of a run.

    Raises: UsageError where there is none.
    """
    file = workspace.runs / run_id / "run.json"
    try:
        if "/" not in run_id:
            return dict(read_json(file))
    except (OSError, ValueError, TypeError):
        pass
    raise UsageError(
        f"there is no record of a run {run_id!r}",
        where=str(workspace.runs),
        fix="take a run_id of `recsys runs list`",
    )


def write_runs(runs: pl.DataFrame, target: Path) -> None:
    """Write the table as a parquet file, whole or not at all.

    Raises: OutputError.
    """
    with replacing(target) as part:
        runs.write_parquet(part)


def _is_killed(record: Mapping[str, Any]) -> bool:
    process = record.get("process")
    if record.get("status") != STARTED or not process or process["host"] != platform.node():
        return False
    try:
        os.kill(int(process["pid"]), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    return False


def _row(file: Path) -> dict[str, Any]:
    try:
        record = dict(read_json(file))
        started, ended = (parse_instant(record.get(name)) for name in ("started", "ended"))
        stages = record.get("stages") or [{}]
        peak = max((stage.get("peak_bytes") or 0 for stage in stages), default=0)
        status = KILLED if _is_killed(record) else record.get("status")
    except (OSError, ValueError, TypeError, AttributeError, LookupError, OverflowError):
        return {}
    seconds = (ended - started).total_seconds() if started and ended else None
    known = {
        "status": status,
        "started": started,
        "ended": ended,
        "seconds": seconds,
        "peak_bytes": peak or None,
    }
    return {name: known.get(name, record.get(name)) for name in SCHEMA}

"""A workspace whose last day is the calendar's: every command that reads its lists works."""

from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

LAST = "9999-12-31"


@pytest.fixture
def at_the_end(workspace: Path) -> Path:
    """The workspace, moved so that the lists are made for the last days of the calendar."""
    moved = datetime(9999, 12, 30) - datetime(2026, 3, 2)
    events = workspace / "data/interactions.parquet"
    later = pl.col("timestamp") + pl.lit(timedelta(days=moved.days))
    pl.read_parquet(events).with_columns(later).write_parquet(events)
    for command in ("train --date 9999-12-30", "score --date 9999-12-30", f"score --date {LAST}"):
        assert main(["-q", "-C", str(workspace), *command.split(" ")]) == ExitCode.OK
    return workspace


def test_the_last_days_lists_are_reported(at_the_end: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (f"report {LAST}", f"report {LAST} --days 3660", f"diff 9999-12-30 {LAST}", "explain u01"):
        assert main(["-C", str(at_the_end), *command.split(" ")]) == ExitCode.OK, capsys.readouterr().err

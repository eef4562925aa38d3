"""`recsys explain` of users for whom there is nothing to recommend."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

Explain = Callable[[str], str]
SOURCES = ("lightfm", "popular", "segment")  # those that know something for a user without events


@pytest.fixture
def explain(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Explain:
    def run(user: str) -> str:
        capsys.readouterr()
        assert main(["-C", str(workspace), "explain", user, "--date", "2026-03-03"]) == ExitCode.OK
        return capsys.readouterr().out

    return run


def test_a_user_who_has_had_everything_gets_a_sentence(workspace: Path, explain: Explain) -> None:
    file = workspace / "data/interactions.parquet"
    events = pl.read_parquet(file)
    everything = pl.DataFrame({"user_id": "u07", "item_id": range(100, 140)}).with_columns(
        timestamp=pl.lit(datetime(2026, 3, 1, 12)), weight=1.0
    )
    pl.concat([events, everything.cast(dict(events.schema))]).write_parquet(file)

    out = explain("u07")

    assert "User u07 on 2026-03-03: warm" in out and "Latest items" in out
    assert "Recommendations" not in out and "Candidates" not in out
    version = next((workspace / "models").glob("2026-*")).name
    no_list = f"no source of model {version} proposes an item that is new to the user and may be recommended."
    assert out.splitlines()[-1] == f"User u07 has no list: {no_list}"
    assert "Recommendations" in explain("u01") and "has no list" not in explain("u01")


def test_a_cold_user_whom_no_source_knows_gets_a_sentence(workspace: Path, explain: Explain) -> None:
    off = [word for one in SOURCES for word in ("--set", f"candidates.{one}.num_candidates=0")]
    assert main(["-q", "-C", str(workspace), "train", "--date", "2026-03-02", *off]) == ExitCode.OK
    assert explain("u59").splitlines()[-1].endswith("proposes an item to a user without events.")

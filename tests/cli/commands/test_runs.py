"""The records of runs as a table, and the lists of several dates."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

DAYS = [f"2026-03-{day:02}" for day in range(2, 7)]


def lists(workspace: Path, day: str) -> bytes:
    return (workspace / f"recommendations/date={day}/recommendations.parquet").read_bytes()


def test_missing_dates_alone_are_filled_with_the_same_bytes(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every = ("-C", str(workspace), "backfill", "--from", DAYS[0], "--to", DAYS[-1])
    assert main([*every, "--json"]) == ExitCode.OK
    output = json.loads(capsys.readouterr().out)["days"]
    assert [one["date"] for one in output] == DAYS and {one["users"] for one in output} == {60}
    before = {day: lists(workspace, day) for day in DAYS}
    assert len(set(before.values())) == 5
    manifests = {day: workspace / f"recommendations/date={day}/manifest.json" for day in DAYS}
    runs = {day: json.loads(file.read_text())["run_id"] for day, file in manifests.items()}
    shutil.rmtree(workspace / f"recommendations/date={DAYS[2]}")
    assert main([*every, "--missing"]) == ExitCode.OK
    assert f"{DAYS[2]}: 60 users → " in capsys.readouterr().err
    assert {day: lists(workspace, day) for day in DAYS} == before
    changed = [day for day, file in manifests.items() if json.loads(file.read_text())["run_id"] != runs[day]]
    assert changed == [DAYS[2]]
    assert main([*every, "--missing"]) == ExitCode.OK
    assert "no date lacks its lists" in capsys.readouterr().err


def test_a_date_that_cannot_be_scored_stops_none_of_the_others(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("-C", str(workspace), "backfill", "--from", "2026-03-01", "--to", "2026-03-03")
    assert main([*command, "--json"]) == ExitCode.MODEL
    out, err = capsys.readouterr()
    output = {one["date"]: one for one in json.loads(out)["days"]}
    assert "must not score it" in output["2026-03-01"]["error"] and "users" in output["2026-03-03"]
    assert err.count("error: ") == 1 and "fix: promote an older version" in err
    assert (
        main(["-C", str(workspace), "backfill", "--from", "2026-03-03", "--to", "2026-03-02"])
        == ExitCode.USAGE
    )


def test_a_run_that_finds_its_date_complete_has_its_own_record(workspace: Path) -> None:
    assert main(["-q", "-C", str(workspace), "score", "--date", DAYS[0]]) == ExitCode.OK
    (record,) = (workspace / "runs").glob("*-score-*/run.json")
    output = json.loads(record.read_text())
    assert output["run_id"] == record.parent.name and output["already_complete"]
    assert output["started"] <= output["ended"]


KILLED = """
import os, sys
from recsys_cli.cli.app import main
os.replace = lambda *_args, **_where: os._exit(9)  # the first to take its place is the record
main(["-q", "-C", sys.argv[1], "features", "--date", sys.argv[2]])
"""


def test_what_a_killed_run_left_of_its_record_goes_with_the_next(workspace: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", KILLED, str(workspace), DAYS[0]], check=False)
    assert killed.returncode == 9
    assert len(list((workspace / "runs").rglob(".run.json.*.part"))) == 1
    assert main(["-q", "-C", str(workspace), "features", "--date", DAYS[0]]) == ExitCode.OK
    assert not list((workspace / "runs").rglob("*.part"))


def test_runs_are_listed_shown_and_written(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-q", "-C", str(workspace), "score", "--date", DAYS[1]]) == ExitCode.OK
    assert main(["-q", "-C", str(workspace), "score", "--date", "2026-03-01"]) == ExitCode.MODEL
    (workspace / "runs/20260101T000000-score-000000").mkdir()  # one that was killed before it said a word
    capsys.readouterr()
    assert main(["-C", str(workspace), "runs", "list", "--json"]) == ExitCode.OK
    output = json.loads(capsys.readouterr().out)["runs"]
    failed, done = sorted(output, key=lambda one: one["status"], reverse=True)
    assert (done["status"], done["date"], done["users"], done["rows"]) == ("complete", DAYS[1], 60, 600)
    assert (failed["status"], failed["date"]) == ("failed", "2026-03-01")
    assert failed["error"].startswith("ModelError: model ")
    file = workspace / "runs.parquet"
    assert main(["-C", str(workspace), "runs", "list", "--to", str(file)]) == ExitCode.OK
    table = pl.read_parquet(file)
    assert table.filter(pl.col("status") == "complete")["run_id"].to_list() == [done["run_id"]]
    assert table["started"].dtype == pl.Datetime("us", "UTC") and (table["seconds"] >= 0).all()
    capsys.readouterr()
    assert main(["-C", str(workspace), "runs", "list"]) == ExitCode.OK
    assert done["run_id"] in capsys.readouterr().out
    assert main(["-C", str(workspace), "runs", "show", done["run_id"]]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "catalogue_coverage" in out and "publish" in out
    assert main(["-C", str(workspace), "runs", "show", "../runs"]) == ExitCode.USAGE

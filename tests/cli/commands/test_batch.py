"""`recsys batch`: the whole night as cron runs it, through the real program."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys_cli.utils.errors import ExitCode
from recsys_cli.utils.storage.locks import locked

Run = Callable[..., subprocess.CompletedProcess[str]]
Refused = Callable[..., str]
DAY = "2026-03-02"
PATIENCE = 60  # seconds until a test gives up


def published(workspace: Path) -> Path:
    return workspace / f"recommendations/date={DAY}/recommendations.parquet"


def records(workspace: Path) -> list[dict[str, Any]]:
    """Return the records of all runs, the oldest first."""
    return [json.loads(file.read_text()) for file in sorted((workspace / "runs").glob("*/run.json"))]


def forget_the_night(workspace: Path) -> None:
    for name in ("features", "recommendations"):
        shutil.rmtree(workspace / name)


def test_a_night_is_one_silent_run_that_publishes_what_the_single_commands_do(
    workspace: Path, recsys: Run
) -> None:
    expected = published(workspace).read_bytes()
    forget_the_night(workspace)
    night = recsys("-C", workspace, "-q", "batch", "--date", DAY)
    assert (night.returncode, night.stdout, night.stderr) == (ExitCode.OK, "", "")
    assert published(workspace).read_bytes() == expected
    (record,) = records(workspace)
    assert (record["command"], record["status"], record["date"]) == ("batch", "complete", DAY)
    stages = [stage["name"] for stage in record["stages"]]
    assert stages.index("check") < stages.index("features") < stages.index("publish")
    assert record["features"]["content_hash"] == record["features_content_hash"]
    assert not record["features"]["reused"] and not record["already_complete"]


def test_a_night_that_is_complete_is_left_alone(workspace: Path, recsys: Run) -> None:
    before = published(workspace).stat().st_mtime_ns
    again = recsys("-C", workspace, "batch", "--date", DAY)
    assert again.returncode == ExitCode.OK
    assert f"already complete: {published(workspace)}" in again.stderr
    assert published(workspace).stat().st_mtime_ns == before


def test_the_result_is_one_json_object(workspace: Path, recsys: Run) -> None:
    output = json.loads(recsys("-C", workspace, "batch", "--date", DAY, "--json").stdout)
    assert (output["date"], output["users"], output["path"]) == (DAY, 60, str(published(workspace)))
    assert output["features"]["users"] == 60 and output["features"]["reused"]


def test_every_problem_of_the_inputs_and_the_model_is_named_before_anything_is_written(
    workspace: Path, refused: Refused
) -> None:
    forget_the_night(workspace)
    users = pl.read_parquet(workspace / "data/users.parquet")
    pl.concat([users, users.head(1)]).write_parquet(workspace / "data/users.parquet")
    items = pl.read_parquet(workspace / "data/items.parquet")
    items.drop("price").write_parquet(workspace / "data/items.parquet")
    (manifest,) = (workspace / "models").glob("2026*/manifest.json")
    manifest.write_text("{}")
    message = refused(ExitCode.INPUT, "batch", "--date", DAY)
    assert "3 problems that stop the run" in message
    assert "user_ids have more than one row" in message and "'price' is missing" in message
    assert str(manifest.parent.name) in message


def test_inputs_that_are_not_there_publish_nothing(workspace: Path, refused: Refused) -> None:
    (workspace / "data/interactions.parquet").unlink()
    assert "interactions.parquet" in refused(ExitCode.INPUT, "batch", "--date", DAY)


def test_lists_that_fail_a_gate_are_not_published(workspace: Path, recsys: Run) -> None:
    shutil.rmtree(workspace / "recommendations")
    night = recsys("-C", workspace, "-q", "--set", "gates.min_users=61", "batch", "--date", DAY)
    assert (night.returncode, night.stdout) == (ExitCode.CHECK, "")
    assert night.stderr.startswith("error: ") and "gates.min_users" in night.stderr
    assert not published(workspace).exists()


def test_another_run_of_the_day_is_named(workspace: Path, refused: Refused) -> None:
    forget_the_night(workspace)
    with locked(workspace / f"runs/.locks/date={DAY}.lock", "the tests"):
        assert "another run is busy" in refused(ExitCode.LOCKED, "batch", "--date", DAY)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_night_after_a_stopped_one_resumes_it(
    workspace: Path, recsys: Run, number: signal.Signals
) -> None:
    """With one user a chunk the night lasts for minutes."""
    forget_the_night(workspace)
    users = pl.read_parquet(workspace / "data/users.parquet")
    crowd = pl.DataFrame({"user_id": [f"new{number}" for number in range(40_000)]})
    pl.concat([users, crowd], how="diagonal").write_parquet(workspace / "data/users.parquet")
    alike = "[default.gates]\nmax_fallback_rows = 1\nmax_top_item_share = 1\n"  # as such a crowd's lists are
    (workspace / "settings/settings.local.toml").write_text(alike)
    arguments = ["-C", str(workspace), "--set", "scoring.chunk_users=1", "-q", "batch", "--date", DAY]
    with subprocess.Popen(
        [sys.executable, "-m", "recsys_cli", *arguments], stderr=subprocess.PIPE, text=True
    ) as night:
        deadline = time.monotonic() + PATIENCE
        while len(list(checkpoint(workspace).glob("part-*.json"))) < 2:
            assert night.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        night.send_signal(number)
        assert night.communicate(timeout=PATIENCE)[1] == "error: terminated\n"
    assert night.returncode == ExitCode.TERMINATED and not published(workspace).exists()
    ranked = sum(json.loads(part.read_text())["users"] for part in checkpoint(workspace).glob("part-*.json"))
    assert recsys("-C", workspace, "-q", "batch", "--date", DAY).returncode == ExitCode.OK
    assert [record["status"] for record in records(workspace)] == ["failed", "complete"]
    log = max((workspace / "runs").glob("*/log.jsonl"), key=lambda path: path.stat().st_mtime_ns)
    assert f"{ranked} users" in log.read_text()
    assert pl.read_parquet(published(workspace))["user_id"].n_unique() == 40_060


def checkpoint(workspace: Path) -> Path:
    return workspace / f".recommendations.staged/date={DAY}"

"""What a run will take, predicted before it; and chunks that fit the memory."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

Refused = Callable[..., str]
DAY = "2026-03-02"


def test_a_plan_publishes_nothing_and_the_run_that_follows_is_held_against_it(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    published = workspace / f"recommendations/date={DAY}/recommendations.parquet"
    before = published.read_bytes()
    published.unlink()
    capsys.readouterr()

    assert main(["-C", str(workspace), "--json", "score", "--date", DAY, "--plan"]) == ExitCode.OK

    plan = json.loads(capsys.readouterr().out)
    assert not published.exists() and not list((workspace / "runs/.plans").glob("*.parquet"))
    assert plan["users"] == plan["sampled_users"] and plan["chunk_users"] == 1_024
    assert 0 < plan["seconds"] and 0 < plan["peak_bytes"]
    assert main(["-C", str(workspace), "-q", "score", "--date", DAY]) == ExitCode.OK
    assert published.read_bytes() == before
    assert abs(plan["disk_bytes"] / len(before) - 1) < 0.2
    records = [
        json.loads(path.read_text())["plan"] for path in (workspace / "runs").glob("*-score-*/run.json")
    ]
    (output,) = [plan for plan in records if "predicted_seconds" in plan]
    assert output["predicted_seconds"] == plan["seconds"] and output["seconds"] > 0
    assert output["predicted_peak_bytes"] == plan["peak_bytes"] and output["peak_bytes"] > 0


def test_a_plan_of_other_settings_is_not_compared(workspace: Path) -> None:
    assert main(["-C", str(workspace), "-q", "score", "--date", DAY, "--plan", "--top-k", "5"]) == ExitCode.OK
    assert main(["-C", str(workspace), "-q", "score", "--date", DAY, "--force"]) == ExitCode.OK
    records = [json.loads(path.read_text()) for path in (workspace / "runs").glob("*-score-*/run.json")]
    assert sorted("plan" in record for record in records) == [False, True]


def test_too_little_memory_is_refused_with_the_least_that_does(refused: Refused) -> None:
    asked = ("--set", "runtime.max_memory=1MB", "score", "--date", DAY, "--force")
    message = refused(ExitCode.USAGE, *asked)
    assert (
        "leaves no room: about" in message
        and "fix: set at least" in message
        and "where: runtime.max_memory" in message
    )


@pytest.mark.parametrize("value", ["2", "GB", "-1GB", "2 gigabytes", "1e3MB"])
def test_an_amount_of_memory_has_a_unit(refused: Refused, value: str) -> None:
    message = refused(ExitCode.USAGE, "--set", f'runtime.max_memory="{value}"', "score", "--date", DAY)
    assert "must be a number and MB, GB or TB" in message


def test_chunks_shrink_with_the_memory_and_the_lists_stay(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (workspace / f"recommendations/date={DAY}/recommendations.parquet").read_bytes()
    assert main(["-C", str(workspace), "--set", "runtime.max_memory=1MB", "score", "--date", DAY, "--force"])
    least = float(capsys.readouterr().err.split("about ")[1].split(" GB")[0])
    tight = f"runtime.max_memory={least + 0.03:.2f}GB"
    command = ["-C", str(workspace), "--json", "--set", tight, "score", "--date", DAY]
    assert main([*command, "--plan"]) == ExitCode.OK
    assert 1 <= json.loads(capsys.readouterr().out)["chunk_users"] < 1_024
    assert main([*command, "--force"]) == ExitCode.OK
    assert (workspace / f"recommendations/date={DAY}/recommendations.parquet").read_bytes() == before

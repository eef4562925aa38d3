"""What a training will take, predicted before it; nothing is left of the trial but its figures."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recsys_cli.cli.app import main
from recsys_cli.models.training.lightfm_fits import Cost, Step, elapsed_seconds
from recsys_cli.utils.errors import ExitCode

Refused = Callable[..., str]
Contents = Callable[[], dict[str, bytes]]
DAY = "2026-03-02"


def planned(workspace: Path, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
    """Return what `train --plan` prints."""
    capsys.readouterr()
    assert main(["-C", str(workspace), "--json", *options, "train", "--date", DAY, "--plan"]) == ExitCode.OK
    output: dict[str, Any] = json.loads(capsys.readouterr().out)
    return output


def records(workspace: Path) -> list[dict[str, Any]]:
    """Return the records of trainings and their plans, the oldest first."""
    paths = sorted((workspace / "runs").glob("*-train-*/run.json"), key=lambda path: path.stat().st_mtime)
    return [json.loads(path.read_text()) for path in paths]


def test_a_plan_leaves_no_model_and_the_training_that_follows_is_held_against_it(
    workspace: Path, contents: Contents, capsys: pytest.CaptureFixture[str]
) -> None:
    before = contents()

    plan = planned(workspace, capsys)

    assert contents() == before and not (workspace / "models/.training").exists()
    assert [path.name for path in (workspace / "runs/.plans").iterdir()] == [f"train-{DAY}.json"]
    assert plan["date"] == DAY and plan["users"] == 60 and 0 < plan["sampled_users"] <= 60
    assert plan["seconds"] > 0 and plan["lightfm_fits"] >= 1
    capsys.readouterr()
    assert main(["-C", str(workspace), "--json", "train", "--date", DAY]) == ExitCode.OK
    manifest = json.loads(capsys.readouterr().out)
    rows = sum(window["rows"] for window in manifest["label_windows"])
    assert abs(plan["rows"] / rows - 1) < 0.3
    model = sum(path.stat().st_size for path in Path(manifest["path"]).iterdir())
    assert model < plan["disk_bytes"] < 10 * model
    planned_run, trained = records(workspace)
    assert planned_run["plan"]["key"] == plan["key"]
    output = trained["plan"]
    assert output["predicted_seconds"] == plan["seconds"] and output["seconds"] > 0
    assert output["predicted_peak_bytes"] == plan["peak_bytes"] and output["peak_bytes"] > 0
    assert 0.5 < plan["peak_bytes"] / output["peak_bytes"] < 2


def test_an_earlier_model_shows_when_members_stop(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (manifest,) = (workspace / "models").glob("*/manifest.json")
    trees = json.loads(manifest.read_text())["trees"]
    assert planned(workspace, capsys)["iterations"] == min(3 * 30, trees + 3 * 50) + trees
    assert planned(workspace, capsys, "--set", "ranker.depth=5")["iterations"] == 3 * (30 + 30)
    shutil.rmtree(workspace / "models")
    assert planned(workspace, capsys)["iterations"] == 3 * (30 + 30)


def test_a_plan_of_other_settings_is_not_compared(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    planned(workspace, capsys, "--set", "ranker.depth=5")
    assert main(["-C", str(workspace), "-q", "train", "--date", DAY]) == ExitCode.OK
    assert "plan" not in records(workspace)[-1]


def test_a_plan_needs_no_lightfm(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = planned(workspace, capsys, "--set", "candidates.lightfm.num_candidates=0")
    assert plan["rows"] > 0 and plan["seconds"] > 0


def test_a_sample_of_the_users_is_planned_for(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    everybody = planned(workspace, capsys)
    some = planned(workspace, capsys, "--set", "ranker.max_train_users=40")
    assert some["users"] == 40 and some["rows"] < everybody["rows"]


def test_a_person_reads_a_table(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["-C", str(workspace), "train", "--date", DAY, "--plan"]) == ExitCode.OK
    out, err = capsys.readouterr()
    shown = out + err
    for what in ("nothing was trained", "seconds", "peak memory", "disk", "ranker rows", "LightFM fits"):
        assert what in shown
    assert f"next: recsys train --date {DAY}" in shown


def test_a_warm_start_is_not_planned(refused: Refused) -> None:
    message = refused(ExitCode.USAGE, "train", "--date", DAY, "--plan", "--warm-start")
    assert "where: --plan --warm-start" in message


def test_too_short_a_history_is_told_by_the_plan_too(refused: Refused) -> None:
    assert "there is no event before" in refused(ExitCode.INPUT, "train", "--date", "2026-01-25", "--plan")


@pytest.mark.parametrize(
    ("fits", "side_by_side", "cores", "seconds"),
    [
        ([], 1, 2, 30.0),  # the steps alone: 10 and 20 seconds
        ([4.0], 1, 2, 34.0),  # the first step waits for the fit
        ([4.0, 15.0], 1, 2, 39.0),  # the second fit runs from second 4 to 19, and its step waits for it
        ([4.0, 15.0], 2, 2, 35.0),  # both run from the start: the second step begins in second 15
        ([4.0, 15.0], 0, 2, 49.0),  # each fit begins when its step waits for it
        ([4.0, 15.0], 2, 1, 49.0),  # one core does one thing at a time
    ],
)
def test_fits_run_beside_the_steps(fits: list[float], side_by_side: int, cores: int, seconds: float) -> None:
    waits = [number if number < len(fits) else None for number in range(2)]
    steps: list[Step] = [(Cost(10.0), waits[0]), (Cost(20.0), waits[1])]
    assert elapsed_seconds(steps, [Cost(one) for one in fits], side_by_side, cores) == pytest.approx(seconds)

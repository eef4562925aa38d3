"""A model keeps the settings of its training: the program says so wherever those of today differ."""

import json
from pathlib import Path
from typing import Any

import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

DAY, LATER = "2026-03-02", "2026-03-04"
KEPT = ("--set", "candidates.content.num_candidates=0", "--set", "ranker.members=2")
TOLD = "candidates.content.num_candidates = 0 (the model's: 100), ranker.members = 2 (the model's: 3)"


@pytest.fixture
def output(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run a command that succeeds; return its stdout and the warnings on stderr."""

    def run(*args: str) -> tuple[str, list[str]]:
        capsys.readouterr()
        assert main(["-C", str(workspace), *args]) == ExitCode.OK
        out, err = capsys.readouterr()
        return out, [line for line in err.splitlines() if line.startswith("warning: ")]

    return run


def manifest_of(workspace: Path, trained_through: str) -> dict[str, Any]:
    (file,) = (workspace / "models").glob(f"{trained_through}-*/manifest.json")
    manifest: dict[str, Any] = json.loads(file.read_text())
    return manifest


def test_a_warm_start_records_the_settings_that_it_uses_and_shows_the_others(
    workspace: Path, output: Any
) -> None:
    new_trees = ("--set", "ranker.depth=3", "--set", "warm_start.iterations=4")

    _, warnings = output("train", "--warm-start", "--date", LATER, "--no-promote", *KEPT, *new_trees)

    base, new = manifest_of(workspace, DAY), manifest_of(workspace, LATER)
    settings = new["settings"]
    assert settings["candidates"] == base["settings"]["candidates"] == new["stage"]["sources"]
    assert "content" in new["exam"]["models"] and settings["candidates"]["content"]["num_candidates"] == 100
    changed = {
        name for name, value in settings["ranker"].items() if value != base["settings"]["ranker"][name]
    }
    assert changed == {"depth"}
    assert new["trees"] == base["trees"] + 4
    assert len(warnings) == 1 and f"these settings wait for a full `recsys train`: {TOLD}" in warnings[0]
    assert base["version"] in warnings[0]


@pytest.mark.parametrize("command", [("score", "--force"), ("score", "--plan"), ("score",)])
def test_score_names_settings_without_effect_once(output: Any, command: tuple[str, ...]) -> None:
    _, warnings = output(*command, "--date", DAY, *KEPT, "--set", "scoring.chunk_users=20")
    assert len(warnings) == 1
    assert f"these have no effect before a full `recsys train`: {TOLD}" in warnings[0]


def test_settings_that_scoring_follows_bring_no_warning(output: Any) -> None:
    followed = ("scoring.index=ivf", "scoring.min_index_recall=0.01", "warm_start.iterations=9")
    options = [word for one in followed for word in ("--set", one)]
    assert output("score", "--date", DAY, "--force", *options)[1] == []
    assert output("explain", "u01", "--date", DAY, *KEPT)[1] == []


def test_the_nightly_job_says_it_once_and_its_log_has_it_each_time(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for _ in range(2):
        assert main(["-q", "-C", str(workspace), "score", "--date", DAY, "--force", *KEPT]) == ExitCode.OK
        said.append(capsys.readouterr().err)
    assert said[0].count(TOLD) == 1 and said[1] == ""
    logs = list((workspace / "runs").glob("*-score-*/log.jsonl"))
    assert len(logs) == 2 and all(TOLD in log.read_text() for log in logs)


def test_check_lists_it(output: Any) -> None:
    out, _ = output("check", "--date", DAY, "--json", *KEPT)
    (problem,) = json.loads(out)["problems"]
    assert problem["severity"] == "warning" and TOLD in problem["what"] and "recsys train" in problem["fix"]

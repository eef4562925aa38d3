"""`recsys doctor`: what a run would meet, and what is wrong with it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode


def findings(
    workspace: Path, capsys: pytest.CaptureFixture[str], *options: str
) -> dict[tuple[str, str], dict[str, str]]:
    capsys.readouterr()
    assert main(["-C", str(workspace), *options, "doctor", "--json"]) == ExitCode.OK
    output = json.loads(capsys.readouterr().out)["findings"]
    return {(one["area"], one["what"]): one for one in output}


def test_a_sound_workspace_has_no_problem(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in workspace.rglob("*")}
    output = findings(workspace, capsys, "--set", "runtime.threads=1")
    assert not [one for one in output.values() if one["problem"]]
    size = (workspace / "data/interactions.parquet").stat().st_size / 1e6
    assert output["inputs", "interactions"]["value"] == f"data/interactions.parquet: 1 files, {size:,.1f} MB"
    (version,) = [folder.name for folder in (workspace / "models").glob("2026-*")]
    assert output["model", "promoted"]["value"] == version
    cores = len(os.sched_getaffinity(0))
    assert output["machine", "cores"]["value"] == f"{cores}, runtime.threads gives 1"
    assert {path: path.stat().st_mtime_ns for path in workspace.rglob("*")} == before
    assert main(["-C", str(workspace), "doctor"]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert "polars" in out and "settings/settings.toml" in out and "no problem" in err


@pytest.mark.parametrize("given", [{}, {"OPENBLAS_NUM_THREADS": "2"}, {"OPENBLAS_NUM_THREADS": ""}])
def test_the_program_gives_blas_one_thread(workspace: Path, given: dict[str, str]) -> None:
    """How many share a sum decides its last digits, and those without work keep a core busy."""
    command = [sys.executable, "-m", "recsys_cli", "-C", str(workspace), "doctor", "--json"]
    bare = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    output = subprocess.run(command, env=bare | given, capture_output=True, check=True).stdout
    (blas,) = [one["value"] for one in json.loads(output)["findings"] if one["what"] == "blas"]
    assert "openblas" in blas and set(re.findall(r"(\d+) threads", blas)) == {"1"}


def test_what_is_wrong_is_reported(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (workspace / "data/users.parquet").unlink()
    (workspace / "models/promoted.json").unlink()
    (workspace / "blocked").write_text("")
    output = findings(workspace, capsys, "--set", "output.runs=blocked")
    wrong = {place for place, one in output.items() if one["problem"]}
    assert wrong == {("inputs", "users"), ("model", "promoted"), ("output", "runs")}

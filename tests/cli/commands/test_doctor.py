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


def rights(workspace: Path, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str, str]]:
    capsys.readouterr()
    assert main(["-C", str(workspace), "doctor", "--json"]) == ExitCode.OK
    found = json.loads(capsys.readouterr().out)["findings"]
    return [(one["what"], one["value"], one["problem"]) for one in found if one["area"] == "rights"]


def test_what_others_may_change_is_named_with_its_fix(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody_else = ("settings, models, locks, secrets", "nobody else may change them", "")
    for path in (workspace, *workspace.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o022)
    assert rights(workspace, capsys) == [nobody_else]
    models, settings = workspace / "models", workspace / "settings/settings.toml"
    secrets, locks = workspace / "settings/.secrets.toml", workspace / "runs/.locks"
    models.chmod(0o1777)  # sticky: nobody moves what belongs to others
    locks.mkdir(parents=True)
    assert rights(workspace, capsys) == [nobody_else]
    secrets.write_text("[default]\n")
    secrets.chmod(0o644)
    models.chmod(0o777)
    locks.chmod(0o777)
    settings.chmod(0o646)
    assert rights(workspace, capsys) == [
        ("settings", f"{settings}: everybody may write it", f"chmod go-w {settings}"),
        ("models", f"{models}: everybody may write it", f"chmod go-w {models}"),
        ("locks", f"{locks}: everybody may write it", f"chmod go-w {locks}"),
        ("secrets", f"{secrets}: others may read it", f"chmod go-rwx {secrets}"),
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_of_another_user_are_named(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pointer = workspace / "models/promoted.json"
    os.chown(pointer, 12_345, 12_345)
    found = rights(workspace, capsys)
    assert found == [("models", f"{pointer}: it belongs to 12345", f"chown root {pointer}")]

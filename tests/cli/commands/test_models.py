"""`recsys models`: a version's page, and a promotion where nothing may be written."""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

WithoutRights = Callable[[], AbstractContextManager[None]]


def version_of(workspace: Path) -> str:
    return str(json.loads((workspace / "models/promoted.json").read_text())["history"][-1])


def shown(workspace: Path, capsys: pytest.CaptureFixture[str], *args: str) -> str:
    capsys.readouterr()
    assert main(["-q", "-C", str(workspace), "models", "show", *args]) == ExitCode.OK
    return capsys.readouterr().out


def test_a_version_is_a_page_of_80_columns(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = version_of(workspace)
    manifest = json.loads((workspace / f"models/{version}/manifest.json").read_text())

    page = shown(workspace, capsys)

    assert shown(workspace, capsys, version) == page
    lines = page.splitlines()
    assert max(map(len, lines)) <= 80 and "{" not in page
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line[0] == "│"]
    output = {row[0]: row[1:] for row in cells}
    assert f"Model {version}" in lines[0] and output["status"] == ["promoted"]
    assert output["learnt from"] == [f"{manifest['events']:,} events before 2026-03-02"]
    assert output["2026-02-23"][2] == f"{manifest['label_windows'][1]['positives']:,}"
    holdout = manifest["exam"]
    assert output["two stages"][0] == f"{holdout['models']['two stages']['NDCG@10']:.4f}"
    duel = holdout["against_popularity"]
    assert [duel["metric"], duel["against"], f"{duel['difference']:+.4f}"] in [row[:3] for row in cells]
    strongest = sorted(manifest["feature_importance"].items(), key=lambda pair: -pair[1])
    assert [name for name, _ in strongest[:10] if name in output] == [name for name, _ in strongest[:10]]
    assert strongest[10][0] not in output
    assert output["ranker.iterations"] == ["30", "320"] and "ranker.depth" not in output


def test_json_gives_the_whole_manifest(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    version = version_of(workspace)
    manifest = json.loads((workspace / f"models/{version}/manifest.json").read_text())
    del manifest["seal"]
    assert json.loads(shown(workspace, capsys, "--json")) == manifest


def test_the_page_shows_a_version_that_does_not_score(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = version_of(workspace)
    options = ("--date", "2026-03-02", "--set", "ranker.depth=3")
    assert main(["-q", "-C", str(workspace), "train", *options]) == ExitCode.OK
    second = version_of(workspace)
    assert f"promoted earlier; now {second} is" in shown(workspace, capsys, first)
    assert main(["-q", "-C", str(workspace), "models", "rollback"]) == ExitCode.OK
    assert "not promoted" in shown(workspace, capsys, second)


def test_without_a_model_the_next_step_is_named(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(workspace / "models")
    assert main(["-C", str(workspace), "models", "show"]) == ExitCode.MODEL
    assert "recsys train" in capsys.readouterr().err


@pytest.mark.parametrize("command", [("promote",), ("rollback",)])
def test_a_folder_that_cannot_be_written_is_reported(
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
    without_rights: WithoutRights,
    command: tuple[str, ...],
) -> None:
    version = version_of(workspace)
    shown(workspace, capsys, version)  # loads the code, which nobody may not be allowed to read
    with TemporaryDirectory() as name:  # that of pytest is closed to others
        there = Path(shutil.copytree(workspace, f"{name}/shop"))
        os.chmod(name, 0o755)
        for path in (there, *there.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        names = (version,) if command == ("promote",) else ()
        with without_rights():
            code = main(["-C", str(there), "models", *command, *names])
        (there / "models").chmod(0o777)
        with without_rights():
            locked = main(["-C", str(there), "models", *command, *names])
        for path in (there, *there.rglob("*")):
            path.chmod(0o777)
    message = capsys.readouterr().err
    assert (code, locked) == (ExitCode.OUTPUT, ExitCode.OUTPUT)
    assert "the folder cannot be written by" in message and f"where: {there / 'models'}\n" in message
    assert "fix: run the command as " in message and "chmod" in message
    assert "the lock on the models cannot be taken: Permission denied" in message

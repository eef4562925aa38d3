"""What .secrets.toml holds is never shown: not in errors, warnings, logs or run records."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

Refused = Callable[..., str]
DAY = "2026-03-02"
EXPRESSION = "price > 'hunter2' AND genre = 'news'"


def secret(workspace: Path, section: str, **values: str | list[str]) -> None:
    lines = [f"{key} = {json.dumps(value)}" for key, value in values.items()]
    (workspace / "settings/.secrets.toml").write_text("\n".join([f"[default.{section}]", *lines]) + "\n")


def written(workspace: Path) -> Iterator[str]:
    """Return what the runs recorded; there is at least one record and one log with a line."""
    files = [*workspace.glob("runs/*/run.json"), *workspace.glob("runs/*/log.jsonl")]
    assert {file.name for file in files} == {"run.json", "log.jsonl"}
    return (file.read_text() for file in files)


@pytest.mark.parametrize("path", ["data/hunter2.parquet", "./data//hunter2.parquet", "hunter2/"])
@pytest.mark.parametrize("verbosity", ["-q", "-vv"])
def test_a_secret_path_is_in_no_error_and_no_record(
    workspace: Path, capsys: pytest.CaptureFixture[str], path: str, verbosity: str
) -> None:
    secret(workspace, "data.users", path=path)
    assert main([verbosity, "-C", str(workspace), "features", "--date", DAY]) == ExitCode.INPUT
    out, err = capsys.readouterr()
    assert "error: no such file" in err and f"where: {workspace}/********\n" in err
    assert not any("hunter2" in text for text in (out, err, *written(workspace)))


def test_a_secret_expression_is_in_no_error_and_no_record(workspace: Path, refused: Refused) -> None:
    secret(workspace, "scoring", exclude=EXPRESSION)
    message = refused(ExitCode.USAGE, "score", "--date", DAY)
    assert 'the expression "********" cannot be used' in message
    told = [message, *written(workspace)]
    assert not any(EXPRESSION in text for text in told)
    assert all("********" in text for text in told)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_check_masks_secrets_in_its_list(
    workspace: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    secret(workspace, "data.users", path="hunter2", features=["hunter3"])
    assert main(["-C", str(workspace), "check", "--date", DAY, *options]) == ExitCode.CHECK
    out, err = capsys.readouterr()
    assert "/********" in out
    assert "hunter" not in out + err


def test_a_warning_masks_secrets(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    users = pl.read_parquet(workspace / "data/users.parquet")
    users.head(50).write_parquet(workspace / "data/hunter2.parquet")
    secret(workspace, "data.users", path="data/hunter2.parquet")
    assert main(["-C", str(workspace), "features", "--date", DAY]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert f"warning: {workspace}/********: " in err
    assert not any("hunter2" in text for text in (out, err, *written(workspace)))


@pytest.mark.parametrize("command", ["list --json", "show {} --json", "show {}"])
def test_the_settings_of_a_model_are_shown_without_secrets(
    workspace: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    shutil.rmtree(workspace / "models")
    secret(workspace, "scoring", exclude="price > 49.75")
    assert main(["-C", str(workspace), "train", "--date", DAY, "--json"]) == ExitCode.OK
    out, _ = capsys.readouterr()
    version = json.loads(out)["version"]
    assert main(["-C", str(workspace), "models", *command.format(version).split()]) == ExitCode.OK
    out += capsys.readouterr().out
    assert "49.75" not in out and out.count("********") == 2


def test_a_text_of_three_letters_is_not_masked_in_the_midst_of_words(
    workspace: Path, refused: Refused
) -> None:
    secret(workspace, "data.users", path="ers")
    message = refused(ExitCode.INPUT, "features", "--date", DAY)
    assert f"where: {workspace}/ers\n" in message

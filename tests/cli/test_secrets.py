"""What .secrets.toml holds is never shown: not in errors, warnings, logs or run records."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import polars as pl
import pytest
from s3fs import S3FileSystem

from recsys_cli.cli.app import main
from recsys_cli.configs.secrets import Secrets, shown
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
    output = [message, *written(workspace)]
    assert not any(EXPRESSION in text for text in output)
    assert all("********" in text for text in output)


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
    assert "49.75" not in (workspace / "models" / version / "manifest.json").read_text()


def test_a_model_keeps_no_secret_and_scores(workspace: Path) -> None:
    shutil.rmtree(workspace / "models")
    users = pl.read_parquet(workspace / "data/users.parquet")["user_id"]
    for day in ("2026-02-16", "2026-02-23", DAY):
        proposed = pl.DataFrame({"buyer": users, "item_id": [100] * len(users)})
        proposed.write_parquet(workspace / f"data/hunter2-{day}.parquet")
    external = 'path = "data/hunter2-{date}.parquet"\ncolumns = {user_id = "buyer"}'
    ranker = "[default.ranker]\nscore = 'raw'"
    (workspace / "settings/.secrets.toml").write_text(
        f"[default.candidates.external]\n{external}\n{ranker}\n"
    )
    assert main(["-q", "-C", str(workspace), "train", "--date", DAY]) in (ExitCode.OK, ExitCode.CHECK)
    (manifest,) = (workspace / "models").glob("*/manifest.json")
    output = json.loads(manifest.read_text())
    assert "hunter2" not in manifest.read_text() and "buyer" not in manifest.read_text()
    assert output["settings"]["ranker"]["score"] == "********" and output["ranker"]["score"] == "raw"
    promote = ("models", "promote", manifest.parent.name, "--force")
    assert main(["-q", "-C", str(workspace), *promote]) == ExitCode.OK
    assert main(["-q", "-C", str(workspace), "score", "--date", DAY]) == ExitCode.OK


@pytest.mark.parametrize(
    "secret", ["two\nlines of hunter2", 'a "quoted" hunter2', "hunter2 " * 40, "é-hunter2"]
)
def test_a_secret_is_masked_however_it_is_written(secret: str) -> None:
    secrets = Secrets.of([secret])
    ways = (secret, repr(secret), ascii(secret), json.dumps(secret), shown(secret, secret=False))
    assert not any("hunter2" in secrets.hide(way) for way in ways)


@pytest.mark.parametrize("secret", ["title = 'hunter2'", "https://me:hunter2@host/items", 'a = "hunter2"'])
def test_the_secret_part_of_a_setting_is_masked_alone(secret: str) -> None:
    assert Secrets.of([secret]).hide("no hunter2 here") == "no ******** here"


def test_a_text_of_three_letters_is_not_masked_in_the_midst_of_words(
    workspace: Path, refused: Refused
) -> None:
    secret(workspace, "data.users", path="ers")
    message = refused(ExitCode.INPUT, "features", "--date", DAY)
    assert f"where: {workspace}/ers\n" in message


@pytest.fixture
def own_store() -> Iterator[None]:
    """Let a test's variables count, and no later test's store be its: fsspec keeps a store for a process."""
    S3FileSystem.clear_instance_cache()
    yield
    S3FileSystem.clear_instance_cache()


STORE = ("--set", "data.interactions.path=s3://shop/e.parquet", "--set", "data.max_age_days=2")


@pytest.mark.parametrize(
    "variables",
    [
        {"AWS_ENDPOINT_URL": "me:hunter2secret@127.0.0.1:9"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:9/?sig=hunter2secret"},
        {"AWS_ENDPOINT_URL_S3": "http://me:hunter2secret@127.0.0.1:9"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "HTTP_PROXY": "http://me:hunter2secret@127.0.0.1:9"},
        {"RECSYS_STORAGE__S3__ENDPOINT_URL": "me:hunter2secret@127.0.0.1:9"},
        {"RECSYS_STORAGE__S3__SECRET": "hunter2secret", "AWS_ENDPOINT_URL": "hunter2secret://x"},
    ],
)
@pytest.mark.parametrize(
    "command", [("-vv", "score", "--date", DAY), ("check", "--date", DAY), ("doctor", "--json")]
)
@pytest.mark.usefixtures("own_store")
def test_no_error_of_a_store_shows_what_its_address_holds(
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    command: tuple[str, ...],
) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_MAX_ATTEMPTS": "1"}
    for name, value in (keys | variables).items():
        monkeypatch.setenv(name, value)
    main(["-C", str(workspace), *STORE, *command])
    out, err = capsys.readouterr()
    assert "does not answer as it should" in out + err
    files = [file for file in workspace.rglob("*") if file.is_file()]
    assert not [file for file in files if b"hunter2secret" in file.read_bytes()]
    assert "hunter2secret" not in out + err


@pytest.mark.parametrize(
    "variables",
    [
        {"RECSYS_STORAGE__S3": "hunter2secret"},
        {"RECSYS_STORAGE": "hunter2secret"},
        {"RECSYS_STORAGE__S3__SECRET": "['hunter2secret']"},
        {"RECSYS_RANKER__TOKEN": "hunter2secret"},
        {"RECSYS_TIMEZONE": "https://me:hunter2secret@host"},
        {"RECSYS_DATA__MAX_AGE_DAYS": "https://host/?sig=hunter2secret"},
    ],
)
def test_no_refused_variable_shows_its_secret(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    message = refused(ExitCode.USAGE, "score", "--date", DAY)
    assert "hunter2secret" not in message


def test_a_secret_inside_of_a_refused_table_is_not_quoted(workspace: Path, refused: Refused) -> None:
    (workspace / "settings/.secrets.toml").write_text(
        '[default.candidates.external]\ncolumns = {user_id = "hunter2secret", item_id = "hunter2secret"}\n'
    )
    message = refused(ExitCode.USAGE, "score", "--date", DAY)
    assert "name another" in message and "hunter2secret" not in message


def test_warnings_that_libraries_log_are_masked(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-C", str(workspace), "doctor"]) == ExitCode.OK
    record = logging.LogRecord(
        "urllib3", logging.WARNING, "", 0, "Retrying %s", ("/x?sig=hunter2secret",), None
    )
    capsys.readouterr()
    assert logging.lastResort is not None
    logging.lastResort.handle(record)
    assert capsys.readouterr().err == "warning: Retrying /x?…\n"

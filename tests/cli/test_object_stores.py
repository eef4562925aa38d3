"""Inputs, features, models and lists in an S3 server on loopback, through the real program."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from threading import Event, Thread
from typing import Any

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.configs.loader import load_settings
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.pipelines.score import score_users
from recsys_cli.pipelines.scoring.job import ScoreRequest
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_record import begin_run
from recsys_cli.utils.errors import ExitCode, InputError
from recsys_cli.utils.storage.json_files import sealed
from recsys_cli.utils.storage.result_store import CURRENT
from tests.stores import S3, SECRET, s3_server

DAY, RUNS = "2026-03-02", 20
LISTS = f"lists/date={DAY}"
OUTPUT = """
[default.output]
features = "s3://shop/features"
models = "s3://shop/models"
recommendations = "s3://shop/lists"
"""


@pytest.fixture(scope="module")
def server() -> Iterator[S3]:
    """One server for all tests of the file, reached by the usual environment."""
    with s3_server() as found, pytest.MonkeyPatch.context() as patch:
        for name, value in found.environment.items():
            patch.setenv(name, value)
        yield found


@pytest.fixture
def s3(server: S3) -> S3:
    """The server with an empty bucket."""
    server.restore({})
    return server


@pytest.fixture
def stored(workspace: Path, s3: S3) -> Path:
    """The scored workspace with its inputs, and nothing else yet, in the bucket."""
    return moved(workspace, s3)


@pytest.fixture(scope="module")
def ready(
    scored: Path, server: S3, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, bytes]]:
    """A workspace whose inputs, features, model and lists are in the bucket, and what this then holds."""
    root = tmp_path_factory.mktemp("stored") / "workspace"
    shutil.copytree(scored, root, ignore=shutil.ignore_patterns("runs"))
    server.restore({})
    moved(root, server)
    assert run(root, "train", "--date", DAY) == run(root, "score", "--date", DAY) == ExitCode.OK
    return root, {key: server.read(key) for key in server.keys()}


@pytest.fixture
def published_workspace(ready: tuple[Path, dict[str, bytes]], server: S3, tmp_path: Path) -> Path:
    """A copy of that workspace, and the bucket as it was."""
    root, held = ready
    server.restore(held)
    return Path(shutil.copytree(root, tmp_path / "published"))


def moved(root: Path, s3: S3) -> Path:
    """Move a workspace's inputs into the bucket; all else is forgotten."""
    for file in (root / "data").iterdir():
        s3.write(f"data/{file.name}", file.read_bytes())
    for name in ("data", "features", "models", "recommendations"):
        shutil.rmtree(root / name)
    settings = root / "settings/settings.toml"
    settings.write_text(settings.read_text().replace('path = "data/', 'path = "s3://shop/data/') + OUTPUT)
    return root


def run(root: Path, *args: str) -> int:
    return main(["-q", "-C", str(root), *args])


def current(s3: S3, name: str) -> dict[str, Any]:
    return dict(json.loads(s3.read(f"{name}/{CURRENT}")))


def published(s3: S3) -> bytes:
    """Return the lists as a reader of the documented path gets them, checked to be whole."""
    output = json.loads(s3.read(f"{LISTS}/{CURRENT}"))
    held = s3.read(f"{LISTS}/{output['key']}/recommendations.parquet")
    assert hashlib.sha256(held).hexdigest() == output["files"]["recommendations.parquet"]["sha256"]
    assert set(output["files"]) == {"recommendations.parquet", "manifest.json", "_SUCCESS"}
    return held


def test_train_and_score_end_to_end_as_on_a_disk(stored: Path, s3: S3, scored: Path) -> None:
    assert run(stored, "check", "--date", DAY) == ExitCode.OK
    assert run(stored, "train", "--date", DAY) == ExitCode.OK
    assert run(stored, "score", "--date", DAY) == ExitCode.OK
    here = scored / f"recommendations/date={DAY}/recommendations.parquet"
    assert published(s3) == here.read_bytes()
    version = json.loads(s3.read("models/promoted.json"))["history"][-1]
    assert version == json.loads((scored / "models/promoted.json").read_text())["history"][-1]
    for name in (f"models/{version}", f"features/date={DAY}"):
        assert set(current(s3, name)["files"]) == {file.name for file in (scored / name).iterdir()}


def test_another_machine_explains_verifies_and_goes_on(
    published_workspace: Path, server: S3, capsys: pytest.CaptureFixture[str]
) -> None:
    other = published_workspace.with_name("other machine")
    shutil.copytree(published_workspace / "settings", other / "settings")
    before = server.keys()
    capsys.readouterr()
    assert main(["-C", str(other), "score", "--date", DAY, "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["already_complete"]
    assert run(other, "verify", DAY) == ExitCode.OK
    assert main(["-C", str(other), "explain", "u07", "--date", DAY, "--json"]) == ExitCode.OK
    output = json.loads(capsys.readouterr().out)
    rows = pl.read_parquet(io.BytesIO(published(server))).filter(pl.col("user_id") == "u07")
    assert [one["item_id"] for one in output["recommendations"]] == rows["item_id"].to_list()
    assert main(["-C", str(other), "models", "list", "--json"]) == ExitCode.OK
    assert [one["promoted"] for one in json.loads(capsys.readouterr().out)["models"]] == [True]
    assert {key: tag for key, tag in server.keys().items() if ".writable" not in key} == {
        key: tag for key, tag in before.items() if ".writable" not in key
    }


def test_a_reader_of_the_published_path_sees_whole_files_alone(published_workspace: Path, server: S3) -> None:
    over, seen, failures = Event(), set[str](), list[BaseException]()

    def poll() -> None:
        while not over.is_set():
            try:
                held = published(server)
                assert len(pl.read_parquet(io.BytesIO(held))) > 0
                seen.add(hashlib.sha256(held).hexdigest())
            except BaseException as error:  # pylint: disable=broad-exception-caught
                failures.append(error)
                return

    reader = Thread(target=poll)
    reader.start()
    for number in range(RUNS):
        assert (
            run(published_workspace, "score", "--date", DAY, "--force", "--top-k", str(5 + number % 2))
            == ExitCode.OK
        )
    over.set()
    reader.join()
    assert not failures
    assert len(seen) >= 2  # it did look on while they changed


KILLED = """
import os, signal, sys
from recsys_cli.utils.storage import object_store, result_store
from recsys_cli.cli.app import main
name, last = sys.argv[1], int(sys.argv[2])
honest, calls = getattr(object_store.Store, name), 0
def dying(*args, **kwargs):
    global calls
    calls += 1
    if calls == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return honest(*args, **kwargs)
setattr(object_store.Store, name, dying)
main(sys.argv[3:])
"""


@pytest.mark.parametrize(("call", "last"), [("upload", 1), ("upload", 3), ("write", 2)])
def test_a_killed_run_leaves_the_published_path_and_the_next_one_mends(
    published_workspace: Path, server: S3, call: str, last: int
) -> None:
    before, again = server.read(f"{LISTS}/{CURRENT}"), [
        "-q",
        "-C",
        str(published_workspace),
        "score",
        "--date",
        DAY,
        "--top-k",
        "7",
    ]
    died = subprocess.run(
        [sys.executable, "-c", KILLED, call, str(last), *again], env=os.environ, check=False
    )
    assert died.returncode == -9
    assert server.read(f"{LISTS}/{CURRENT}") == before
    published(server)
    assert main(again) == ExitCode.OK
    assert pl.read_parquet(io.BytesIO(published(server)))["rank"].max() == 7


def flip(server: S3, key: str) -> None:
    """Change a bit of an object."""
    held = bytearray(server.read(key))
    held[len(held) // 2] ^= 1
    server.write(key, bytes(held))


def key_of(server: S3, name: str, file: str) -> str:
    return f"{name}/{current(server, name)['key']}/{file}"


@pytest.mark.parametrize("has_copies", [True, False], ids=["here", "another machine"])
@pytest.mark.parametrize("damage", ["flipped", "deleted"])
def test_damage_in_the_bucket_is_found_and_scored_over(
    published_workspace: Path,
    server: S3,
    capsys: pytest.CaptureFixture[str],
    has_copies: bool,
    damage: str,
) -> None:
    if not has_copies:
        shutil.rmtree(published_workspace / ".remote")
    whole, key = published(server), key_of(server, LISTS, "recommendations.parquet")
    flip(server, key)
    if damage == "deleted":
        server.client.delete_object(Bucket=server.bucket, Key=key)
    is_gone = damage == "deleted" and not has_copies  # as a file that is missing on a disk
    capsys.readouterr()
    assert run(published_workspace, "verify", DAY) == (ExitCode.USAGE if is_gone else ExitCode.CHECK)
    said = "there is no such file" if is_gone else "the recommendations are not what was published"
    assert f"error: {said}" in capsys.readouterr().err
    assert run(published_workspace, "score", "--date", DAY) == ExitCode.OK
    assert published(server) == whole


def test_damaged_features_in_the_bucket_are_built_again_and_a_damaged_model_is_refused(
    published_workspace: Path, server: S3, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(published_workspace / ".remote")
    whole = published(server)
    flip(server, key_of(server, f"features/date={DAY}", "users.parquet"))
    assert run(published_workspace, "score", "--date", DAY, "--force") == ExitCode.OK
    assert published(server) == whole
    version = json.loads(server.read("models/promoted.json"))["history"][-1]
    flip(server, key_of(server, f"models/{version}", "ranker.json"))
    shutil.rmtree(published_workspace / ".remote")
    capsys.readouterr()
    assert run(published_workspace, "score", "--date", DAY, "--force") == ExitCode.MODEL
    assert "ranker.json" in capsys.readouterr().err
    assert published(server) == whole


@pytest.mark.parametrize("pointer", [b"no json", b'{"key": "../x", "files": {}}', None])
def test_a_pointer_that_cannot_be_trusted_counts_for_nothing(
    published_workspace: Path, server: S3, capsys: pytest.CaptureFixture[str], pointer: bytes | None
) -> None:
    whole = published(server)
    outside = sealed({"schema_version": 1, "key": "..", "files": {"x": {"bytes": 1, "sha256": "0"}}})
    server.write(f"{LISTS}/{CURRENT}", outside if pointer is None else pointer)
    assert main(["-C", str(published_workspace), "score", "--date", DAY]) == ExitCode.OK
    assert "is ignored, because it cannot be trusted" in capsys.readouterr().err
    assert published(server) == whole


def test_init_takes_tables_of_a_store_and_the_record_keeps_no_signature(
    stored: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "made"
    tables = (
        "--interactions",
        "s3://shop/data/interactions.parquet",
        "--items",
        "s3://shop/data/items.parquet",
    )
    assert main(["init", str(made), "--preset", "generic", *tables]) == ExitCode.OK
    assert 'path = "s3://shop/data/interactions.parquet"' in (made / "settings/settings.toml").read_text()
    signed = "data.users.path=https://user:geheim@127.0.0.1:1/u.parquet?signature=geheim"
    capsys.readouterr()
    assert run(stored, "--set", signed, "features", "--date", DAY) == ExitCode.INPUT
    (record,) = stored.glob("runs/*/run.json")
    assert "https://127.0.0.1:1/u.parquet?…" in record.read_text()
    assert not [
        file for file in stored.glob("runs/**/*") if file.is_file() and b"geheim" in file.read_bytes()
    ]
    assert main(["-C", str(stored), "--set", signed, "config", "--json"]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert "geheim" not in out + err


def test_a_full_disk_under_the_copies_is_called_by_its_name(
    published_workspace: Path,
) -> None:
    shutil.rmtree(published_workspace / ".remote")
    arguments = [sys.executable, "-m", "recsys_cli", "-C", str(published_workspace), "score", "--date", DAY]
    output = subprocess.run(
        ["sh", "-c", 'ulimit -f 8; trap "" XFSZ; exec "$@"', "sh", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert output.returncode == ExitCode.OUTPUT, output.stderr
    assert "File too large" in output.stderr and "credentials" not in output.stderr


def test_a_store_that_refuses_is_told_with_its_uri_and_the_old_lists_stay(
    published_workspace: Path, server: S3, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = server.keys("lists/")
    capsys.readouterr()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    lists = (
        "--set",
        "output.recommendations=s3://shop/lists",
        "--set",
        "storage.s3.endpoint_url=http://127.0.0.1:1",
    )
    assert run(published_workspace, *lists, "score", "--date", DAY, "--force") in (
        ExitCode.INPUT,
        ExitCode.OUTPUT,
    )
    output = capsys.readouterr().err
    assert "Traceback" not in output and "s3://shop/" in output and SECRET not in output
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.address)
    external = (
        "candidates.external.path=http://127.0.0.1:1/{date}.parquet",
        "candidates.external.num_candidates=7",
    )
    asked = [word for one in external for word in ("--set", one)]
    assert run(published_workspace, *asked, "train", "--date", DAY) == ExitCode.INPUT
    output = capsys.readouterr().err  # a server that is away is no day without a delivery
    assert "does not answer" in output and "there are no external candidates" not in output
    gone = ("--set", "output.recommendations=s3://no-such-bucket/lists")
    assert run(published_workspace, *gone, "score", "--date", DAY, "--force") == ExitCode.OUTPUT
    assert "where: s3://no-such-bucket/lists" in capsys.readouterr().err
    assert server.keys("lists/") == before


@pytest.mark.parametrize("pattern", ["data/events/", "data/events/*.parquet", "data/events/part-*.parquet"])
def test_a_folder_or_glob_is_read_whole_and_what_is_gone_there_goes_here(
    published_workspace: Path, server: S3, pattern: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pl.read_parquet(io.BytesIO(server.read("data/interactions.parquet")))
    for number in range(3):
        held = io.BytesIO()
        rows[number::3].write_parquet(held)
        server.write(f"data/events/part-{number}.parquet", held.getvalue())
    server.write("data/events/_SUCCESS", b"")
    server.write("data/events2/part-9.parquet", b"no part of it")
    path = f"data.interactions.path=s3://shop/{pattern}"
    counts = []
    for _ in range(2):
        assert (
            main(["-C", str(published_workspace), "--set", path, "features", "--date", DAY, "--json"])
            == ExitCode.OK
        )
        counts.append(json.loads(capsys.readouterr().out)["events"])
        server.client.delete_object(Bucket=server.bucket, Key="data/events/part-2.parquet")
    midnight = pl.lit(f"{DAY} 00:00:00").str.to_datetime()
    whole = rows.with_row_index().filter(pl.col("timestamp") < midnight)
    assert counts == [len(whole), len(whole.filter(pl.col("index") % 3 != 2))]


def test_an_input_that_is_replaced_in_the_midst_of_a_run_stops_it(
    published_workspace: Path, server: S3
) -> None:
    whole, loaded = published(server), load_settings(published_workspace, None, (), settings_tree())
    workspace = Workspace(loaded.workspace, loaded.settings)
    users, fewer = pl.read_parquet(io.BytesIO(server.read("data/users.parquet"))), io.BytesIO()
    users.head(10).write_parquet(fewer)
    request = ScoreRequest(date.fromisoformat(DAY), 7, force=True)

    def at_work(_done: int, _total: int) -> None:
        server.write("data/users.parquet", fewer.getvalue())

    with pytest.raises(InputError, match="the inputs have changed during the run"):
        score_users(workspace, request, begin_run(workspace, "score"), at_work)
    assert published(server) == whole


def test_no_secret_of_the_store_is_in_any_file_of_the_workspace(
    published_workspace: Path, server: S3
) -> None:
    (published_workspace / "settings/.secrets.toml").write_text(
        f'[default.storage.s3]\nkey = "shop-key"\nsecret = "{SECRET}"\nendpoint_url = "{server.address}"\n'
    )
    assert run(published_workspace, "score", "--date", DAY, "--force") == ExitCode.OK
    files = [
        file for file in published_workspace.rglob("*") if file.is_file() and file.name != ".secrets.toml"
    ]
    assert not [file for file in files if SECRET.encode() in file.read_bytes()]
    assert not [key for key in server.keys() if SECRET.encode() in server.read(key)]


def test_what_no_longer_counts_stays_a_day_and_then_goes(published_workspace: Path, server: S3) -> None:
    first = str(current(server, LISTS)["key"])
    server.write(
        f"{LISTS}/20260101T000000-score-00aa00/recommendations.parquet", b"of a run that was killed long ago"
    )
    for places in ("6", "7"):
        assert run(published_workspace, "score", "--date", DAY, "--top-k", places) == ExitCode.OK
    kept = {key.split("/")[2] for key in server.keys(f"{LISTS}/")}
    assert first in kept and str(current(server, LISTS)["key"]) in kept
    assert "20260101T000000-score-00aa00" not in kept


@pytest.mark.parametrize(
    ("setting", "code", "words"),
    [
        ("output.models=gs://shop/models", ExitCode.USAGE, "pip install 'recsys-cli[gs]'"),
        ("data.interactions.path=az://shop/events.parquet", ExitCode.USAGE, "pip install 'recsys-cli[az]'"),
        (
            "data.interactions.path=ftp://shop/events.parquet",
            ExitCode.USAGE,
            "there are s3, gs, az, https, http",
        ),
        (
            "data.interactions.path=s3://user:geheim@shop/x",
            ExitCode.USAGE,
            "storage.s3 in settings/.secrets.toml",
        ),
        ("data.interactions.path=s3://shop/../x.parquet", ExitCode.USAGE, "s3://bucket/folder/file"),
        (
            "output.recommendations=https://shop.example/lists",
            ExitCode.USAGE,
            "results cannot be written to https",
        ),
        ("output.runs=s3://shop/runs", ExitCode.USAGE, "must be a folder on this machine"),
    ],
)
def test_a_uri_that_cannot_be_used_is_refused_with_what_helps(
    refused: Callable[..., str], setting: str, code: ExitCode, words: str
) -> None:
    output = refused(code, "--set", setting, "score", "--date", DAY, "--force")
    assert words in " ".join(output.split()) and "geheim" not in output

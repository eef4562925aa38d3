"""Records with right seals and wrong fields: told as damaged, and what is sound beside them still works."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode
from recsys_cli.utils.storage.json_files import write_sealed_json

Refused = Callable[..., str]
Capture = pytest.CaptureFixture[str]
DAY = "2026-03-02"
RUN = "20260302T030000-score-0a1b2c"
RECORD: dict[str, Any] = {
    "schema_version": 1,
    "run_id": RUN,
    "command": "score",
    "status": "failed",
    "date": DAY,
    "started": "2026-03-02T03:00:00+00:00",
    "ended": "2026-03-02T03:00:09+00:00",
}


def version_of(workspace: Path) -> str:
    return str(json.loads((workspace / "models/promoted.json").read_text())["history"][-1])


def changed(file: Path, **values: object) -> None:
    record = json.loads(file.read_text())
    del record["seal"]
    write_sealed_json(file, record | values)


def another_version(workspace: Path) -> str:
    """Copy the model under another name, which its manifest has, too."""
    name = f"{DAY}-00000000"
    shutil.copytree(workspace / "models" / version_of(workspace), workspace / "models" / name)
    changed(workspace / f"models/{name}/manifest.json", version=name)
    return name


def done(workspace: Path, capsys: Capture, *args: str) -> tuple[Any, str]:
    capsys.readouterr()
    assert main(["-C", str(workspace), "--json", *args]) == ExitCode.OK
    out, err = capsys.readouterr()
    return json.loads(out), err


@pytest.mark.parametrize("damage", ["forged", "pipe", "folder"])
def test_one_damaged_version_stops_no_other(workspace: Path, capsys: Capture, damage: str) -> None:
    sound, wrong = version_of(workspace), another_version(workspace)
    manifest = workspace / f"models/{wrong}/manifest.json"
    if damage == "forged":
        changed(manifest, events=-1)
    else:
        manifest.unlink()
        {"pipe": os.mkfifo, "folder": os.mkdir}[damage](manifest)
    listed, _ = done(workspace, capsys, "models", "list")
    assert [one["version"] for one in listed["models"]] == [sound]
    assert [one["version"] for one in listed["damaged"]] == [wrong]
    assert "the model's manifest cannot be read: " in listed["damaged"][0]["error"]
    assert main(["-C", str(workspace), "models", "list"]) == ExitCode.OK
    out, err = capsys.readouterr()
    assert "damaged" in next(line for line in out.splitlines() if wrong in line) and str(manifest) in err
    assert main(["-q", "-C", str(workspace), "models", "promote", wrong, "--force"]) == ExitCode.MODEL
    for command in (["models", "promote", sound, "--force"], ["report", DAY], ["score", "--date", DAY]):
        assert main(["-q", "-C", str(workspace), *command]) == ExitCode.OK


def test_a_rollback_passes_no_damaged_version_and_promotes_a_sound_one(workspace: Path) -> None:
    first, second = version_of(workspace), another_version(workspace)
    pointer = workspace / "models/promoted.json"
    history = {"schema_version": 1, "history": [first, second], "forced": []}
    write_sealed_json(pointer, history)
    manifest = workspace / f"models/{second}/manifest.json"
    changed(manifest, trees=10**30)  # the one that scores now
    assert main(["-q", "-C", str(workspace), "models", "rollback"]) == ExitCode.OK
    assert version_of(workspace) == first
    write_sealed_json(pointer, {"schema_version": 1, "history": [second, first], "forced": []})
    assert main(["-q", "-C", str(workspace), "models", "rollback"]) == ExitCode.MODEL
    assert version_of(workspace) == first


def test_a_manifest_of_another_version_is_refused(workspace: Path, refused: Refused) -> None:
    version = version_of(workspace)
    manifest = workspace / f"models/{version}/manifest.json"
    changed(manifest, version=f"{DAY}-elsewhere")
    message = refused(ExitCode.MODEL, "score", "--date", DAY)
    assert f"the manifest is that of another version, {DAY}-elsewhere" in message and str(manifest) in message
    refused(ExitCode.MODEL, "models", "show")
    refused(ExitCode.MODEL, "models", "promote", version, "--force")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("trained_through", "0001-01-01"),
        ("trained_through", "2026-02-01"),
        ("trained_through", "20260302"),
        ("created", "2026-03-02T03:00:00"),
        ("events", 2**53 + 1),
        ("events", True),
        ("trees", 1.5),
        ("run_id", "../../x"),
        ("seconds", {"read": -1.0}),
        ("feature_importance", {"a": 1e300}),
        ("warm_start_of", "../x"),
        ("files", {"../x": "0" * 64}),
        ("libraries", {"polars": 2}),
    ],
)
def test_a_field_out_of_its_bounds_is_refused(
    workspace: Path, refused: Refused, key: str, value: object
) -> None:
    changed(workspace / f"models/{version_of(workspace)}/manifest.json", **{key: value})
    assert "the model's manifest cannot be read: " in refused(ExitCode.MODEL, "models", "show")


def test_a_number_that_is_none_is_refused_wherever_it_stands(workspace: Path, refused: Refused) -> None:
    changed(workspace / f"models/{version_of(workspace)}/manifest.json", unknown=float("nan"))
    assert "the model's manifest cannot be read: " in refused(ExitCode.MODEL, "models", "show")


@pytest.mark.parametrize(
    "wrong",
    [
        {"users": 10**30},
        {"rows": -1},
        {"started": "2026-03-02T03:00:00"},
        {"ended": "9999-12-31T23:59:59-14:00"},
        {"date": "2026-W10-1"},
        {"run_id": "20260302T030000-score-ffffff"},
        {"stages": [{"name": "read", "seconds": float("inf"), "peak_bytes": 1}]},
        {"process": {"host": "x", "pid": -1}},
        {"sha256": "../x"},
    ],
)
def test_a_forged_run_record_is_told_of_and_stops_no_list(
    workspace: Path, capsys: Capture, wrong: dict[str, Any]
) -> None:
    for run, more in ((RUN, wrong), (f"{RUN[:-6]}000000", {"run_id": f"{RUN[:-6]}000000"})):
        file = workspace / f"runs/{run}/run.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(RECORD | more))
    listed, _ = done(workspace, capsys, "runs", "list")
    assert [one["run_id"] for one in listed["runs"]] == [f"{RUN[:-6]}000000"]
    assert main(["-C", str(workspace), "runs", "show", RUN]) == ExitCode.USAGE
    assert f"the record of the run '{RUN}' cannot be read: " in capsys.readouterr().err
    assert main(["-q", "-C", str(workspace), "report", DAY]) == ExitCode.OK


def test_a_publication_leads_to_no_record_outside_of_the_runs(workspace: Path, capsys: Capture) -> None:
    manifest = workspace / f"recommendations/date={DAY}/manifest.json"
    changed(manifest, run_id="../../elsewhere")
    assert main(["-C", str(workspace), "report", DAY]) == ExitCode.USAGE
    assert main(["-C", str(workspace), "verify", DAY]) == ExitCode.CHECK
    assert "manifest.json cannot be trusted: run_id" in capsys.readouterr().err
    assert main(["-q", "-C", str(workspace), "verify", DAY, "--repair"]) == ExitCode.OK


@pytest.mark.parametrize("wrong", [{"index": "nowhere"}, {"top_k": 0}, {"top_k": 2**40}])
def test_a_publication_whose_terms_no_run_has_is_not_explained(
    workspace: Path, capsys: Capture, wrong: dict[str, Any]
) -> None:
    changed(workspace / f"recommendations/date={DAY}/manifest.json", **wrong)
    assert main(["-C", str(workspace), "explain", "--date", DAY]) == ExitCode.USAGE
    assert "this is a bug" not in capsys.readouterr().err


def test_a_gate_that_nobody_knows_is_left_out_of_a_report(workspace: Path, capsys: Capture) -> None:
    manifest = workspace / f"recommendations/date={DAY}/manifest.json"
    changed(manifest, gates={"unheard_of": 1.0, "min_users": 60})
    report, _ = done(workspace, capsys, "report", DAY)
    assert [(gate["setting"], gate["figure"]) for gate in report["gates"]] == [("min_users", 60)]


def test_lists_under_another_date_are_not_those_of_that_date(workspace: Path, capsys: Capture) -> None:
    lists = workspace / "recommendations"
    shutil.copytree(lists / f"date={DAY}", lists / "date=2026-03-03")
    assert main(["-C", str(workspace), "report", "2026-03-03"]) == ExitCode.USAGE
    assert "nothing is published for 2026-03-03" in capsys.readouterr().err


@pytest.mark.parametrize(
    "wrong",
    [
        {"files": {"../../data/users.parquet": "0" * 64}},
        {"date": "2026-03-01"},
        {"content_hash": "0" * 64},
        {"user_features": ["unheard_of"]},
        {"user_features": ["age"]},
        {"events": -1},
    ],
)
def test_forged_features_are_built_again(workspace: Path, wrong: dict[str, Any]) -> None:
    manifest = workspace / f"features/date={DAY}/manifest.json"
    sound = json.loads(manifest.read_text())
    changed(manifest, **wrong)
    assert main(["-q", "-C", str(workspace), "score", "--date", DAY, "--force"]) == ExitCode.OK
    assert json.loads(manifest.read_text()) == sound


@pytest.mark.parametrize("to", ["report.html", "nowhere"])
def test_a_page_takes_the_place_of_a_link_that_leads_nowhere(workspace: Path, to: str) -> None:
    page = workspace / "report.html"
    page.symlink_to(to)
    assert main(["-q", "-C", str(workspace), "report", DAY, "--html", str(page)]) == ExitCode.OK
    assert not page.is_symlink() and page.read_text().startswith("<!doctype html>")


def test_users_come_from_a_file_and_not_from_a_pipe(workspace: Path, refused: Refused) -> None:
    pipe = workspace / "users"
    os.mkfifo(pipe)
    message = refused(ExitCode.USAGE, "score", "--date", DAY, "--users", str(pipe))
    assert "the file of users cannot be read: it is a pipe (FIFO), not a regular file" in message


def test_secrets_that_are_a_link_to_nowhere_are_not_passed_over(workspace: Path, refused: Refused) -> None:
    (workspace / "settings/.secrets.toml").symlink_to("nowhere")
    message = refused(ExitCode.USAGE, "models", "list")
    assert "the file cannot be read: No such file or directory" in message and ".secrets.toml" in message


def test_features_that_name_fewer_columns_than_the_model_needs_are_built_again(
    workspace: Path, capsys: Capture
) -> None:
    explained, _ = done(workspace, capsys, "explain", "u02", "--date", DAY)
    changed(workspace / f"features/date={DAY}/manifest.json", item_features=["genre"])  # without price
    again, _ = done(workspace, capsys, "explain", "u02", "--date", DAY)
    assert again["recommendations"] == explained["recommendations"]
    manifest = json.loads((workspace / f"features/date={DAY}/manifest.json").read_text())
    assert manifest["item_features"] == ["price", "genre"]

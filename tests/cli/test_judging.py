"""Models and lists are judged by what fits the data: the model's own figures, enough users, the same rows."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recsys_cli.cli.app import main
from recsys_cli.models.versions.manifest_schema import ModelManifest
from recsys_cli.models.versions.registry import shortfall
from recsys_cli.utils.errors import ExitCode
from recsys_cli.utils.storage.json_files import read_sealed_json, write_sealed_json

DAY = "2026-03-02"
JUDGED = ("--set", "gates.from_users=60")  # all of the workspace


def manifest_file(workspace: Path) -> Path:
    (file,) = (workspace / "models").glob("*/manifest.json")
    return file


def change_manifest(workspace: Path, change: Callable[[dict[str, Any]], object]) -> None:
    manifest = read_sealed_json(manifest_file(workspace))
    change(manifest)
    write_sealed_json(manifest_file(workspace), manifest)


def run(workspace: Path, *args: str) -> int:
    return main(["-C", str(workspace), *args])


def test_learnt_vectors_are_held_to_what_the_training_measured(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert 0.5 < json.loads(manifest_file(workspace).read_text())["own_item_auc"] <= 1
    score = (*JUDGED, "score", "--date", DAY, "--force")
    assert run(workspace, *score) == ExitCode.OK
    change_manifest(workspace, lambda manifest: manifest.update(own_item_auc=0.9998))

    assert run(workspace, *score, "--set", "gates.min_own_item_auc=1") == ExitCode.CHECK

    assert "below gates.min_own_item_auc = 0.9998" in capsys.readouterr().err
    change_manifest(workspace, lambda manifest: manifest.update(own_item_auc=0.51))
    assert run(workspace, *score, "--set", "gates.min_own_item_auc=1") == ExitCode.OK  # nothing to lose
    change_manifest(workspace, lambda manifest: manifest.pop("own_item_auc"))
    assert run(workspace, *score) == ExitCode.OK  # a model of before


def test_too_few_users_of_a_holdout_decide_nothing(workspace: Path) -> None:
    found = json.loads(manifest_file(workspace).read_text())
    found["exam"]["against_popularity"]["difference"] = -0.01

    found["exam"]["users"] = 8
    assert "the 8 users of the days from" in shortfall(ModelManifest.read(found))
    assert "too few to decide whether it beats recent popularity" in shortfall(ModelManifest.read(found))
    found["exam"]["users"] = 30
    assert "it does not beat recent popularity" in shortfall(ModelManifest.read(found))


def test_another_row_filter_is_another_model(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cheap = ("--set", "data.items.filter=price >= 0")

    assert run(workspace, "score", "--date", DAY, *cheap) == ExitCode.MODEL

    expected = "data.items.filter: trained with 'nothing'; now 'price >= 0'"
    assert expected in capsys.readouterr().err
    assert run(workspace, "check", "--date", DAY, *cheap) == ExitCode.CHECK
    assert expected in capsys.readouterr().out
    change_manifest(workspace, lambda manifest: manifest.pop("reading"))
    assert run(workspace, "score", "--date", DAY, *cheap) == ExitCode.OK  # a model of before knows none


def test_a_source_that_the_model_was_not_trained_with_is_not_asked_for_its_delivery(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    external = ("--set", "candidates.external.path=external/{date}.parquet")

    assert run(workspace, "score", "--date", DAY, "--force", *external) == ExitCode.OK

    assert "external candidates are not read: model" in capsys.readouterr().err
    assert run(workspace, "train", "--date", DAY, *external) == ExitCode.INPUT


def test_the_next_command_is_one_that_can_succeed(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(workspace, "features", "--date", DAY) == ExitCode.OK
    assert f"next: recsys score --date {DAY}" in capsys.readouterr().err
    assert run(workspace, "features", "--date", "2026-03-01") == ExitCode.OK  # the model has seen that day
    assert "next: recsys train --date 2026-03-01" in capsys.readouterr().err


def test_ages_are_in_the_manifest_and_the_summary(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(workspace, "score", "--date", DAY, "--force") == ExitCode.OK

    manifest = json.loads((workspace / f"recommendations/date={DAY}/manifest.json").read_text())
    features = json.loads((workspace / f"features/date={DAY}/manifest.json").read_text())
    assert manifest["model_age_days"] == 0
    assert manifest["newest_event_age_days"] == features["newest_event_age_days"]
    assert f"newest event: {manifest['newest_event_age_days']:.1f} days" in capsys.readouterr().out

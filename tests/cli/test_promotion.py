"""A model earns its promotion in a holdout; its scores are what the settings of its training say."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode
from recsys_cli.utils.storage.json_files import read_sealed_json

Refused = Callable[..., str]
DAY = "2026-03-02"
BLIND = (
    "--set",
    "ranker.label_days=14",
    "--set",
    'ranker.feature_groups=["users"]',
)  # knows the users alone: no item is better than another


def pointer(workspace: Path) -> dict[str, Any]:
    return read_sealed_json(workspace / "models/promoted.json")


def versions(workspace: Path) -> set[str]:
    return {manifest.parent.name for manifest in (workspace / "models").glob("*/manifest.json")}


def manifest_of(workspace: Path, version: str) -> dict[str, Any]:
    output: dict[str, Any] = json.loads((workspace / "models" / version / "manifest.json").read_text())
    return output


def run(workspace: Path, *args: str) -> int:
    return main(["-q", "-C", str(workspace), *args])


@pytest.fixture
def loser(workspace: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """A version that does not beat recent popularity, kept and not promoted."""
    before, scoring = versions(workspace), pointer(workspace)
    assert run(workspace, "train", "--date", DAY, *BLIND) == ExitCode.CHECK
    (version,) = versions(workspace) - before
    message = capsys.readouterr().err
    assert f"model {version} is stored but not promoted" in message and "does not beat recent" in message
    assert pointer(workspace) == scoring
    return version


def test_a_version_that_loses_to_popularity_is_promoted_by_force_alone(
    workspace: Path, loser: str, refused: Refused
) -> None:
    before = pointer(workspace)["history"]
    duel = manifest_of(workspace, loser)["exam"]["against_popularity"]
    assert duel["difference"] <= 0 and duel["against"].startswith("popular_")

    message = refused(ExitCode.CHECK, "models", "promote", loser)

    assert f"{duel['difference']:+.4f} against {duel['against']}" in message and "--force" in message
    assert run(workspace, "models", "promote", loser, "--force") == ExitCode.OK
    assert pointer(workspace) | {"schema_version": 1} == {
        "schema_version": 1,
        "history": [*before, loser],
        "forced": [loser],
    }
    assert run(workspace, "score", "--date", DAY) == ExitCode.OK


def test_a_version_that_beats_popularity_is_promoted_without_force(workspace: Path) -> None:
    (version,) = versions(workspace)
    output = pointer(workspace)
    assert output["history"] == [version] and output["forced"] == []
    assert manifest_of(workspace, version)["exam"]["against_popularity"]["difference"] > 0


def test_the_manifest_shows_how_the_model_did_and_of_what_it_is_made(workspace: Path) -> None:
    (version,) = versions(workspace)
    output = manifest_of(workspace, version)
    holdout = output["exam"]
    assert holdout["first_day"] == "2026-02-23" and holdout["k"] == 10 and holdout["users"] > 20
    assert {"two stages", "blend", "lightfm", "popular_7d", "ease", "content"} <= set(holdout["models"])
    assert [one["metric"] for one in holdout["comparisons"]] == ["NDCG@10", "MAP@10"]
    for one in (*holdout["comparisons"], holdout["against_popularity"]):
        assert one["low"] <= one["difference"] <= one["high"]
    difference = holdout["models"]["two stages"]["NDCG@10"] - max(
        measures["NDCG@10"] for name, measures in holdout["models"].items() if name.startswith("popular_")
    )
    assert holdout["against_popularity"]["difference"] == pytest.approx(difference)
    assert set(output["feature_importance"]) == set(output["ranker"]["columns"])
    assert sum(output["feature_importance"].values()) == pytest.approx(100, abs=0.5)
    assert [one["first_day"] for one in output["label_windows"]] == ["2026-02-16", "2026-02-23"]
    assert {"LightFM", "similarities", "features", "ranker", "holdout"} <= set(output["seconds"])


def published(workspace: Path) -> pl.DataFrame:
    return pl.read_parquet(workspace / f"recommendations/date={DAY}/recommendations.parquet")


def raw_scores(workspace: Path, user: str, capsys: pytest.CaptureFixture[str]) -> list[float]:
    assert main(["-C", str(workspace), "explain", user, "--date", DAY, "--json"]) == ExitCode.OK
    return [row["raw_score"] for row in json.loads(capsys.readouterr().out)["recommendations"]]


def test_a_score_is_the_calibrated_probability(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (version,) = versions(workspace)
    calibration = manifest_of(workspace, version)["ranker"]["calibration"]
    for user in ("u01", "u33"):
        raw = np.array(raw_scores(workspace, user, capsys))
        expected = 1 / (1 + np.exp(-(calibration["slope"] * raw + calibration["intercept"])))
        scores = published(workspace).filter(pl.col("user_id") == user)["score"]
        np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_raw_scores_are_published_where_a_model_was_trained_so(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = published(workspace)
    assert run(workspace, "train", "--date", DAY, "--set", "ranker.score=raw") == ExitCode.OK
    assert run(workspace, "score", "--date", DAY) == ExitCode.OK
    after = published(workspace)
    assert after["score"].min() < 0 and not after["score"].equals(before["score"])
    assert after.select("user_id", "item_id", "rank").equals(before.select("user_id", "item_id", "rank"))
    raw = raw_scores(workspace, "u01", capsys)
    assert after.filter(pl.col("user_id") == "u01")["score"].to_list() == pytest.approx(raw)


def test_a_training_again_uses_the_kept_fits(workspace: Path) -> None:
    fits = {path: path.read_bytes() for path in (workspace / "models/.fits").iterdir()}
    assert len(fits) == 3  # two label windows, and everything
    one, *_ = fits
    one.write_bytes(b"no archive")
    known = versions(workspace)
    assert run(workspace, "train", "--date", DAY) == ExitCode.OK
    assert versions(workspace) == known  # the same bytes, with one fit made again
    assert set((workspace / "models/.fits").iterdir()) == set(fits)
    assert one.stat().st_size == len(fits[one])


def test_a_pointer_that_cannot_be_read_is_told_before_a_training(workspace: Path, refused: Refused) -> None:
    (workspace / "models/promoted.json").write_text("{}")
    message = refused(ExitCode.MODEL, "train", "--date", DAY, "--set", "ranker.depth=3")
    assert "the pointer to the promoted model cannot be read" in message


def test_promoting_the_promoted_version_removes_what_a_killed_command_left(workspace: Path) -> None:
    before = pointer(workspace)
    left = workspace / "models/.promoted.json.0123456789abcdef.part"
    left.touch()
    assert run(workspace, "models", "promote", before["history"][-1], "--force") == ExitCode.OK
    assert not left.exists()
    assert pointer(workspace) == before

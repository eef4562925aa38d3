"""Publish gates: lists that fail them replace none."""

import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode
from recsys_cli.utils.storage.json_files import write_sealed_json

DAY, NEXT = "2026-03-02", "2026-03-03"
FILE = "recommendations.parquet"
JUDGED = ("--set", "gates.from_users=60")  # all of the workspace


def published(workspace: Path, day: str = DAY) -> dict[str, bytes]:
    """Return what readers of a day's lists see."""
    folder = workspace / f"recommendations/date={day}"
    return {file.name: file.read_bytes() for file in folder.iterdir()} if folder.exists() else {}


def rejected(workspace: Path) -> Path:
    (file,) = (workspace / "runs").glob("*-score-*/rejected.parquet")
    return file


def with_strangers(workspace: Path) -> None:
    """Add six users of whom nothing is known."""
    users = pl.read_parquet(workspace / "data/users.parquet")
    new = pl.DataFrame({"user_id": [f"new{number}" for number in range(6)]})
    pl.concat([users, new], how="diagonal").write_parquet(workspace / "data/users.parquet")


def full_lists(lists: pl.DataFrame, _: Path) -> float:
    return float((lists["rank"] == 30).sum() / 66)


def fallback_rows(lists: pl.DataFrame, _: Path) -> float:
    names = lists["sources"].str.split(",")
    popular = names.list.eval(pl.element().str.starts_with("popular")).list.all()
    return float(popular.sum() / len(lists))


def coverage(lists: pl.DataFrame, _: Path) -> float:
    return float(lists["item_id"].n_unique() / 40)  # of items that may be recommended


def top_item_share(lists: pl.DataFrame, _: Path) -> float:
    most = max(len(rows) for _, rows in lists.group_by("item_id"))
    return float(most / lists["user_id"].n_unique())


def overlap(lists: pl.DataFrame, workspace: Path) -> float:
    """Return it as one counts it by hand: user by user, with sets; the last lists have ten places."""
    last = pl.read_parquet(workspace / f"recommendations/date={DAY}/{FILE}")
    one, other = (
        {user: set(rows["item_id"]) for (user,), rows in frame.group_by("user_id")} for frame in (lists, last)
    )
    return float(np.mean([len(one[user] & other[user]) / 10 for user in one.keys() & other.keys()]))


@pytest.mark.parametrize(
    ("setting", "bound", "places", "what", "figure"),
    [
        ("min_users", 67, 10, "users", lambda lists, _: 66),
        ("min_full_lists", 1, 30, "share of users with a full list", full_lists),
        ("max_fallback_rows", 0, 10, "share of rows of popularity alone", fallback_rows),
        ("min_catalogue_coverage", 1, 1, "catalogue coverage", coverage),
        ("max_top_item_share", 0, 10, "share of lists with the most frequent item", top_item_share),
        ("min_overlap", 1, 10, f"mean overlap with the lists of {DAY}", overlap),
    ],
)
def test_a_figure_beyond_its_bound_stops_the_lists(
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
    setting: str,
    bound: float,
    places: int,
    what: str,
    figure: Callable[[pl.DataFrame, Path], float],
) -> None:
    before = published(workspace)
    with_strangers(workspace)
    asked = ("--set", f"gates.{setting}={bound}", "score", "--date", NEXT, "--top-k", str(places))
    assert main(["-C", str(workspace), *JUDGED, *asked]) == ExitCode.CHECK
    found = figure(pl.read_parquet(rejected(workspace)), workspace)
    side = "above" if setting.startswith("max") else "below"
    err = capsys.readouterr().err
    assert f"{what}: {found:.4g}, {abs(found - bound):.4g} {side} gates.{setting} = {bound}\n" in err
    assert f"where: {rejected(workspace)}\n" in err
    assert published(workspace) == before and not published(workspace, NEXT)


def test_what_is_ranked_is_kept_for_looser_settings(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    score = ("score", "--date", DAY, "--top-k", "7")
    stopped = ("-C", str(workspace), "--set", "gates.min_users=61")
    assert main([*stopped, *score]) == ExitCode.CHECK
    refused = rejected(workspace).read_bytes()
    capsys.readouterr()
    assert main(["-v", "-C", str(workspace), *score]) == ExitCode.OK
    assert "resuming after 60 users" in capsys.readouterr().err
    assert published(workspace)[FILE] == refused
    assert not (workspace / f".recommendations.staged/date={DAY}").exists()


def test_figures_that_hold_are_in_the_manifest_and_the_summary(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-C", str(workspace), *JUDGED, "score", "--date", DAY, "--force"]) == ExitCode.OK
    lists = pl.read_parquet(workspace / f"recommendations/date={DAY}/{FILE}")
    gates = json.loads(published(workspace)["manifest.json"])["gates"]
    assert gates == {
        "min_users": 60,
        "min_full_lists": 1.0,
        "max_fallback_rows": pytest.approx(fallback_rows(lists, workspace), abs=1e-4),
        "min_catalogue_coverage": pytest.approx(coverage(lists, workspace), abs=1e-4),
        "max_top_item_share": pytest.approx(top_item_share(lists, workspace), abs=1e-4),
        "min_overlap": 1.0,
        "min_own_item_auc": pytest.approx(0.85, abs=0.15),
    }
    assert "users 60, full lists 1, " in " ".join(capsys.readouterr().out.split())


def test_runs_over_few_users_are_held_to_their_number_alone(workspace: Path) -> None:
    assert main(["-q", "-C", str(workspace), "score", "--date", NEXT]) == ExitCode.OK
    assert json.loads(published(workspace, NEXT)["manifest.json"])["gates"] == {"min_users": 60}
    some = ("score", "--date", DAY, "--users", "u01,u02", "--force")
    assert main(["-q", "-C", str(workspace), "--set", "gates.min_users=60", *some]) == ExitCode.OK


@pytest.mark.parametrize("side", ["users", "items"])
def test_a_shuffled_model_is_stopped(workspace: Path, capsys: pytest.CaptureFixture[str], side: str) -> None:
    """Random vectors in the place of the learnt ones, vouched for by the manifest."""
    before = published(workspace)
    with_random_vectors(workspace, f"lightfm_{side}_vectors.npy")
    assert main(["-C", str(workspace), *JUDGED, "score", "--date", NEXT]) == ExitCode.CHECK
    assert "area under the curve of lightfm, users' own items against others': 0." in capsys.readouterr().err
    assert published(workspace) == before and not published(workspace, NEXT)


def with_random_vectors(workspace: Path, name: str) -> None:
    (file,) = (workspace / "models").glob(f"*/{name}")
    held = io.BytesIO()
    np.save(held, np.random.default_rng(1).normal(size=np.load(file).shape).astype(np.float32))
    file.write_bytes(held.getvalue())
    manifest = json.loads(file.with_name("manifest.json").read_text())
    manifest["files"][name] = hashlib.sha256(held.getvalue()).hexdigest()
    del manifest["seal"]
    write_sealed_json(file.with_name("manifest.json"), manifest)

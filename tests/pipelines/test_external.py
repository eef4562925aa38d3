"""External candidates through the real program: a small service whose taste another team's file knows."""

import itertools
import json
import shutil
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recsys_cli.cli.app import main
from recsys_cli.configs.loader import load_settings
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.models.training.checkpoint import StepCheckpoint
from recsys_cli.models.training.context import TrainingContext
from recsys_cli.models.training.label_window import LabelWindow, TrainingTables
from recsys_cli.models.training.two_stage_training import lightfm_ahead
from recsys_cli.pipelines.workspace.inputs import read_inputs
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.utils.stage_timer import StageTimer

DAY, CUTS = date(2026, 3, 2), (date(2026, 2, 16), date(2026, 2, 23))
USERS, ITEMS, WANTED = 60, 40, 7
SETTINGS = """
[default.data.interactions]
path = "interactions.parquet"
[default.data.items]
path = "items.parquet"
[default.scoring]
exclude = "item_id = 139"
[default.evaluation]
k = 5
[default.ranker]
iterations = 10
label_days = 7
label_windows = 2
[default.candidates.lightfm]
num_candidates = 0
[default.candidates.ease]
num_candidates = 0
recent_candidates = 0
[default.candidates.item_knn]
num_candidates = 0
recent_candidates = 5
[default.candidates.popular]
num_candidates = 5
[default.candidates.external]
path = "external/date={date}/*.parquet"
num_candidates = 7
[default.candidates.external.columns]
user_id = "customer"
score = "likes"
"""


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with external candidates, a promoted model and the lists of the day."""
    root = tmp_path_factory.mktemp("external")
    (root / "settings").mkdir()
    (root / "settings/settings.toml").write_text(SETTINGS)
    rng = np.random.default_rng(7)
    _events(rng).write_parquet(root / "interactions.parquet")
    pl.DataFrame({"item_id": np.arange(100, 100 + ITEMS)}).write_parquet(root / "items.parquet")
    for day in (*CUTS, DAY):
        deliver(root, day, proposals(rng))
    assert run(root, "train", "--date", str(DAY), "--no-promote") == 0
    version = next((root / "models").glob(f"{DAY}-*")).name
    assert run(root, "models", "promote", version, "--force") == 0
    assert run(root, "score", "--date", str(DAY)) == 0
    return root


@pytest.fixture
def workspace(scored: Path, tmp_path: Path) -> Path:
    """A copy of the scored workspace, to be changed."""
    return Path(shutil.copytree(scored, tmp_path / "workspace"))


def _events(rng: np.random.Generator) -> pl.DataFrame:
    who = rng.integers(0, USERS, 1_500)
    liked = who % 4 + 4 * rng.integers(0, ITEMS // 4, len(who))
    what = np.where(rng.random(len(who)) < 0.8, liked, rng.integers(0, ITEMS, len(who)))
    begin = datetime(DAY.year, DAY.month, DAY.day) - timedelta(days=60)
    seconds = np.sort(rng.integers(0, 70 * 86_400, len(who)))
    times = [begin + timedelta(seconds=int(one)) for one in seconds]
    return pl.DataFrame({"user_id": [f"u{one:02}" for one in who], "item_id": 100 + what, "timestamp": times})


def proposals(rng: np.random.Generator) -> pl.DataFrame:
    """Every item for every second user, the user's kind on top."""
    users, items = (axis.ravel() for axis in np.meshgrid(np.arange(0, USERS, 2), np.arange(ITEMS)))
    likes = (users % 4 == items % 4) + rng.random(len(users))
    names = [f"u{one:02}" for one in users]
    return pl.DataFrame({"customer": names, "item_id": 100 + items, "likes": likes})


def deliver(root: Path, day: date, frame: pl.DataFrame) -> None:
    folder = root / f"external/date={day}"
    folder.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(folder / "part-0.parquet")


def run(root: Path, *args: str) -> int:
    return main(["-q", "-C", str(root), *args])


def published(root: Path) -> Path:
    return root / f"recommendations/date={DAY}/recommendations.parquet"


def manifest(root: Path) -> dict[str, Any]:
    output: dict[str, Any] = json.loads(published(root).with_name("manifest.json").read_text())
    return output


def opened(root: Path) -> Workspace:
    return Workspace(root, load_settings(root, None, [], settings_tree()).settings)


def test_the_source_is_named_counted_and_explained(scored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists = pl.read_parquet(published(scored))
    named = lists.filter(pl.col("sources").str.split(",").list.contains("external"))
    assert len(named) and manifest(scored)["share_by_source"]["external"] == round(len(named) / len(lists), 4)
    assert set(named["user_id"]) <= {f"u{one:02}" for one in range(0, USERS, 2)}
    assert main(["-C", str(scored), "--json", "explain", "u00", "--date", str(DAY)]) == 0
    output = [
        (one["sources"]["external"]["rank"], one["sources"]["external"]["score"], one["item_id"])
        for one in json.loads(capsys.readouterr().out)["candidates"]
        if one["sources"]["external"]["rank"]
    ]
    seen = pl.read_parquet(scored / "interactions.parquet").filter(
        (pl.col("user_id") == "u00") & (pl.col("timestamp") < datetime(2026, 3, 2))
    )
    allowed = (
        pl.read_parquet(scored / f"external/date={DAY}")
        .filter((pl.col("customer") == "u00") & ~pl.col("item_id").is_in([139, *seen["item_id"]]))
        .sort("likes", descending=True)
        .head(WANTED)
    )
    assert [item for _, _, item in sorted(output)] == allowed["item_id"].to_list()
    assert [rank for rank, _, _ in sorted(output)] == list(range(1, len(allowed) + 1))
    assert [score for _, score, _ in sorted(output)] == pytest.approx(allowed["likes"].to_list(), rel=1e-6)


def test_every_day_without_a_delivery_is_listed(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(workspace / "external")
    commands = {
        ("features",): [DAY],
        ("score",): [DAY],
        ("train",): CUTS,
        ("evaluate", "--days", "7"): [*CUTS, DAY],
        ("evaluate", "--days", "7", "--cuts", "2"): [date(2026, 2, 9), *CUTS, DAY],
    }
    for command, days in commands.items():
        before = published(workspace).read_bytes()
        assert run(workspace, *command, "--date", str(DAY)) == 3
        error = capsys.readouterr().err
        listed = f"{len(days)} of {len(days)} days: {', '.join(map(str, days))}\n"
        assert f"there are no external candidates for {listed}" in error
        assert "date={date}" in error and "candidates.external.num_candidates=0" in error
        assert published(workspace).read_bytes() == before


def test_training_needs_no_delivery_of_its_own_day(workspace: Path) -> None:
    shutil.rmtree(workspace / f"external/date={DAY}")
    assert run(workspace, "train", "--date", str(DAY), "--no-promote") == 0


def test_a_warm_start_needs_that_of_the_models_own_day(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    later = str(DAY + timedelta(days=7))
    for cut in CUTS:
        shutil.rmtree(workspace / f"external/date={cut}")
    assert run(workspace, "train", "--warm-start", "--date", later, "--no-promote") == 0
    assert len(list((workspace / "models").glob(f"{later}-*"))) == 1
    shutil.rmtree(workspace / f"external/date={DAY}")
    assert run(workspace, "train", "--warm-start", "--date", later, "--no-promote") == 3
    assert f"no external candidates for 1 of 1 days: {DAY}" in capsys.readouterr().err


def test_left_out_it_needs_no_file_and_another_model(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A ranker that has learnt to read the source is no ranker without it."""
    shutil.rmtree(workspace / "external")
    off = ("--set", "candidates.external.num_candidates=0")
    assert run(workspace, *off, "score", "--date", str(DAY)) == 4
    assert "candidates.external: trained with this source; now it is off" in capsys.readouterr().err
    assert run(workspace, *off, "check", "--date", str(DAY)) == 1
    assert "trained with this source" in " ".join(capsys.readouterr().out.split())
    assert run(workspace, *off, "train", "--date", str(DAY), "--no-promote") == 0
    version = (
        set((workspace / "models").glob("2*")) - {workspace / "models" / manifest(workspace)["model_version"]}
    ).pop()
    assert run(workspace, *off, "models", "promote", version.name, "--force") == 0
    assert run(workspace, *off, "score", "--date", str(DAY)) == 0
    assert "external" not in manifest(workspace)["share_by_source"]


def test_evaluate_can_leave_it_out(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(workspace / "external")
    options = ("evaluate", "--date", str(DAY), "--days", "7", "--without", "external")
    assert main(["-C", str(workspace), "--json", *options]) == 0
    assert "external" not in json.loads(capsys.readouterr().out)["budget"]["by_source"]


def test_evaluate_judges_it_alone(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-C", str(workspace), "--json", "evaluate", "--date", str(DAY), "--days", "7"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["budget"]["by_source"]["external"]["recall"] > 0
    assert "external" in found["models"]


def test_deliveries_of_other_days_change_no_byte(workspace: Path) -> None:
    before = published(workspace).read_bytes()
    for other in (*CUTS, DAY + timedelta(days=1), DAY + timedelta(days=7)):
        deliver(workspace, other, proposals(np.random.default_rng(99)))
    for folder in ("features", "recommendations"):
        shutil.rmtree(workspace / folder)
    assert run(workspace, "score", "--date", str(DAY)) == 0
    assert published(workspace).read_bytes() == before


def test_another_delivery_of_the_day_is_scored_anew(workspace: Path) -> None:
    before = manifest(workspace)
    assert run(workspace, "score", "--date", str(DAY)) == 0
    assert manifest(workspace) == before  # already complete
    deliver(workspace, DAY, proposals(np.random.default_rng(99)))
    assert run(workspace, "score", "--date", str(DAY)) == 0
    assert manifest(workspace)["features_content_hash"] != before["features_content_hash"]
    assert manifest(workspace)["key"] != before["key"]


def test_a_training_frame_is_made_of_its_own_cuts_delivery_alone(workspace: Path, tmp_path: Path) -> None:
    count = itertools.count()

    def frame(cut: date) -> pl.DataFrame:
        there = opened(workspace)
        tables = read_inputs(there, DAY, feature_days=[*CUTS, DAY])
        context = TrainingContext(
            there.settings, 1, StageTimer(), StepCheckpoint(tmp_path / f"steps-{next(count)}")
        )
        with lightfm_ahead(TrainingTables.of(tables, there.settings), CUTS, context, final=False) as fits:
            known = TrainingTables.of(tables, there.settings)
            return LabelWindow(cut, known, context, fits.result).rows().frame()

    before = [frame(cut) for cut in CUTS]
    assert all(one["external_rank"].is_not_nan().sum() > 0 for one in before)
    for other in (CUTS[1], DAY):
        deliver(workspace, other, proposals(np.random.default_rng(99)))
    assert_frame_equal(frame(CUTS[0]), before[0], check_exact=True)
    assert not frame(CUTS[1])["external_score"].equals(before[1]["external_score"])


def test_the_same_training_twice_gives_the_same_model(workspace: Path) -> None:
    assert run(workspace, "train", "--date", str(DAY), "--no-promote") == 0
    assert [folder.name for folder in (workspace / "models").glob("2*")] == [
        manifest(workspace)["model_version"]
    ]
    deliver(workspace, CUTS[0], proposals(np.random.default_rng(99)))
    assert run(workspace, "train", "--date", str(DAY), "--no-promote") == 0
    assert len(list((workspace / "models").glob("2*"))) == 2


def test_bad_rows_and_columns_stop_a_run_with_all_of_them(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = proposals(np.random.default_rng(1))
    deliver(workspace, CUTS[0], good.rename({"customer": "client"}))
    deliver(
        workspace, CUTS[1], pl.concat([good, good.head(3), good.head(1).with_columns(likes=float("nan"))])
    )
    assert run(workspace, "train", "--date", str(DAY)) == 3
    error = capsys.readouterr().err
    assert "3 problems with the inputs" in error
    assert "column 'customer' is missing" in error and "did you mean 'item_id'" not in error
    assert "4 of 1,204 rows repeat the user and item of another row" in error
    assert "1 of 1,204 rows lack a finite score" in error


def test_unknown_ids_are_dropped_and_counted(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = pl.DataFrame({"customer": ["U00", "u00"], "item_id": [100, 9_999], "likes": [5.0, 6.0]})
    deliver(workspace, DAY, pl.concat([proposals(np.random.default_rng(1)), more]))
    assert main(["-C", str(workspace), "score", "--date", str(DAY)]) == 0
    output = f"2 of 1,202 external candidates of {DAY} are dropped: 1 users and 1 items in them are unknown"
    assert output in capsys.readouterr().err.replace("\n", " ")
    assert 9_999 not in pl.read_parquet(published(workspace))["item_id"].to_list()


def test_check_shows_what_the_day_and_a_training_would_lack(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def problems(status: int) -> list[tuple[str, str]]:
        assert main(["-C", str(workspace), "--json", "check", "--date", str(DAY)]) == status
        found = json.loads(capsys.readouterr().out)["problems"]
        return [(one["severity"], one["what"]) for one in found]

    assert problems(0) == []
    shutil.rmtree(workspace / f"external/date={CUTS[0]}")
    lacks = "there are no external candidates for 1 of"
    doubt = ("warning", f"`train --date {DAY}` would stop: {lacks} 2 days: {CUTS[0]}")
    assert problems(0) == [doubt]
    deliver(workspace, DAY, proposals(np.random.default_rng(1)).drop("likes"))
    assert problems(1)[1:] == [doubt] and "column 'likes' is missing" in problems(1)[0][1]
    shutil.rmtree(workspace / f"external/date={DAY}")
    assert problems(1) == [("error", f"{lacks} 1 days: {DAY}"), doubt]


TWICE = [
    (
        '{user_id = "customer", item_id = "customer"}',
        "user_id and item_id are both read from the column 'customer'",
    ),
    (
        '{user_id = "customer", score = "item_id"}',
        "item_id and score are both read from the column 'item_id'",
    ),
    (
        '{user_id = "customer", score = "rank"}',
        "score and rank are both read from the column 'rank': name another",
    ),
    ('{user_id = ""}', "user_id must name a column"),
]


@pytest.mark.parametrize(("columns", "words"), TWICE)
def test_a_column_is_read_once(
    workspace: Path, capsys: pytest.CaptureFixture[str], columns: str, words: str
) -> None:
    assert run(workspace, "--set", f"candidates.external.columns={columns}", "check", "--date", str(DAY)) == 2
    assert words in capsys.readouterr().err


def test_a_column_of_another_meaning_is_left_alone(workspace: Path) -> None:
    for day in (*CUTS, DAY):
        deliver(workspace, day, proposals(np.random.default_rng(7)).rename({"likes": "rank"}))
    columns = '{user_id = "customer", score = "rank", rank = ""}'
    assert run(workspace, "--set", f"candidates.external.columns={columns}", "check", "--date", str(DAY)) == 0


def test_one_file_for_all_days_is_refused(workspace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(workspace, "--set", "candidates.external.path=all.parquet", "score", "--date", str(DAY)) == 2
    assert "must contain {date}" in capsys.readouterr().err

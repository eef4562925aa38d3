"""The nightly job on real data, through the real program: a gift shop as of 2010-11-26."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from recsys_cli.cli.app import main

DAY = "2010-11-26"
SETTINGS = """
[default.data.interactions]
path = "interactions.parquet"
[default.data.users]
path = "{data}/users.parquet"
features = ["country"]
[default.data.items]
path = "{data}/items.parquet"
features = ["price", "range", "words"]
[default.candidates.lightfm]
epochs = 5
no_components = 16
[default.ranker]
iterations = 50
learning_rate = 0.1
label_windows = 2
"""


@pytest.fixture(scope="module")
def scored(retail_sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with a trained model and the published lists of the day."""
    workspace = tmp_path_factory.mktemp("shop")
    (workspace / "settings").mkdir()
    (workspace / "settings/settings.toml").write_text(SETTINGS.format(data=retail_sample))
    shutil.copy(retail_sample / "interactions.parquet", workspace)
    assert main(["-q", "-C", str(workspace), "train", "--date", DAY]) == 0
    assert main(["-q", "-C", str(workspace), "score", "--date", DAY]) == 0
    return workspace


@pytest.fixture
def workspace(scored: Path, tmp_path: Path) -> Path:
    """A copy of the scored workspace, to be changed."""
    return Path(shutil.copytree(scored, tmp_path / "workspace"))


def published(workspace: Path) -> Path:
    return workspace / f"recommendations/date={DAY}/recommendations.parquet"


def manifest(workspace: Path) -> dict[str, Any]:
    output: dict[str, Any] = json.loads(published(workspace).with_name("manifest.json").read_text())
    return output


def events_before(workspace: Path) -> pl.DataFrame:
    return pl.read_parquet(workspace / "interactions.parquet").filter(
        pl.col("timestamp") < pl.lit(DAY).str.to_datetime()
    )


def score(workspace: Path, *options: str) -> int:
    return main(["-q", "-C", str(workspace), "score", "--date", DAY, *options])


def test_every_user_has_ten_ranked_new_items(scored: Path) -> None:
    lists = pl.read_parquet(published(scored))
    seen = events_before(scored).select("user_id", "item_id").unique()
    known = set(pl.read_parquet(scored / "interactions.parquet")["user_id"])  # the users table has no others
    per_user = lists.group_by("user_id").agg(
        pl.len(), pl.col("rank"), pl.col("score"), pl.col("item_id").n_unique()
    )
    assert set(per_user["user_id"]) == known
    assert set(per_user["len"]) == {10} and set(per_user["item_id"]) == {10}
    assert all(ranks == list(range(1, 11)) for ranks in per_user["rank"].to_list())
    assert all(scores == sorted(scores, reverse=True) for scores in per_user["score"].to_list())
    assert lists.join(seen, on=["user_id", "item_id"]).is_empty()
    popular = [f"popular_{one}" for one in ("7d", "14d", "30d", "segment")]
    similar = [f"{one}{kind}" for one in ("bm25", "cosine", "ease") for kind in ("", "_recent")]
    output = set(lists["sources"].str.split(",").explode())
    assert output <= {"lightfm", "content", *popular, *similar} and len(output) > 6
    assert lists.equals(lists.sort("user_id", "rank"))


def test_users_without_events_before_the_day_get_lists_too(scored: Path) -> None:
    cold = set(pl.read_parquet(published(scored))["user_id"]) - set(events_before(scored)["user_id"])
    assert len(cold) == manifest(scored)["cold_users"] > 0


def _without(events: pl.DataFrame, future: pl.Expr) -> pl.DataFrame:
    return events.filter(~future)


def _changed(events: pl.DataFrame, future: pl.Expr) -> pl.DataFrame:
    return events.with_columns(pl.when(future).then(pl.lit("999999")).otherwise("item_id").alias("item_id"))


def _added(events: pl.DataFrame, future: pl.Expr) -> pl.DataFrame:
    more = events.filter(future).with_columns(
        pl.col("user_id") + 50_000, pl.lit(DAY).str.to_datetime().alias("timestamp")
    )
    return pl.concat([more, events.reverse()])


@pytest.mark.parametrize("change", [_without, _changed, _added])
def test_events_on_or_after_the_day_change_no_byte(
    workspace: Path, change: Callable[[pl.DataFrame, pl.Expr], pl.DataFrame]
) -> None:
    before = published(workspace).read_bytes()
    events = pl.read_parquet(workspace / "interactions.parquet")
    changed = change(events, pl.col("timestamp") >= pl.lit(DAY).str.to_datetime())
    assert not changed.equals(events)
    changed.write_parquet(workspace / "interactions.parquet")
    shutil.rmtree(workspace / "features")
    assert score(workspace, "--force") == 0
    assert published(workspace).read_bytes() == before


def test_an_event_before_the_day_changes_the_lists(workspace: Path) -> None:
    before = published(workspace).read_bytes()
    events = pl.read_parquet(workspace / "interactions.parquet")
    top = pl.read_parquet(published(workspace)).row(0, named=True)
    bought = events.head(1).with_columns(
        user_id=top["user_id"],
        item_id=pl.lit(top["item_id"]),
        timestamp=pl.lit("2010-11-25 23:59:59").str.to_datetime(),
    )
    pl.concat([events, bought.select(events.columns).cast(dict(events.schema))]).write_parquet(
        workspace / "interactions.parquet"
    )
    assert score(workspace) == 0
    assert published(workspace).read_bytes() != before


def test_chunks_and_threads_change_no_byte(workspace: Path) -> None:
    before = published(workspace).read_bytes()
    assert score(workspace, "--force", "--set", "scoring.chunk_users=101", "--set", "runtime.threads=1") == 0
    assert published(workspace).read_bytes() == before


def test_a_complete_day_is_left_alone(workspace: Path) -> None:
    before = manifest(workspace)
    assert score(workspace) == 0
    assert manifest(workspace) == before
    assert score(workspace, "--force") == 0
    assert manifest(workspace)["run_id"] != before["run_id"]


def test_the_file_names_the_model_and_the_manifest_its_hash(scored: Path) -> None:
    metadata = pq.read_schema(published(scored)).metadata
    output = manifest(scored)
    assert metadata[b"recsys.model_version"].decode() == output["model_version"]
    assert metadata[b"recsys.date"].decode() == DAY
    assert (scored / "models" / output["model_version"] / "manifest.json").is_file()
    assert published(scored).with_name("_SUCCESS").exists()


def test_excluded_items_never_appear(workspace: Path) -> None:
    items = pl.read_parquet(items_file(workspace))
    dear = set(items.filter((pl.col("price") > 2) & (pl.col("range") == "22"))["item_id"])
    assert dear & set(pl.read_parquet(published(workspace))["item_id"])
    assert score(workspace, "--set", "scoring.exclude=price > 2 AND range = '22'") == 0
    lists = pl.read_parquet(published(workspace))
    assert not dear & set(lists["item_id"])
    assert lists.group_by("user_id").len()["len"].min() == 10


def test_unavailable_items_never_appear(workspace: Path) -> None:
    items = pl.read_parquet(items_file(workspace))
    popular = (
        pl.read_parquet(published(workspace))["item_id"].value_counts(sort=True)["item_id"].head(3).to_list()
    )
    ended, coming, last_day = popular
    days = {
        ended: ("2009-01-01", "2010-11-25"),
        coming: ("2010-11-27", None),
        last_day: ("2010-11-26", "2010-11-26"),
    }
    dated = items.with_columns(
        pl.col("item_id")
        .replace_strict({i: a for i, (a, _) in days.items()}, default=None)
        .str.to_date()
        .alias("start"),
        pl.col("item_id")
        .replace_strict({i: b for i, (_, b) in days.items()}, default=None)
        .str.to_date()
        .alias("end"),
    )
    dated.write_parquet(workspace / "items.parquet")
    columns = '{available_from = "start", available_until = "end"}'
    assert (
        score(workspace, "--set", "data.items.path=items.parquet", "--set", f"data.items.columns={columns}")
        == 0
    )
    lists = pl.read_parquet(published(workspace))
    assert ended not in lists["item_id"] and coming not in lists["item_id"] and last_day in lists["item_id"]


def test_some_users_never_replace_the_lists_of_all(workspace: Path) -> None:
    before = published(workspace).read_bytes()
    assert score(workspace, "--users", "12355,12360,12370") == 5
    assert published(workspace).read_bytes() == before
    shutil.rmtree(workspace / "recommendations")
    everybody = before
    assert score(workspace, "--users", "12370,12355,12360", "--top-k", "4") == 0
    lists = pl.read_parquet(published(workspace))
    assert lists["user_id"].unique().sort().to_list() == [12355, 12360, 12370] and lists["rank"].max() == 4
    assert score(workspace) == 0
    assert published(workspace).read_bytes() == everybody


def test_explain_repeats_the_published_lists(scored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists = pl.read_parquet(published(scored))
    for user_id in lists["user_id"].unique().sort().sample(20, seed=4).to_list():
        assert main(["-C", str(scored), "explain", str(user_id), "--date", DAY, "--json"]) == 0
        output = json.loads(capsys.readouterr().out)
        own = lists.filter(pl.col("user_id") == user_id)
        assert output["run_id"] == manifest(scored)["run_id"] and output["user_id"] == user_id
        assert [row["item_id"] for row in output["recommendations"]] == own["item_id"].to_list()
        assert [row["score"] for row in output["recommendations"]] == own["score"].to_list()
        assert [",".join(row["sources"]) for row in output["recommendations"]] == own["sources"].to_list()
        for row in output["recommendations"]:
            total = row["base_value"] + sum(row["contributions"].values())
            assert total == pytest.approx(row["raw_score"], abs=1e-5)


def test_explain_reads_well_on_a_terminal(scored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["-C", str(scored), "explain", "12355"]) == 0
    out = capsys.readouterr().out
    best = pl.read_parquet(published(scored)).filter(pl.col("user_id") == 12355)["item_id"][0]
    title = pl.read_parquet(items_file(scored)).filter(pl.col("item_id") == best)["title"][0]
    assert f"User 12355 on {DAY}: warm" in out and f"{title} [{best}]" in out and "lightfm " in out


def test_training_again_gives_the_same_version_and_rollback_the_one_before(workspace: Path) -> None:
    first = manifest(workspace)["model_version"]
    pointer = workspace / "models/promoted.json"
    assert main(["-q", "-C", str(workspace), "train", "--date", DAY]) == 0
    assert json.loads(pointer.read_text())["history"] == [first]
    assert main(["-q", "-C", str(workspace), "train", "--date", DAY, "--set", "ranker.depth=4"]) == 0
    second = json.loads(pointer.read_text())["history"][-1]
    assert second != first
    assert main(["-q", "-C", str(workspace), "models", "rollback"]) == 0
    assert json.loads(pointer.read_text())["history"] == [first]
    assert main(["-q", "-C", str(workspace), "models", "promote", second]) == 0
    assert json.loads(pointer.read_text())["history"] == [first, second]


def items_file(workspace: Path) -> Path:
    line = next(
        row
        for row in (workspace / "settings/settings.toml").read_text().splitlines()
        if "items.parquet" in row
    )
    return Path(line.split('"')[1])

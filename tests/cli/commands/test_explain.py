"""`recsys explain`: the published list again, why an item is in it or not, and users who have none."""

import json
import shutil
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

Explain = Callable[[str], str]
DAY, NEXT = "2026-03-02", "2026-03-03"
SOURCES = ("lightfm", "popular", "segment")  # those that know something for a user without events


@pytest.fixture
def explain(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Explain:
    def run(user: str) -> str:
        capsys.readouterr()
        assert main(["-C", str(workspace), "explain", user, "--date", "2026-03-03"]) == ExitCode.OK
        return capsys.readouterr().out

    return run


def test_a_user_who_has_had_everything_gets_a_sentence(workspace: Path, explain: Explain) -> None:
    file = workspace / "data/interactions.parquet"
    events = pl.read_parquet(file)
    everything = pl.DataFrame({"user_id": "u07", "item_id": range(100, 140)}).with_columns(
        timestamp=pl.lit(datetime(2026, 3, 1, 12)), weight=1.0
    )
    pl.concat([events, everything.cast(dict(events.schema))]).write_parquet(file)

    out = explain("u07")

    assert "User u07 on 2026-03-03: warm" in out and "Latest items" in out
    assert "Recommendations" not in out and "Candidates" not in out
    version = next((workspace / "models").glob("2026-*")).name
    no_list = f"no source of model {version} proposes an item that is new to the user and may be recommended."
    assert out.splitlines()[-1] == f"User u07 has no list: {no_list}"
    assert "Recommendations" in explain("u01") and "has no list" not in explain("u01")


def test_a_cold_user_whom_no_source_knows_gets_a_sentence(workspace: Path, explain: Explain) -> None:
    off = [word for one in SOURCES for word in ("--set", f"candidates.{one}.num_candidates=0")]
    assert main(["-q", "-C", str(workspace), "train", "--date", "2026-03-02", *off]) == ExitCode.OK
    assert explain("u59").splitlines()[-1].endswith("proposes an item to a user without events.")


def explained(workspace: Path, capsys: pytest.CaptureFixture[str], *args: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["-C", str(workspace), "--json", "explain", *args]) == ExitCode.OK
    return dict(json.loads(capsys.readouterr().out))


def lists_of(workspace: Path, day: str = DAY) -> pl.DataFrame:
    return pl.read_parquet(workspace / f"recommendations/date={day}/recommendations.parquet")


def test_every_list_is_that_of_the_file_and_its_score_the_sum_of_its_parts(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = lists_of(workspace)
    for user in ["u00", "u17", "u31", "u58"]:
        own = lists.filter(pl.col("user_id") == user)
        output = explained(workspace, capsys, user, "--date", DAY)
        rows = output["recommendations"]
        assert output["differences"] == [] and output["published"] == own.drop("user_id").to_dicts()
        assert [row["item_id"] for row in rows] == own["item_id"].to_list()
        assert [row["score"] for row in rows] == pytest.approx(own["score"].to_list(), abs=1e-5)
        assert [",".join(row["sources"]) for row in rows] == own["sources"].to_list()
        for row in rows:
            assert row["base_value"] + sum(row["contributions"].values()) == pytest.approx(
                row["raw_score"], abs=1e-5
            )


def test_a_run_is_explained_as_it_was_although_inputs_and_settings_have_changed(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = explained(workspace, capsys, "u01", "--date", DAY)
    file = workspace / "data/interactions.parquet"
    pl.read_parquet(file).filter(pl.col("user_id") != "u01").write_parquet(file)
    other = (
        "--set",
        "scoring.top_k=3",
        "--set",
        "scoring.filter_viewed=false",
        "--set",
        "scoring.exclude=price > 1",
    )
    assert explained(workspace, capsys, *other, "u01", "--date", DAY) == before


def test_a_list_that_differs_from_the_file_is_told_of_with_the_cause(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = workspace / "data/interactions.parquet"
    own = explained(workspace, capsys, "u01", "--date", DAY)["recommendations"]
    taken = pl.DataFrame({"user_id": ["u01"], "item_id": [own[0]["item_id"]], "weight": [1.0]}).with_columns(
        timestamp=pl.lit(datetime(2026, 3, 1, 12))
    )
    events = pl.read_parquet(file)
    pl.concat([events, taken.select(events.columns).cast(dict(events.schema))]).write_parquet(file)
    shutil.rmtree(workspace / "features")
    output = explained(workspace, capsys, "u01", "--date", DAY)
    assert [row["item_id"] for row in output["published"]] == [row["item_id"] for row in own]
    cause, first = output["differences"]
    assert "inputs or settings have changed since" in cause
    assert first.startswith(
        f"rank 1: published was {own[0]['item_id']} with {own[0]['score']:.6f}; now it is "
    )


def with_narrow_sources(workspace: Path) -> None:
    """Let each stage decide: two items are not available, one is excluded, one not listed, few proposed."""
    items = pl.read_parquet(workspace / "data/items.parquet").with_columns(
        available_from=pl.when(pl.col("item_id") == 100).then(pl.date(2026, 3, 4)),
        available_until=pl.when(pl.col("item_id") == 101).then(pl.date(2026, 3, 2)),
    )
    items.filter(pl.col("item_id") != 103).write_parquet(workspace / "data/items.parquet")
    settings = workspace / "settings/settings.toml"
    rules = "exclude = 'item_id = 102'\nshortlist = 10\ntop_k = 1"
    settings.write_text(f"{settings.read_text()}[default.scoring]\n{rules}\n")
    counts = {
        f"{name}.num_candidates": 2 for name in ("popular", "segment", "content", "bm25", "cosine", "ease")
    }
    counts |= {f"{name}_recent.num_candidates": 2 for name in ("bm25", "cosine", "ease")}
    counts |= {"lightfm.num_candidates": 14}
    sets = [word for name, count in counts.items() for word in ("--set", f"candidates.{name}={count}")]
    sets += ["--set", "ranker.iterations=250", "--set", "ranker.learning_rate=0.001"]
    before = {folder.name for folder in (workspace / "models").glob("2026-*")}
    main(["-q", "-C", str(workspace), *sets, "train", "--date", DAY, "--no-promote"])
    (newest,) = {folder.name for folder in (workspace / "models").glob("2026-*")} - before
    assert main(["-q", "-C", str(workspace), "models", "promote", newest, "--force"]) == ExitCode.OK
    assert main(["-q", "-C", str(workspace), "score", "--date", NEXT]) == ExitCode.OK


def test_an_item_is_placed_where_the_stages_have_put_it(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each item's stage, against the tables and the file alone."""
    with_narrow_sources(workspace)
    events = pl.read_parquet(workspace / "data/interactions.parquet")
    past = events.filter(pl.col("timestamp") < datetime(2026, 3, 3), pl.col("user_id") == "u00")
    own = set(past["item_id"])
    listed = lists_of(workspace, NEXT).filter(pl.col("user_id") == "u00")["item_id"].to_list()
    candidates = {row["item_id"]: row for row in explained(workspace, capsys, "u00")["candidates"]}
    met: Counter[str] = Counter()
    for item in range(100, 140):
        expected = (
            "viewed" if item in own
            else "unavailable" if item in (100, 101)
            else "excluded" if item == 102
            else "not listed" if item == 103
            else "not proposed" if item not in candidates
            else "recommended" if item in listed
            else "not shortlisted" if candidates[item]["score"] is None
            else "reranked"
        )  # fmt: skip
        met[expected] += 1
        if met[expected] > 3:
            continue
        output = explained(workspace, capsys, "u00", "--item", str(item))["item"]
        assert (item, output["stage"]) == (item, expected)
        if item in candidates:
            places = {name: one["rank"] for name, one in candidates[item]["sources"].items()}
            for name, source in output["sources"].items():
                assert source["proposed"] == (places[name] is not None)
                if places[name] is not None and not name.startswith("popular"):  # these have ties
                    assert source["rank"] == places[name] <= source["needed"]
    assert len(met) == 8, met


@pytest.mark.parametrize(("item", "close"), [("999", "close ids: "), ("U01", "close ids: ")])
def test_an_unknown_item_is_refused_with_close_ids(
    refused: Callable[..., str], item: str, close: str
) -> None:
    message = refused(ExitCode.INPUT, "explain", "u01", "--date", DAY, "--item", item)
    assert f"item '{item}' is unknown before {DAY}" in message and close in message

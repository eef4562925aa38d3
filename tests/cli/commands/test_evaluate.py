"""`recsys evaluate`: several windows, sources and groups of features left out."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

Refused = Callable[..., str]
Evaluate = Callable[..., dict[str, Any]]


@pytest.fixture
def evaluate(workspace: Path, capsys: pytest.CaptureFixture[str]) -> Evaluate:
    """Run evaluate with lists of 5 for windows of a week; return what it prints."""

    def run(*args: str) -> dict[str, Any]:
        capsys.readouterr()
        command = ["-C", str(workspace), "evaluate", "--days", "7", "--k", "5", "--json", *args]
        assert main(command) == ExitCode.OK
        output: dict[str, Any] = json.loads(capsys.readouterr().out)
        return output

    return run


def test_cuts_pool_the_users_of_consecutive_windows(evaluate: Evaluate) -> None:
    later, earlier = evaluate("--date", "2026-02-23"), evaluate("--date", "2026-02-16")

    both = evaluate("--date", "2026-02-23", "--cuts", "2")

    assert both["dates"] == ["2026-02-23", "2026-02-16"] and both["covered_days"] == 14
    assert both["users"] == later["users"] + earlier["users"]
    for name, measures in both["models"].items():
        for measure in ("NDCG@5", "MAP@5", "Recall@5"):
            parts = [one["users"] * one["models"][name][measure] for one in (later, earlier)]
            assert measures[measure] == pytest.approx(sum(parts) / both["users"])
    pairs = [one["budget"]["relevant_pairs"] for one in (later, earlier)]
    assert both["budget"]["relevant_pairs"] == sum(pairs)


def test_without_leaves_out_sources_and_groups_of_features(evaluate: Evaluate) -> None:
    whole = evaluate("--date", "2026-02-23")
    output = evaluate("--date", "2026-02-23", "--without", "item_knn", "--without", "norms")

    gone = {"bm25", "bm25_recent", "cosine", "cosine_recent"}
    assert output["without"] == ["item_knn", "norms"] and whole["without"] == []
    assert set(whole["models"]) - set(output["models"]) == gone
    assert set(whole["budget"]["by_source"]) - set(output["budget"]["by_source"]) == gone
    assert output["models"]["ease"] == pytest.approx(whole["models"]["ease"])
    assert output["models"]["two stages"] != whole["models"]["two stages"]


def test_a_group_left_out_changes_the_two_stages_alone(evaluate: Evaluate) -> None:
    whole = evaluate("--date", "2026-02-23")
    output = evaluate("--date", "2026-02-23", "--without", "affinity")

    differing = {
        name
        for name, measures in whole["models"].items()
        if output["models"][name] != pytest.approx(measures)
    }
    assert differing == {"two stages"}


def test_every_source_that_is_printed_can_be_left_out(evaluate: Evaluate) -> None:
    names = set(evaluate("--date", "2026-02-23")["budget"]["by_source"])
    left = ["bm25_recent", "cosine", "ease", "popular_7d", "popular_segment"]

    output = evaluate(
        "--date", "2026-02-23", "--without", ", ".join(left[:3]), "--without", ",".join(left[3:])
    )

    assert output["without"] == left and set(left) < names
    assert set(output["budget"]["by_source"]) == names - set(left)
    rest = ",".join(sorted(names - {"lightfm"}))
    assert set(evaluate("--date", "2026-02-23", "--without", rest)["budget"]["by_source"]) == {"lightfm"}


@pytest.mark.parametrize(
    "name", ["lightfn", "two stages", "", "user_events", "history", "external", "ease,,bm25"]
)
def test_a_name_that_is_neither_source_nor_group_is_refused(refused: Refused, name: str) -> None:
    message = refused(ExitCode.USAGE, "evaluate", "--date", "2026-02-23", "--without", name)
    unknown = "" if "," in name else name
    assert (
        f"{unknown!r} is neither a source nor a group of features that is on\n  where: --without" in message
    )
    assert "sources: lightfm, bm25, bm25_recent, cosine, cosine_recent, ease, ease_recent, " in message
    assert (
        "item_knn (bm25, bm25_recent, cosine, cosine_recent)" in message and "groups: users, items" in message
    )


OFF = [
    ("ease_recent", ("candidates.ease_recent.num_candidates=0",), "'ease_recent' is neither a source"),
    ("cosine", ("candidates.cosine.num_candidates=0",), "'cosine' is neither a source"),
    ("segment", ("candidates.segment.num_candidates=0",), "'segment' is neither a source"),
    (
        "ease",
        ("candidates.ease.max_items=9",),
        "'ease' is off: the catalogue has more items than candidates.ease",
    ),
    ("segment", ("data.users.features=[]",), "'popular_segment' is off: no text column"),
    (
        "content",
        ('data.items.columns={title="price"}', "data.items.filter=price < 0", "data.items.only_listed=false"),
        "'content' is off: items have",
    ),
]


@pytest.mark.parametrize(("name", "overrides", "words"), OFF, ids=range(len(OFF)))
def test_a_source_that_is_off_cannot_be_left_out(
    refused: Refused, name: str, overrides: tuple[str, ...], words: str
) -> None:
    options = [word for one in overrides for word in ("--set", one)]
    assert words in refused(ExitCode.USAGE, "evaluate", "--date", "2026-02-23", "--without", name, *options)


GROUPS, SOURCES = (
    "users items pairs affinity ranks scores norms",
    "lightfm item_knn ease ease_recent popular segment content",
)


@pytest.mark.parametrize(
    ("names", "words"),
    [(GROUPS, "the ranker has no feature in the groups"), (SOURCES, "no source of candidates is on")],
    ids=["groups", "sources"],
)
def test_all_of_a_kind_left_out_is_refused(
    workspace: Path, capsys: pytest.CaptureFixture[str], names: str, words: str
) -> None:
    options = [word for name in names.split() for word in ("--without", name)]
    command = ["-q", "-C", str(workspace), "evaluate", "--date", "2026-02-23", *options]
    assert main(command) == ExitCode.USAGE
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "day"),
    [("evaluate --date 2026-02-23", "2026-02-23"), ("train --warm-start --date 2026-03-04", "2026-03-02")],
)
def test_a_day_on_which_no_item_is_available_is_refused(
    workspace: Path, refused: Refused, command: str, day: str
) -> None:
    items = workspace / "data/items.parquet"
    gone = pl.lit(date(2026, 2, 22)).alias("available_until")
    pl.read_parquet(items).with_columns(gone).write_parquet(items)
    columns = '--set=data.items.columns={available_until="available_until"}'

    message = refused(ExitCode.INPUT, *command.split(" "), columns)

    assert f"no item may be recommended on {day}" in message

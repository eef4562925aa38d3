"""Ids come back as they were given, byte for byte."""

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

DAY = "2026-03-02"
TEXTS = [
    "007",
    "7",
    " padded ",
    "🎬",
    "é",
    "e\u0301",
    '"quoted", ids',
    "{x} [b]",
    "line\nbreak",
    "-0",
    "1e3",
    "NULL",
]
NUMBERS = [2**63 - 1, 2**63 - 2, -(2**63), -1, 0, 2**53, 2**53 + 1]


def renamed(frame: pl.DataFrame, key: str, ids: list[str] | list[int]) -> pl.DataFrame:
    """Put `ids` in the place of the first ids of the workspace, and others of their kind for the rest."""
    old = [f"u{number:02}" for number in range(60)] if key == "user_id" else list(range(100, 140))
    more = [type(ids[0])(1_000 + number) for number in range(len(old))]
    new = pl.Series([*ids, *more][: len(old)])
    return frame.with_columns(pl.col(key).replace_strict(old, new, return_dtype=new.dtype))


@pytest.mark.parametrize(
    ("users", "items"), [(TEXTS, NUMBERS), (NUMBERS, TEXTS)], ids=["text users", "text items"]
)
def test_ids_come_back_exactly(
    workspace: Path,
    capsys: pytest.CaptureFixture[str],
    users: list[str] | list[int],
    items: list[str] | list[int],
) -> None:
    for name, keys in (
        ("interactions", {"user_id": users, "item_id": items}),
        ("users", {"user_id": users}),
        ("items", {"item_id": items}),
    ):
        frame = pl.read_parquet(workspace / f"data/{name}.parquet")
        for key, ids in keys.items():
            frame = renamed(frame, key, ids)
        frame.write_parquet(workspace / f"data/{name}.parquet")
    for folder in ("models", "recommendations"):
        shutil.rmtree(workspace / folder)
    for command in ("train", "score"):
        everything = ("--set", "scoring.top_k=40")  # all items that a user has not seen
        assert main(["-q", "-C", str(workspace), command, "--date", DAY, *everything]) == ExitCode.OK

    published = pl.read_parquet(workspace / f"recommendations/date={DAY}/recommendations.parquet")

    for key, ids, name in (("user_id", users, "users"), ("item_id", items, "items")):
        known = pl.read_parquet(workspace / f"data/{name}.parquet")[key]
        assert published.schema[key] == known.dtype == (pl.String if ids is TEXTS else pl.Int64)
        assert set(ids) <= set(published[key]) <= set(known)
    capsys.readouterr()
    for user in users:
        assert (
            main(["-C", str(workspace), "explain", "--date", DAY, "--json", "--", str(user)]) == ExitCode.OK
        )
        output = json.loads(capsys.readouterr().out)
        own = published.filter(pl.col("user_id") == user).sort("rank")
        assert output["user_id"] == user
        assert [row["item_id"] for row in output["recommendations"]] == own["item_id"].to_list()


def test_a_model_that_knows_no_item_of_today_leaves_the_lists_to_the_other_sources(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("interactions", "items"):
        file = workspace / f"data/{name}.parquet"
        pl.read_parquet(file).with_columns(pl.col("item_id") + 1_000).write_parquet(file)

    command = ["-q", "-C", str(workspace), "score", "--date", DAY, "--force"]
    assert main(command) == ExitCode.OK, capsys.readouterr().err

    published = pl.read_parquet(workspace / f"recommendations/date={DAY}/recommendations.parquet")
    assert published["user_id"].n_unique() == 60
    assert not published["sources"].str.contains("bm25|cosine|ease").any()

"""A category feature with more values than codes, from training to `explain`."""

import json
from datetime import date
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.cli.exit_status import ExitCode

DAY = date(2026, 3, 2)
FEW = ("--set", "features.max_categories=1")


def run(workspace: Path, *args: str) -> int:
    return main(["-q", "-C", str(workspace), *FEW, *args])


def test_rare_values_share_a_code_and_explain_shows_them(
    workspace: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {folder.name for folder in (workspace / "models").glob("2026-*")}
    assert run(workspace, "train", "--date", str(DAY), "--no-promote") == ExitCode.OK
    (version,) = {folder.name for folder in (workspace / "models").glob("2026-*")} - before
    (vocabulary,) = (workspace / "models" / version).rglob("items_encoder.json")
    stored = json.loads(vocabulary.read_text())
    assert stored["wide"] == ["genre"] and len(stored["values"]["genre"]) == 1
    assert run(workspace, "models", "promote", version, "--force") == ExitCode.OK
    assert run(workspace, "score", "--date", str(DAY), "--force") == ExitCode.OK
    capsys.readouterr()
    assert run(workspace, "--json", "explain", "u00", "--date", str(DAY)) == ExitCode.OK
    explained = json.loads(capsys.readouterr().out)
    assert explained["differences"] == []
    items = pl.read_parquet(workspace / "data/items.parquet")
    genres = dict(items.select("item_id", "genre").iter_rows())
    own = stored["values"]["genre"]
    for row in explained["recommendations"]:
        genre = genres[row["item_id"]]
        shown = genre if genre is None or genre in own else f"{genre} (other)"
        assert row["features"]["item_genre"] == shown
    every = pl.read_parquet(workspace / f"features/date={DAY}/affinity.parquet").filter(feature="genre")
    assert set(every["value"]) <= set(items["genre"]) and every["value"].n_unique() > 1


def test_a_model_without_such_a_feature_has_no_word_of_it(workspace: Path) -> None:
    """Its bytes are those of before."""
    vocabularies = list((workspace / "models").rglob("items_encoder.json"))
    assert vocabularies and all("wide" not in json.loads(file.read_text()) for file in vocabularies)

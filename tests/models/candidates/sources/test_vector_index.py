"""Approximate search: what it finds of the exact lists, and the gate before publishing."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.data_preparation.features.day_features import build_features
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.sources.lightfm_model import LightFMGenerator
from recsys_cli.models.candidates.sources.vector_index import build_index
from recsys_cli.models.candidates.stage import fit_candidate_stage
from recsys_cli.models.evaluation.index_recall import checked_recall, index_recall
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.models.two_stage import open_items
from recsys_cli.utils.errors import CheckFailedError, ExitCode

DAY = "2026-07-01"
NEIGHBOURS = [f"{name}{end}" for name in ("bm25", "cosine", "ease") for end in ("", "_recent")]
ALONE = [
    *(f"candidates.{name}.num_candidates=0" for name in NEIGHBOURS),
    "candidates.content.num_candidates=0",
    "candidates.lightfm.epochs=2",
    "candidates.lightfm.no_components=16",
    "ranker.label_windows=2",
    "ranker.iterations=20",
]


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_an_index_finds_nearly_all_of_the_largest_products(kind: str) -> None:
    """Vectors of very different lengths, as popular items have: the largest product is not the nearest."""
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(40, 16))
    vectors = centres[rng.integers(0, 40, 6_000)] + rng.normal(size=(6_000, 16)) / 2
    vectors = (vectors * rng.exponential(1, size=(6_000, 1))).astype(np.float32)
    queries = (centres[rng.integers(0, 40, 50)] + rng.normal(size=(50, 16)) / 2).astype(np.float32)
    index = build_index(kind, vectors)

    found = index.search(queries, 20)

    exact = np.argsort(-(queries @ vectors.T), axis=1)[:, :20]
    recall = np.mean([np.isin(row, own).mean() for row, own in zip(exact, found, strict=True)])
    assert recall > 0.95
    products = np.take_along_axis(queries @ vectors.T, found, axis=1)
    assert (np.diff(products, axis=1) < 1e-3).all()
    np.testing.assert_array_equal(found[:1], index.search(queries[:1], 20))


class HalfBlind:
    """An index that finds every other item alone."""

    def __init__(self, vectors: np.ndarray) -> None:
        self.vectors = vectors

    def search(self, queries: np.ndarray, wanted: int) -> np.ndarray:
        order = np.argsort(-(queries @ self.vectors.T), axis=1, kind="stable")
        return np.stack([row[row % 2 == 0] for row in order])[:, :wanted]


def test_too_small_a_recall_is_refused_with_the_figure(make_random_tables: Callable[..., Tables]) -> None:
    tables = make_random_tables(np.random.default_rng(4), 90, 400, 900)
    sections = {name: {"num_candidates": 0} for name in ("popular", "segment", "content", "history")}
    sections |= {name: {"num_candidates": 0} for name in NEIGHBOURS}
    sections["lightfm"] = {"num_candidates": 50, "epochs": 2, "no_components": 8}
    settings = settings_tree().model_validate({"candidates": sections, "scoring": {"index": "ivf"}})
    stage = fit_candidate_stage(tables, settings, 1)
    features = build_features(tables, settings.features)
    assert index_recall(open_items(stage, features, 1).of_users(features)) == 1.0
    day = open_items(stage, features, 1, "ivf").of_users(features)
    assert checked_recall(day, settings.scoring) >= 0.95
    (factors,) = day.generators
    assert isinstance(factors, LightFMGenerator)
    items = factors.items
    blind = replace(factors, items=replace(items, index=HalfBlind(items.item_vectors[items.proposable])))

    with pytest.raises(
        CheckFailedError, match=r"the ivf index finds 0\.[45]\d* of the exact lists"
    ) as refused:
        checked_recall(replace(day, generators=(blind,)), settings.scoring)

    assert refused.value.exit_code == ExitCode.CHECK


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue of more clusters than are searched."""
    root = tmp_path_factory.mktemp("streaming")
    sets = [word for one in ALONE for word in ("--set", one)]
    made = ["--preset", "demo", "--users", "600", "--items", "7000"]
    assert main(["-q", "init", str(root), *made]) == ExitCode.OK
    main(["-q", "-C", str(root), *sets, "train", "--date", DAY])
    version = next((root / "models").glob("*/manifest.json")).parent.name
    assert main(["-q", "-C", str(root), "models", "promote", version, "--force"]) == ExitCode.OK
    return root


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_the_recall_of_an_index_is_measured_in_every_run(
    streaming: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["-q", "-C", str(streaming), "--set", f"scoring.index={kind}"]
    assert main([*command, "score", "--date", DAY, "--force"]) == ExitCode.OK
    folder = streaming / f"recommendations/date={DAY}"
    recall = json.loads((folder / "manifest.json").read_text())["index_recall"]
    assert 0.95 <= recall <= 1
    lists = pl.read_parquet(folder / "recommendations.parquet")
    had = pl.read_parquet(streaming / "data/interactions.parquet").filter(pl.col("total_dur") > 300)
    assert lists.join(had, on=["user_id", "item_id"], how="semi").is_empty()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["index"] == kind
    capsys.readouterr()
    explain = ["-C", str(streaming), "--json", "explain", str(manifest["example_user"]), "--date", DAY]
    assert main(explain) == ExitCode.OK  # by the index of the run, not of today's settings
    own = lists.filter(pl.col("user_id") == manifest["example_user"])["item_id"].to_list()
    assert [one["item_id"] for one in json.loads(capsys.readouterr().out)["recommendations"]] == own

"""A model of the format before this one: its manifest is read as one of today's."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from recsys_cli.models.versions.bundle import MANIFEST, read_manifest
from recsys_cli.models.versions.manifest_schema import ModelManifest
from recsys_cli.utils.errors import ModelError
from recsys_cli.utils.storage.json_files import write_sealed_json

LIGHTFM = [
    f"{side}_{end}" for side in ("users", "items") for end in ("ids.parquet", "vectors.npy", "biases.npy")
]
FILES = [
    *(f"lightfm_{one}" for one in LIGHTFM),
    *("bm25_ids.parquet", "bm25_indptr.npy", "bm25_indices.npy", "bm25_data.npy"),
    *("ease_ids.parquet", "ease_weights.npy"),
    *("items_encoder.json", "users_encoder.json", "ranker.json"),
]
CANDIDATES = {
    "lightfm": {"num_candidates": 50, "epochs": 20, "warm_epochs": 4},
    "item_knn": {
        "num_candidates": 60,
        "recent_candidates": 70,
        "neighbours": 80,
        "similarities": ["bm25"],
        "without": ["bm25_recent"],
    },
    "ease": {"num_candidates": 90, "recent_candidates": 0, "regularization": 500.0, "max_items": 6000},
    "index": "ivf",
    "min_index_recall": 0.9,
}
MEASURES = ("NDCG", "MAP", "Recall", "HitRate", "CatalogCoverage")
BUDGET = {"relevant_pairs": 1, "candidate_recall": 0.5, "ranker_share": 0.5, "by_source": {}}
OLD: dict[str, Any] = {
    "schema_version": 4,
    "version": "2026-03-02-0123abcd",
    "trained_through": "2026-03-02",
    "run_id": "20260302T000000Z-train-012345",
    "created": "2026-03-02T00:00:00+00:00",
    "events": 1000,
    "label_windows": [{"first_day": "2026-02-23", "users": 10, "rows": 100, "positives": 12}],
    "trees": 30,
    "exam": {
        "first_day": "2026-02-23",
        "k": 10,
        "users": 10,
        "cold_users": 0,
        "models": {"two stages": {f"{name}@10": 0.25 for name in MEASURES}},
        "comparisons": [],
        "against_popularity": None,
        "segments": {},
        "budget": BUDGET,
    },
    "feature_importance": {"user_items": 1.0},
    "seconds": {"rows": 1.5},
    "libraries": {"catboost": "1.2.10"},
    "warm_start_of": None,
    "full_training": None,
    "settings": {
        "timezone": "UTC",
        "ranker": {"iterations": 400, "warm_iterations": 60},
        "candidates": CANDIDATES,
    },
    "stage": {
        "settings": CANDIDATES,
        "lightfm": True,
        "similarities": {"bm25": "sparse", "ease": "dense"},
        "newest_event": "2026-03-01T23:14:45",
        "id_types": ["Int64", "String"],
        "max_categories": 200,
        "filter_viewed": True,
    },
    "ranker": {
        "columns": ["user_items"],
        "categories": [],
        "calibration": {"slope": 0.9, "intercept": -2.5},
        "score": "probability",
    },
    "files": {name: "0" * 64 for name in FILES},
}


def read(folder: Path, manifest: dict[str, Any]) -> ModelManifest:
    write_sealed_json(folder / MANIFEST, manifest)
    return read_manifest(folder)


def test_each_source_gets_its_section_and_what_was_off_is_off(tmp_path: Path) -> None:
    assert read(tmp_path, OLD).stage.sources == {
        "lightfm": {"num_candidates": 50, "epochs": 20},
        "ease": {"num_candidates": 90, "regularization": 500.0, "max_items": 6000},
        "ease_recent": {"num_candidates": 0},
        "bm25": {"num_candidates": 60, "neighbours": 80},
        "bm25_recent": {"num_candidates": 0},  # of `without`
        "cosine": {"num_candidates": 0, "neighbours": 80},  # none of `similarities`
        "cosine_recent": {"num_candidates": 0},
    }


def test_the_files_of_each_fit_are_named(tmp_path: Path) -> None:
    fits = read(tmp_path, OLD).stage.fits
    assert fits == {
        "lightfm": LIGHTFM,
        "bm25": ["ids.parquet", "indptr.npy", "indices.npy", "data.npy"],
        "ease": ["ids.parquet", "weights.npy"],
    }


def test_settings_stand_at_their_new_places_and_the_rest_stays(tmp_path: Path) -> None:
    manifest = read(tmp_path, OLD)
    settings = manifest.as_stored()["settings"]
    assert settings["warm_start"] == {"epochs": 4, "iterations": 60}
    assert settings["scoring"] == {"index": "ivf", "min_index_recall": 0.9}
    assert settings["ranker"] == {"iterations": 400}
    assert manifest.trained_through == date(2026, 3, 2) and manifest.plugins == []
    assert manifest.holdout.models["two stages"]["NDCG@10"] == 0.25


@pytest.mark.parametrize("key", ["settings", "lightfm", "similarities"])
def test_one_without_what_that_format_has_is_damaged(tmp_path: Path, key: str) -> None:
    stage = {name: value for name, value in OLD["stage"].items() if name != key}
    with pytest.raises(ModelError, match="the model's manifest cannot be read"):
        read(tmp_path, OLD | {"stage": stage})


def test_an_even_older_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="written by another version of recsys"):
        read(tmp_path, OLD | {"schema_version": 3})

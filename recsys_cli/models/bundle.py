"""A model version on disk: arrays, ids and trees, no pickle; the manifest is written last.

ids and vocabularies: parquet and JSON. Vectors: `.npy`, opened memory-mapped. Trees: CatBoost's own `.cbm`.
The manifest has each file's hash, and one of itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from catboost import CatBoost, CatBoostError

from recsys_cli.models.candidates.lightfm import LightFMModel, LightFMSide
from recsys_cli.models.encoding import FeatureEncoder
from recsys_cli.models.ranker import Ranker
from recsys_cli.models.two_stage import CandidateStage, TwoStageModel
from recsys_cli.utils.dates import day_start
from recsys_cli.utils.errors import ModelError
from recsys_cli.utils.files import (
    read_json,
    read_sealed_json,
    sha256_of,
    sha256_of_json,
    write_json,
    write_sealed_json,
)

MANIFEST = "manifest.json"
SCHEMA_VERSION = 1
_SIDES = ("users", "items")
_FILES = (
    *(
        f"{side}_{part}"
        for side in _SIDES
        for part in ("ids.parquet", "encoder.json", "vectors.npy", "biases.npy")
    ),
    "ranker.cbm",
)
_FLOAT = np.dtype(np.float32)
_FOREIGN_ERRORS = (pl.exceptions.PolarsError, CatBoostError)


@dataclass(frozen=True)
class Bundle:
    """A model with its version and manifest."""

    version: str
    model: TwoStageModel
    manifest: Mapping[str, Any]

    @property
    def timezone(self) -> str:
        """The zone whose days the training counted."""
        return str(self.manifest["settings"]["timezone"])

    @property
    def cut(self) -> datetime:
        """The first instant that the training has not seen, in UTC."""
        return day_start(self.model.trained_through, self.timezone)


def write_bundle(model: TwoStageModel, folder: Path, facts: Mapping[str, Any]) -> str:
    """Write the model's files and its manifest into an empty folder; return the version.

    The version is the training date and a hash of the files: the same training gives the same version.
    """
    for side in _SIDES:
        _write_side(getattr(model.stage.lightfm, side), folder, side)
    model.ranker.model.save_model(str(folder / "ranker.cbm"))
    files = {name: sha256_of(folder / name) for name in _FILES}
    described = _described(model)
    version = _version(files, described)
    manifest = {"schema_version": SCHEMA_VERSION, "version": version, "files": files, **described, **facts}
    write_sealed_json(folder / MANIFEST, manifest)
    return version


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return a version's manifest.

    Raises: ModelError if it is missing or damaged.
    """
    try:
        manifest = read_sealed_json(folder / MANIFEST)
        if manifest["schema_version"] != SCHEMA_VERSION or set(manifest["files"]) != set(_FILES):
            raise ValueError("it was written by another version of recsys")
        date.fromisoformat(manifest["trained_through"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder / MANIFEST, f"the model's manifest cannot be read: {error}") from None
    return manifest


def verified_manifest(folder: Path) -> dict[str, Any]:
    """Return a version's manifest after checking every file against its hash.

    Raises: ModelError that names the file that is missing or damaged.
    """
    manifest = read_manifest(folder)
    for name, expected in manifest["files"].items():
        if not (folder / name).is_file() or sha256_of(folder / name) != expected:
            raise _damaged(folder / name, "the model's file is missing or differs from its recorded hash")
    return manifest


def read_bundle(folder: Path) -> Bundle:
    """Read a model version after checking every file against its hash.

    Raises: ModelError that names the file that is missing or damaged.
    """
    manifest = verified_manifest(folder)
    try:
        return Bundle(manifest["version"], _read_model(folder, manifest), manifest)
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError, *_FOREIGN_ERRORS) as error:
        raise _damaged(folder, f"the model's files do not hold what their names say: {error}") from None


def _read_model(folder: Path, manifest: Mapping[str, Any]) -> TwoStageModel:
    ranker = manifest["ranker"]
    users, items = (_read_side(folder, side) for side in _SIDES)
    if users.vectors.shape[1:] != items.vectors.shape[1:] or users.vectors.ndim != 2:
        raise ValueError("the vectors of users and items differ in length")
    trees = CatBoost().load_model(str(folder / "ranker.cbm"))
    return TwoStageModel(
        CandidateStage(lightfm=LightFMModel(users, items), **manifest["stage"]),
        Ranker(trees, tuple(ranker["columns"]), tuple(ranker["categories"]), ranker["loss_function"]),
        date.fromisoformat(manifest["trained_through"]),
    )


def _version(files: Mapping[str, str], described: Mapping[str, Any]) -> str:
    return f"{described['trained_through']}-{sha256_of_json([files, described])[:8]}"


def _described(model: TwoStageModel) -> dict[str, Any]:
    stage, ranker = model.stage, model.ranker
    return {
        "trained_through": str(model.trained_through),
        "stage": {
            "num_candidates": stage.num_candidates,
            "popular_window_days": stage.popular_window_days,
            "popular_candidates": stage.popular_candidates,
            "max_categories": stage.max_categories,
            "filter_viewed": stage.filter_viewed,
        },
        "ranker": {
            "columns": ranker.columns,
            "categories": ranker.categories,
            "loss_function": ranker.loss_function,
        },
    }


def _write_side(side: LightFMSide, folder: Path, name: str) -> None:
    side.ids.rename("id").to_frame().write_parquet(folder / f"{name}_ids.parquet")
    np.save(folder / f"{name}_vectors.npy", side.vectors, allow_pickle=False)
    np.save(folder / f"{name}_biases.npy", side.biases, allow_pickle=False)
    write_json(folder / f"{name}_encoder.json", {"edges": side.encoder.edges, "values": side.encoder.values})


def _read_side(folder: Path, name: str) -> LightFMSide:
    told = read_json(folder / f"{name}_encoder.json")
    encoder = FeatureEncoder(
        edges={feature: tuple(edges) for feature, edges in told["edges"].items()},
        values={feature: tuple(values) for feature, values in told["values"].items()},
    )
    ids = pl.read_parquet(folder / f"{name}_ids.parquet")["id"]
    vectors, biases = (
        np.load(folder / f"{name}_{part}.npy", mmap_mode="r", allow_pickle=False)
        for part in ("vectors", "biases")
    )
    rows = len(ids) + encoder.size
    if vectors.shape[:1] != (rows,) or biases.shape != (rows,) or {vectors.dtype, biases.dtype} != {_FLOAT}:
        raise _damaged(folder / f"{name}_vectors.npy", "the model's vectors do not fit its ids")
    return LightFMSide(ids, encoder, vectors, biases)


def _damaged(path: Path, what: str) -> ModelError:
    return ModelError(
        what, where=str(path), fix="promote another version (recsys models list), or run `recsys train` again"
    )

"""A model version on disk: arrays, ids and trees, no pickle; the manifest is written last.

ids and vocabularies: parquet and JSON. Vectors and similarities: `.npy`, opened memory-mapped. Trees:
JSON as CatBoost exports it.
The manifest has each file's hash, and one of itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import polars as pl
from scipy import sparse

from recsys_cli.configs.candidate_sections import DAY_PLACE, CandidatesSettings
from recsys_cli.models.candidates.sources.lightfm import LightFMModel
from recsys_cli.models.candidates.stage import CandidateStage
from recsys_cli.models.feature_encoding import Encoders
from recsys_cli.models.reranking.calibration import Calibration
from recsys_cli.models.reranking.catboost_json import columns_of, open_trees, read_trees
from recsys_cli.models.reranking.ranker import Ranker
from recsys_cli.models.reranking.tree_ensemble import as_json, read_forests
from recsys_cli.models.two_stage import TwoStageModel
from recsys_cli.models.versions.array_files import (
    PARTS,
    damaged,
    read_encoder,
    read_side,
    read_similarity,
    require_own,
    write_encoder,
    write_side,
    write_similarity,
)
from recsys_cli.models.versions.manifest_schema import (
    CalibrationManifest,
    ModelFacts,
    ModelManifest,
    RankerManifest,
    StageManifest,
    TrainingFacts,
)
from recsys_cli.utils.dates import day_start
from recsys_cli.utils.storage.hashing import sha256_of, sha256_of_json
from recsys_cli.utils.storage.json_files import read_sealed_json, write_json, write_sealed_json

if TYPE_CHECKING:
    from catboost import CatBoost

MANIFEST = "manifest.json"
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)  # of a version
SCHEMA_VERSION = 4
_SIDES = ("users", "items")


@dataclass(frozen=True)
class Bundle:
    """A model with its version and manifest."""

    version: str
    model: TwoStageModel
    manifest: ModelManifest

    @property
    def timezone(self) -> str:
        """The zone whose days the training counted."""
        return self.manifest.settings.timezone

    @property
    def cut(self) -> datetime:
        """The first instant that the training has not seen, in UTC."""
        return day_start(self.model.trained_through, self.timezone)


def write_bundle(model: TwoStageModel, folder: Path, training: TrainingFacts | None = None) -> str:
    """Write the model's files and its manifest into an empty folder; return the version.

    The version is the training date and a hash of the files: the same training gives the same version.

    Args:
        training: without it the version cannot be read again: it only shows what a model takes on the disk.
    """
    stage = model.stage
    for side in _SIDES:
        encoder = getattr(stage.encoders, side)
        write_encoder(encoder, folder / f"{side}_encoder.json")
        if stage.lightfm is not None:
            write_side(getattr(stage.lightfm, side), folder, f"lightfm_{side}")
    for name, similarity in stage.similarities.items():
        write_similarity(similarity, folder, name)
    write_json(folder / "ranker.json", as_json(model.ranker.model))
    described = _described(model)
    files = {name: sha256_of(folder / name) for name in _files(described.stage)}
    version = _version(files, described)
    identity = {"schema_version": SCHEMA_VERSION, "version": version, "files": files, **described.as_json()}
    write_sealed_json(folder / MANIFEST, identity | (training.as_json() if training else {}))
    return version


def read_manifest(folder: Path) -> ModelManifest:
    """Return a version's manifest.

    Raises: ModelError if it is missing or damaged.
    """
    require_own(folder)
    require_own(folder / MANIFEST)
    try:
        stored = read_sealed_json(folder / MANIFEST)
        if stored.get("schema_version") != SCHEMA_VERSION:
            raise ValueError("it was written by another version of recsys")
        manifest = ModelManifest.read(stored)
        if set(manifest.files) != _files(manifest.stage):
            raise ValueError("it names other files than a model has")
    except (OSError, ValueError) as error:
        raise damaged(folder / MANIFEST, f"the model's manifest cannot be read: {error}") from None
    return manifest


def verified_manifest(folder: Path) -> ModelManifest:
    """Return a version's manifest after checking every file against its hash.

    Raises: ModelError that names the file that is missing or damaged.
    """
    manifest = read_manifest(folder)
    for name, expected in manifest.files.items():
        require_own(folder / name)
        if not (folder / name).is_file() or sha256_of(folder / name) != expected:
            raise damaged(folder / name, "the model's file is missing or differs from its recorded hash")
    return manifest


def read_bundle(folder: Path) -> Bundle:
    """Read a model version after checking every file against its hash.

    Raises: ModelError that names the file that is missing or damaged.
    """
    manifest = verified_manifest(folder)
    try:
        return Bundle(manifest.version, _read_model(folder, manifest), manifest)
    except (
        OSError,
        EOFError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    ) as error:
        raise damaged(folder, f"the model's files do not hold what their names say: {error}") from None


def _files(stage: StageManifest) -> set[str]:
    """Return the names of a version's files, the manifest aside."""
    names = {"ranker.json", *(f"{side}_encoder.json" for side in _SIDES)}
    if stage.lightfm:
        parts = ("ids.parquet", "vectors.npy", "biases.npy")
        names |= {f"lightfm_{side}_{part}" for side in _SIDES for part in parts}
    for name, kind in stage.similarities.items():
        names |= {f"{name}_ids.parquet", *(f"{name}_{part}.npy" for part in PARTS[kind])}
    return names


def _read_model(folder: Path, manifest: ModelManifest) -> TwoStageModel:
    ranker, path = manifest.ranker, folder / "ranker.json"
    trees = read_trees(path)
    columns, categories = columns_of(trees["features_info"])
    if (list(columns), list(categories)) != (ranker.columns, ranker.categories):
        raise ValueError("the trees ask for columns that the ranker does not name")
    return TwoStageModel(
        _read_stage(folder, manifest.stage),
        Ranker(
            read_forests(trees),
            partial(_opened_trees, path, manifest.files[path.name]),
            columns,
            categories,
            Calibration(ranker.calibration.slope, ranker.calibration.intercept),
            ranker.score,
        ),
        manifest.trained_through,
    )


def _without_delivery(settings: CandidatesSettings) -> CandidatesSettings:
    """Return the settings of the sources without where external candidates lay: a secret, maybe."""
    external = settings.external
    nowhere = external.model_copy(update={"path": external.path and DAY_PLACE, "columns": {}})
    return settings.model_copy(update={"external": nowhere})


def _opened_trees(path: Path, judged_hash: str) -> "CatBoost":
    from catboost import CatBoostError

    try:
        if sha256_of(path) == judged_hash:
            return open_trees(path)
    except (OSError, CatBoostError) as error:
        raise damaged(path, f"the model's trees cannot be read: {error}") from None
    raise damaged(path, "the model's file is no longer the one that was opened")


def _read_stage(folder: Path, stored: StageManifest) -> CandidateStage:
    encoders = Encoders(*(read_encoder(folder / f"{side}_encoder.json") for side in _SIDES))
    lightfm = None
    if stored.lightfm:
        sizes = encoders.users.size, encoders.items.size
        users, items = (
            read_side(folder, f"lightfm_{side}", size, kind)
            for side, size, kind in zip(_SIDES, sizes, stored.id_types, strict=True)
        )
        if users.vectors.shape[1] != items.vectors.shape[1]:
            raise ValueError("the vectors of users and items differ in length")
        lightfm = LightFMModel(users, items)
    return CandidateStage(
        settings=CandidatesSettings.model_validate(stored.settings),
        encoders=encoders,
        newest_event=stored.newest_event,
        id_types=(stored.id_types[0], stored.id_types[1]),
        lightfm=lightfm,
        similarities={
            name: read_similarity(folder, name, kind, stored.id_types[1])
            for name, kind in stored.similarities.items()
        },
        max_categories=stored.max_categories,
        filter_viewed=stored.filter_viewed,
    )


def _version(files: Mapping[str, str], described: ModelFacts) -> str:
    return f"{described.trained_through}-{sha256_of_json([files, described.as_json()])[:8]}"


def _described(model: TwoStageModel) -> ModelFacts:
    stage, ranker = model.stage, model.ranker
    return ModelFacts(
        trained_through=model.trained_through,
        stage=StageManifest(
            settings=_without_delivery(stage.settings).model_dump(mode="json"),
            newest_event=stage.newest_event,
            id_types=list(stage.id_types),
            lightfm=stage.lightfm is not None,
            similarities={
                name: "sparse" if sparse.issparse(similarity.weights) else "dense"
                for name, similarity in stage.similarities.items()
            },
            max_categories=stage.max_categories,
            filter_viewed=stage.filter_viewed,
        ),
        ranker=RankerManifest(
            columns=list(ranker.columns),
            categories=list(ranker.categories),
            calibration=CalibrationManifest(
                slope=ranker.calibration.slope, intercept=ranker.calibration.intercept
            ),
            score=ranker.score,
        ),
    )

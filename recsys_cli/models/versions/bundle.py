"""A model version on disk: arrays, ids and trees, no pickle; the manifest is written last.

ids and vocabularies: parquet and JSON. Vectors and similarities: `.npy`, opened memory-mapped. Trees:
JSON as CatBoost exports it.
The manifest has each file's hash, and one of itself.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from recsys_cli.configs.composition import compose_candidates
from recsys_cli.configs.event_sections import EventMeaning
from recsys_cli.data_preparation.features.definition import feature_definitions
from recsys_cli.models.candidates.definition import Stored
from recsys_cli.models.candidates.registry import sources
from recsys_cli.models.candidates.stage import CandidateStage
from recsys_cli.models.feature_encoding import Encoders
from recsys_cli.models.reranking.calibration import Calibration
from recsys_cli.models.reranking.ranker import Ranker
from recsys_cli.models.reranking.tree_ensemble import (
    as_json,
    columns_of,
    open_trees,
    read_forests,
    read_trees,
)
from recsys_cli.models.two_stage import TwoStageModel
from recsys_cli.models.versions.array_files import (
    SIDES,
    StoredFit,
    damaged,
    read_encoder,
    require_own,
    write_encoder,
    write_fit,
)
from recsys_cli.models.versions.manifest_schema import (
    CalibrationManifest,
    ModelFacts,
    ModelManifest,
    RankerManifest,
    StageManifest,
    TrainingFacts,
)
from recsys_cli.models.versions.older_manifests import OLD_SCHEMA_VERSION, upgraded
from recsys_cli.models.versions.plugins import check_plugins, needed_plugins
from recsys_cli.utils.dates import day_start
from recsys_cli.utils.storage.hashing import sha256_of, sha256_of_json
from recsys_cli.utils.storage.json_files import read_sealed_json, write_json, write_sealed_json

if TYPE_CHECKING:
    from catboost import CatBoost

MANIFEST = "manifest.json"
NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)  # of a version
SCHEMA_VERSION = 5


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
    for side in SIDES:
        write_encoder(getattr(stage.encoders, side), folder / f"{side}_encoder.json")
    fits = {name: write_fit(_stored(name, fit), folder, name) for name, fit in stage.fits.items()}
    write_json(folder / "ranker.json", as_json(model.ranker.model))
    described = _described(model, fits)
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
        if stored.get("schema_version") == OLD_SCHEMA_VERSION:
            stored = upgraded(stored)
        elif stored.get("schema_version") != SCHEMA_VERSION:
            raise ValueError("it was written by another version of recsys")
        manifest = ModelManifest.read(stored)
        if set(manifest.files) != _files(manifest.stage):
            raise ValueError("it names other files than a model has")
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(folder / MANIFEST, f"the model's manifest cannot be read: {error}") from None
    return manifest


def verified_manifest(folder: Path) -> ModelManifest:
    """Return a version's manifest after checking every file against its hash.

    Raises: ModelError that names the file that is missing or damaged.
    """
    manifest = read_manifest(folder)
    for name, expected in manifest.files.items():
        require_own(folder / name)
        _check_hash(folder / name, expected)
    return manifest


def _check_hash(file: Path, expected: str) -> None:
    what = "the model's file is missing or differs from its recorded hash"
    try:
        if sha256_of(file) == expected:
            return
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            what = f"the model's file cannot be read: {error.strerror}"
    raise damaged(file, what)


def read_bundle(folder: Path) -> Bundle:
    """Read a model version after checking every file against its hash.

    Raises: ModelError that names the file that is missing or damaged.
    """
    manifest = verified_manifest(folder)
    check_plugins(manifest.plugins, folder)
    try:
        return Bundle(manifest.version, _read_model(folder, manifest), manifest)
    except (
        OSError,
        EOFError,
        ArithmeticError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        pl.exceptions.PolarsError,
        pl.exceptions.PanicException,
    ) as error:
        raise damaged(folder, f"the model's files are not valid: {error}") from None


def _files(stage: StageManifest) -> set[str]:
    """Return the names of a version's files, the manifest aside."""
    names = {"ranker.json", *(f"{side}_encoder.json" for side in SIDES)}
    return names | {f"{source}_{end}" for source, ends in stage.fits.items() for end in ends}


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


def _opened_trees(path: Path, expected_hash: str) -> "CatBoost":
    from catboost import CatBoostError

    try:
        if sha256_of(path) == expected_hash:
            return open_trees(path)
    except (OSError, CatBoostError) as error:
        raise damaged(path, f"the model's trees cannot be read: {error}") from None
    raise damaged(path, "the model's file is no longer the one that was opened")


def _stored(source: str, fit: Any) -> Stored:
    store = sources()[source].store
    assert store is not None
    return store(fit)


def _read_stage(folder: Path, stored: StageManifest) -> CandidateStage:
    encoders = Encoders(*(read_encoder(folder / f"{side}_encoder.json") for side in SIDES))
    known, id_types = sources(), (stored.id_types[0], stored.id_types[1])
    tree = compose_candidates({name: one.settings for name, one in known.items() if name in stored.sources})
    fits = {}
    for name, ends in stored.fits.items():
        read = known[name].read
        if read is None:
            raise ValueError(f"the source {name} stores nothing")
        fits[name] = read(StoredFit(folder, name, ends, encoders, id_types))
    return CandidateStage(
        settings=tree.model_validate(stored.sources),
        encoders=encoders,
        newest_event=stored.newest_event,
        id_types=id_types,
        fits=fits,
        max_categories=stored.max_categories,
        filter_viewed=stored.filter_viewed,
        features={
            name: feature_definitions()[name].settings.model_validate(section)
            for name, section in stored.features.items()
        },
        events=EventMeaning.model_validate(stored.events or {}),
    )


def _version(files: Mapping[str, str], described: ModelFacts) -> str:
    return f"{described.trained_through}-{sha256_of_json([files, described.as_json()])[:8]}"


def _described(model: TwoStageModel, fits: Mapping[str, Sequence[str]]) -> ModelFacts:
    stage, ranker = model.stage, model.ranker
    return ModelFacts(
        trained_through=model.trained_through,
        stage=StageManifest(
            sources={
                name: section.recorded().model_dump(mode="json")
                for name, section in stage.settings.sections().items()
            },
            fits={name: list(ends) for name, ends in fits.items()},
            features={name: one.model_dump(mode="json") for name, one in stage.features.items()},
            newest_event=stage.newest_event,
            id_types=list(stage.id_types),
            max_categories=stage.max_categories,
            filter_viewed=stage.filter_viewed,
            **({"events": stage.events.model_dump(mode="json")} if stage.events.types else {}),
        ),
        ranker=RankerManifest(
            columns=list(ranker.columns),
            categories=list(ranker.categories),
            calibration=CalibrationManifest(
                slope=ranker.calibration.slope, intercept=ranker.calibration.intercept
            ),
            score=ranker.score,
        ),
        plugins=needed_plugins(stage),
    )

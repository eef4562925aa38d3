"""A model version on disk: arrays, ids and trees, no pickle; the manifest is written last.

ids and vocabularies: parquet and JSON. Vectors and similarities: `.npy`, opened memory-mapped. Trees:
CatBoost's own `.cbm`, to explain, and the same as JSON, to score.
The manifest has each file's hash, and one of itself.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from scipy import sparse

from recsys_cli.configs.candidate_sections import CandidatesSettings
from recsys_cli.models.calibration import Calibration
from recsys_cli.models.candidates.lightfm import LightFMModel, LightFMSide
from recsys_cli.models.candidates.similarity import SimilarityModel, Weights
from recsys_cli.models.candidates.stage import CandidateStage
from recsys_cli.models.encoding import Encoders, FeatureEncoder
from recsys_cli.models.forest import as_json, read_forests, save_trees
from recsys_cli.models.ranker import Ranker
from recsys_cli.models.two_stage import TwoStageModel
from recsys_cli.utils.array_files import open_array
from recsys_cli.utils.dates import day_start
from recsys_cli.utils.errors import ModelError
from recsys_cli.utils.files import (
    as_system_error,
    read_json,
    read_sealed_json,
    sha256_of,
    sha256_of_json,
    write_json,
    write_sealed_json,
)

if TYPE_CHECKING:
    from catboost import CatBoost

MANIFEST = "manifest.json"
SCHEMA_VERSION = 3
_SIDES = ("users", "items")
_PLACES = ("indptr", "indices")
_PARTS = {"sparse": (*_PLACES, "data"), "dense": ("weights",)}
_FLOAT = np.dtype(np.float32)
_INTEGERS = (np.dtype(np.int32), np.dtype(np.int64))


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
    stage = model.stage
    for side in _SIDES:
        encoder = getattr(stage.encoders, side)
        write_json(folder / f"{side}_encoder.json", {"edges": encoder.edges, "values": encoder.values})
        if stage.lightfm is not None:
            _write_side(getattr(stage.lightfm, side), folder, f"lightfm_{side}")
    for name, similarity in stage.similarities.items():
        _write_similarity(similarity, folder, name)
    save_trees(model.ranker.model, folder / "ranker.cbm")
    write_json(folder / "ranker.json", as_json(model.ranker.model))
    described = _described(model)
    files = {name: sha256_of(folder / name) for name in _files(described["stage"])}
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
        if manifest["schema_version"] != SCHEMA_VERSION or set(manifest["files"]) != _files(
            manifest["stage"]
        ):
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
    except (
        OSError,
        EOFError,
        LookupError,
        ValueError,
        TypeError,
        AttributeError,
        pl.exceptions.PolarsError,
    ) as error:
        raise _damaged(folder, f"the model's files do not hold what their names say: {error}") from None


def _files(stage: Mapping[str, Any]) -> set[str]:
    """Return the names of a version's files, the manifest aside."""
    names = {"ranker.cbm", "ranker.json", *(f"{side}_encoder.json" for side in _SIDES)}
    if stage["lightfm"]:
        parts = ("ids.parquet", "vectors.npy", "biases.npy")
        names |= {f"lightfm_{side}_{part}" for side in _SIDES for part in parts}
    for name, kind in stage["similarities"].items():
        names |= {f"{name}_ids.parquet", *(f"{name}_{part}.npy" for part in _PARTS[kind])}
    return names


def _read_model(folder: Path, manifest: Mapping[str, Any]) -> TwoStageModel:
    ranker, forests = manifest["ranker"], read_forests(read_json(folder / "ranker.json"))
    if not {slot.column for slot in forests.all.slots} <= set(ranker["columns"]):
        raise ValueError("the trees ask for columns that the ranker does not name")
    return TwoStageModel(
        _read_stage(folder, manifest["stage"]),
        Ranker(
            forests,
            partial(_open_trees, folder / "ranker.cbm"),
            tuple(ranker["columns"]),
            tuple(ranker["categories"]),
            Calibration(**ranker["calibration"]),
            ranker["score"],
        ),
        date.fromisoformat(manifest["trained_through"]),
    )


def _open_trees(path: Path) -> "CatBoost":
    from catboost import CatBoost, CatBoostError

    try:
        return CatBoost().load_model(str(path))
    except CatBoostError as error:
        raise _damaged(path, f"the model's trees cannot be read: {error}") from None


def _read_stage(folder: Path, told: Mapping[str, Any]) -> CandidateStage:
    encoders = Encoders(*(_read_encoder(folder / f"{side}_encoder.json") for side in _SIDES))
    lightfm = None
    if told["lightfm"]:
        sizes = encoders.users.size, encoders.items.size
        users, items = (
            _read_side(folder, f"lightfm_{side}", size) for side, size in zip(_SIDES, sizes, strict=True)
        )
        if users.vectors.shape[1] != items.vectors.shape[1]:
            raise ValueError("the vectors of users and items differ in length")
        lightfm = LightFMModel(users, items)
    return CandidateStage(
        settings=CandidatesSettings.model_validate(told["settings"]),
        encoders=encoders,
        newest_event=datetime.fromisoformat(told["newest_event"]),
        id_types=tuple(told["id_types"]),
        lightfm=lightfm,
        similarities={
            name: _read_similarity(folder, name, kind) for name, kind in told["similarities"].items()
        },
        max_categories=told["max_categories"],
        filter_viewed=told["filter_viewed"],
    )


def _version(files: Mapping[str, str], described: Mapping[str, Any]) -> str:
    return f"{described['trained_through']}-{sha256_of_json([files, described])[:8]}"


def _described(model: TwoStageModel) -> dict[str, Any]:
    stage, ranker = model.stage, model.ranker
    return {
        "trained_through": str(model.trained_through),
        "stage": {
            "settings": stage.settings.model_dump(mode="json"),
            "newest_event": stage.newest_event.isoformat(),
            "id_types": list(stage.id_types),
            "lightfm": stage.lightfm is not None,
            "similarities": {
                name: "sparse" if sparse.issparse(similarity.weights) else "dense"
                for name, similarity in stage.similarities.items()
            },
            "max_categories": stage.max_categories,
            "filter_viewed": stage.filter_viewed,
        },
        "ranker": {
            "columns": list(ranker.columns),
            "categories": list(ranker.categories),
            "calibration": asdict(ranker.calibration),
            "score": ranker.score,
        },
    }


def _read_encoder(path: Path) -> FeatureEncoder:
    told = read_json(path)
    encoder = FeatureEncoder(
        edges={feature: tuple(edges) for feature, edges in told["edges"].items()},
        values={feature: tuple(values) for feature, values in told["values"].items()},
    )
    if not all(_ascend(edges, (float, int)) and np.isfinite(edges).all() for edges in encoder.edges.values()):
        raise ValueError(f"{path.name} has edges that are no ascending numbers")
    if not all(_ascend(values, (str,)) for values in encoder.values.values()):
        raise ValueError(f"{path.name} has values that are no texts in order")
    for values in encoder.values.values():
        "".join(values).encode()  # half a character is no text
    return encoder


def _ascend(values: tuple[Any, ...], kinds: tuple[type, ...]) -> bool:
    """Tell whether values are all of these types, in order and none of them twice."""
    return all(type(value) in kinds for value in values) and all(
        one < other for one, other in zip(values, values[1:], strict=False)
    )


def _write_side(side: LightFMSide, folder: Path, name: str) -> None:
    _write_ids(side.ids, folder, name)
    _write_array(side.vectors, folder, f"{name}_vectors")
    _write_array(side.biases, folder, f"{name}_biases")


def _read_side(folder: Path, name: str, features: int) -> LightFMSide:
    ids = _read_ids(folder, name)
    vectors = open_array(folder / f"{name}_vectors.npy", [_FLOAT], 2)
    biases = open_array(folder / f"{name}_biases.npy", [_FLOAT], 1)
    rows = len(ids) + features
    if not ids.is_sorted():
        raise _damaged(folder / f"{name}_ids.parquet", "the model's ids are in no order")
    if len(vectors) != rows or len(biases) != rows:
        raise _damaged(folder / f"{name}_vectors.npy", "the model's vectors do not fit its ids")
    return LightFMSide(ids, vectors, biases)


def _write_similarity(model: SimilarityModel, folder: Path, name: str) -> None:
    _write_ids(model.ids, folder, name)
    kind = "sparse" if sparse.issparse(model.weights) else "dense"
    for part in _PARTS[kind]:
        array = model.weights if kind == "dense" else getattr(model.weights, part)
        _write_array(np.asarray(array), folder, f"{name}_{part}")


def _read_similarity(folder: Path, name: str, kind: str) -> SimilarityModel:
    ids = _read_ids(folder, name)
    shape = (len(ids), len(ids))
    weights: Weights
    if kind == "sparse":
        indptr, indices = (open_array(folder / f"{name}_{part}.npy", _INTEGERS, 1) for part in _PLACES)
        data = open_array(folder / f"{name}_data.npy", [_FLOAT], 1)
        weights = sparse.csr_matrix((data, indices, indptr), shape=shape)
        weights.check_format(full_check=True)
    else:
        weights = open_array(folder / f"{name}_weights.npy", [_FLOAT], 2)
    if weights.shape != shape:
        raise _damaged(folder / f"{name}_ids.parquet", "the model's similarities do not fit its ids")
    return SimilarityModel(ids, weights)


def _write_ids(ids: pl.Series, folder: Path, name: str) -> None:
    path = folder / f"{name}_ids.parquet"
    with as_system_error(path, pl.exceptions.ComputeError):
        ids.rename("id").to_frame().write_parquet(path)


def _read_ids(folder: Path, name: str) -> pl.Series:
    return pl.read_parquet(folder / f"{name}_ids.parquet")["id"]


def _write_array(array: np.ndarray, folder: Path, name: str) -> None:
    np.save(folder / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)


def _damaged(path: Path, what: str) -> ModelError:
    return ModelError(
        what, where=str(path), fix="promote another version (recsys models list), or run `recsys train` again"
    )

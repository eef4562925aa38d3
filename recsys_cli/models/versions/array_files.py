"""The arrays, ids and vocabularies of a model version, each judged as it is read.

They come from anywhere. Their hashes were checked before, but whoever wrote a file may have written its hash.
"""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy import sparse

from recsys_cli.models.candidates.sources.lightfm import LightFMSide
from recsys_cli.models.candidates.sources.similarity import SimilarityModel, Weights
from recsys_cli.models.feature_encoding import FeatureEncoder
from recsys_cli.utils.errors import ModelError
from recsys_cli.utils.storage.atomic_files import as_system_error
from recsys_cli.utils.storage.json_files import read_json, write_json
from recsys_cli.utils.storage.npy_files import open_array

_PLACES = ("indptr", "indices")
PARTS = {"sparse": (*_PLACES, "data"), "dense": ("weights",)}
_FLOAT = np.dtype(np.float32)
_INTEGERS = (np.dtype(np.int32), np.dtype(np.int64))


def write_encoder(encoder: FeatureEncoder, path: Path) -> None:
    """Write a vocabulary as JSON."""
    write_json(path, {"edges": encoder.edges, "values": encoder.values})


def read_encoder(path: Path) -> FeatureEncoder:
    """Return the vocabulary in a file.

    Raises: OSError, ValueError, TypeError, LookupError or AttributeError for a file that holds none.
    """
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


def write_side(side: LightFMSide, folder: Path, name: str) -> None:
    """Write what LightFM learnt of users or items."""
    _write_ids(side.ids, folder, name)
    _write_array(side.vectors, folder, f"{name}_vectors")
    _write_array(side.biases, folder, f"{name}_biases")


def read_side(folder: Path, name: str, features: int, id_type: str) -> LightFMSide:
    """Return what LightFM learnt of users or items.

    Args:
        features: columns of the declared features; id_type: polars type of the ids, as text.

    Raises: ModelError; OSError, ValueError or PolarsError for files that hold nothing of the kind.
    """
    vectors = open_array(folder / f"{name}_vectors.npy", [_FLOAT], 2)
    biases = open_array(folder / f"{name}_biases.npy", [_FLOAT], 1)
    if len(vectors) < features or len(biases) != len(vectors):
        raise damaged(folder / f"{name}_vectors.npy", "the model's vectors do not fit its features")
    ids = _read_ids(folder, name, id_type, len(vectors) - features)
    if not ids.is_sorted():
        raise damaged(folder / f"{name}_ids.parquet", "the model's ids are in no order")
    return LightFMSide(ids, vectors, biases)


def write_similarity(model: SimilarityModel, folder: Path, name: str) -> None:
    """Write what a source learnt of pairs of items."""
    _write_ids(model.ids, folder, name)
    kind = "sparse" if sparse.issparse(model.weights) else "dense"
    for part in PARTS[kind]:
        array = model.weights if kind == "dense" else getattr(model.weights, part)
        _write_array(np.asarray(array), folder, f"{name}_{part}")


def read_similarity(folder: Path, name: str, kind: str, id_type: str) -> SimilarityModel:
    """Return what a source learnt of pairs of items.

    Args:
        kind: "sparse" or "dense"; id_type: polars type of the ids, as text.

    Raises: ModelError; OSError, ValueError or PolarsError for files that hold nothing of the kind.
    """
    weights = _read_sparse(folder, name) if kind == "sparse" else _read_dense(folder, name)
    return SimilarityModel(_read_ids(folder, name, id_type, weights.shape[0]), weights)


def require_own(path: Path) -> None:
    """Refuse a file or folder of a model that is a link, wherever it leads.

    Raises: ModelError.
    """
    if path.is_symlink():
        raise ModelError(
            "a model is read from its own folder alone, and this is a symlink",
            where=str(path),
            fix="put what it leads to in its place, if you know who made it; or promote another version "
            "(recsys models list)",
        )


def damaged(path: Path, what: str) -> ModelError:
    """Return the error of a file that is not what was trained."""
    return ModelError(
        what, where=str(path), fix="promote another version (recsys models list), or run `recsys train` again"
    )


def _read_sparse(folder: Path, name: str) -> Weights:
    indptr, indices = (open_array(folder / f"{name}_{part}.npy", _INTEGERS, 1) for part in _PLACES)
    data = open_array(folder / f"{name}_data.npy", [_FLOAT], 1)
    weights = sparse.csr_matrix((data, indices, indptr), shape=(len(indptr) - 1, len(indptr) - 1))
    weights.check_format(full_check=True)
    return weights


def _read_dense(folder: Path, name: str) -> Weights:
    weights = open_array(folder / f"{name}_weights.npy", [_FLOAT], 2)
    if weights.shape[0] != weights.shape[1]:
        raise damaged(folder / f"{name}_weights.npy", "the model's similarities are no square")
    return weights


def _write_ids(ids: pl.Series, folder: Path, name: str) -> None:
    path = folder / f"{name}_ids.parquet"
    with as_system_error(path, pl.exceptions.ComputeError):
        ids.rename("id").to_frame().write_parquet(path)


def _read_ids(folder: Path, name: str, id_type: str, count: int) -> pl.Series:
    """Return ids, `count` different ones of that type; a longer file is not read to its end."""
    path = folder / f"{name}_ids.parquet"
    ids = pl.read_parquet(path, n_rows=count + 1)["id"]
    if len(ids) != count:
        raise damaged(path, f"the model's ids are not the {count} that its numbers belong to")
    if str(ids.dtype) != id_type or ids.null_count() or ids.n_unique() != count:
        raise damaged(path, f"the model's ids are no {count} different ones of the type {id_type}")
    return ids


def _write_array(array: np.ndarray, folder: Path, name: str) -> None:
    np.save(folder / f"{name}.npy", np.ascontiguousarray(array), allow_pickle=False)


def _ascend(values: tuple[Any, ...], kinds: tuple[type, ...]) -> bool:
    """Tell whether values are all of these types, in order and none of them twice."""
    return all(type(value) in kinds for value in values) and all(
        one < other for one, other in zip(values, values[1:], strict=False)
    )

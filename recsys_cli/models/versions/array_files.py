"""The arrays, ids and vocabularies of a model version, each validated as it is read.

The files are not trusted: their hashes were checked before, but whoever changed a file may have changed its
hash, too.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from recsys_cli.models.candidates.definition import Stored
from recsys_cli.models.feature_encoding import Encoders, FeatureEncoder
from recsys_cli.models.versions.manifest_schema import FIT_FILE
from recsys_cli.utils.errors import ModelError
from recsys_cli.utils.storage.atomic_writes import as_system_error
from recsys_cli.utils.storage.json_files import read_json, write_json
from recsys_cli.utils.storage.npy_files import open_array
from recsys_cli.utils.storage.regular_files import MODEL_JSON_BYTES
from recsys_cli.utils.storage.table_files import read_parquet_file

SIDES: Final = ("users", "items")


def write_encoder(encoder: FeatureEncoder, path: Path) -> None:
    """Write a vocabulary as JSON."""
    wide = {"wide": sorted(encoder.wide)} if encoder.wide else {}
    write_json(path, {"edges": encoder.edges, "values": encoder.values, **wide})


def read_encoder(path: Path) -> FeatureEncoder:
    """Return the vocabulary in a file.

    Raises: OSError, ValueError, TypeError, LookupError or AttributeError for a file that holds none.
    """
    stored = read_json(path, MODEL_JSON_BYTES)
    encoder = FeatureEncoder(
        edges={feature: tuple(edges) for feature, edges in stored["edges"].items()},
        values={feature: tuple(values) for feature, values in stored["values"].items()},
        wide=frozenset(stored.get("wide", ())),
    )
    if not encoder.wide <= encoder.values.keys():
        raise ValueError(f"{path.name} has wide features without values")
    if not all(_ascend(edges, (float, int)) and np.isfinite(edges).all() for edges in encoder.edges.values()):
        raise ValueError(f"{path.name} has edges that are no ascending numbers")
    if not all(_ascend(values, (str,)) for values in encoder.values.values()):
        raise ValueError(f"{path.name} has values that are no texts in order")
    for values in encoder.values.values():
        "".join(values).encode()  # half a character is no text
    return encoder


def write_fit(stored: Stored, folder: Path, source: str) -> list[str]:
    """Write what a source has learnt; return the ends of the files' names, behind the source's own.

    Raises: ValueError for a name of something stored that no file can have, or two of one name.
    """
    ends = []
    for name, value in sorted(stored.items()):
        end = f"{name}.parquet" if isinstance(value, pl.Series) else f"{name}.npy"
        path = folder / f"{source}_{end}"
        if not FIT_FILE.fullmatch(end) or path.exists():
            raise ValueError(f"{source} cannot store {name!r}: the name is taken, or no plain word")
        if isinstance(value, pl.Series):
            _write_ids(value, path)
        else:
            np.save(path, np.ascontiguousarray(value), allow_pickle=False)
        ends.append(end)
    return ends


@dataclass(frozen=True)
class StoredFit:
    """What a source has stored in a model version: its `StoredArrays`.

    Attributes:
        ends: of the names of its files.
        id_types: polars types of user and item ids, as text.
    """

    folder: Path
    source: str
    ends: Sequence[str]
    encoders: Encoders
    id_types: Sequence[str]

    @property
    def names(self) -> Collection[str]:
        """Names of what is stored."""
        return [end.rpartition(".")[0] for end in self.ends]

    def array(self, name: str, dtypes: Sequence[Any], dimensions: int) -> np.ndarray:
        """Return an array of one of these types. Raises: ValueError, OSError."""
        return open_array(self._file(f"{name}.npy"), [np.dtype(one) for one in dtypes], dimensions)

    def ids(self, name: str, side: str, count: int) -> pl.Series:
        """Return so many different external ids of the side "users" or "items". Raises: ModelError."""
        id_type = self.id_types[SIDES.index(side)]
        return _read_ids(self._file(f"{name}.parquet"), id_type, count)

    def damaged(self, name: str, what: str) -> ModelError:
        """Return the error for something stored that is not as training wrote it."""
        end = next((one for one in self.ends if one.rpartition(".")[0] == name), name)
        return damaged(self.folder / f"{self.source}_{end}", what)

    def _file(self, end: str) -> Path:
        """Return the path of a file that the manifest names: its hash was checked.

        Raises: ValueError for any other file.
        """
        if end not in self.ends:
            raise ValueError(f"the model has no {self.source}_{end}")
        return self.folder / f"{self.source}_{end}"


def require_own(path: Path) -> None:
    """Refuse a file or folder of a model that is a link, wherever it leads.

    Raises: ModelError.
    """
    if path.is_symlink():
        raise ModelError(
            "a model is read only from its own folder, and this is a symlink",
            where=str(path),
            fix="replace it by the file that it points to, if you know who made it; or promote another "
            "version (recsys models list)",
        )


def damaged(path: Path, what: str) -> ModelError:
    """Return the error for a file that is not as training wrote it."""
    return ModelError(
        what, where=str(path), fix="promote another version (recsys models list), or run `recsys train` again"
    )


def _write_ids(ids: pl.Series, path: Path) -> None:
    with as_system_error(path, pl.exceptions.ComputeError):
        ids.rename("id").to_frame().write_parquet(path)


def _read_ids(path: Path, id_type: str, count: int) -> pl.Series:
    """Return ids, `count` different ones of that type; a longer file is not read to its end."""
    ids = read_parquet_file(path, num_rows=count + 1)["id"]
    if len(ids) != count:
        raise damaged(path, f"the model's ids are not the {count} that its numbers belong to")
    if str(ids.dtype) != id_type or ids.null_count() or ids.n_unique() != count:
        raise damaged(path, f"the model's ids are not {count} different ones of the type {id_type}")
    return ids


def _ascend(values: tuple[Any, ...], kinds: tuple[type, ...]) -> bool:
    """Return whether values are all of these types, in order and none of them twice."""
    return all(type(value) in kinds for value in values) and all(
        one < other for one, other in zip(values, values[1:], strict=False)
    )

"""Manifests of the previous format, converted to today's: no other file knows the old one."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

from recsys_cli.configs.dotted_keys import flat, nested_values
from recsys_cli.configs.renamed_settings import MOVED
from recsys_cli.models.versions.manifest_schema import Name
from recsys_cli.utils.json_schema import validated

OLD_SCHEMA_VERSION: Final = 4
_CELLS: Final = {"sparse": ("indptr.npy", "indices.npy", "data.npy"), "dense": ("weights.npy",)}
_LIGHTFM: Final = [
    f"{side}_{end}" for side in ("users", "items") for end in ("ids.parquet", "vectors.npy", "biases.npy")
]


class _Section(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class _Stage(_Section):
    settings: dict[str, Any]
    lightfm: bool
    similarities: dict[Name, Literal["sparse", "dense"]]


class _Manifest(_Section):
    stage: _Stage
    settings: dict[str, Any]


def upgraded(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest of the format 4 as one of today's; the version and the files stay.

    Raises: ValueError for one that is of no such format.
    """
    old = validated(manifest, _Manifest)
    rest = {key: value for key, value in manifest["stage"].items() if key not in _Stage.model_fields}
    fits = {name: ["ids.parquet", *_CELLS[kind]] for name, kind in old.stage.similarities.items()}
    if old.stage.lightfm:
        fits["lightfm"] = _LIGHTFM
    stage = {"sources": _sources(old.stage.settings), "fits": fits, "features": {}, **rest}
    return {**manifest, "stage": stage, "settings": _renamed(old.settings), "plugins": []}


def _sources(candidates: Mapping[str, Any]) -> dict[str, Any]:
    """Return the old section `candidates` as sections of today's sources."""
    sections = _renamed({"candidates": dict(candidates)})["candidates"]
    knn = sections.pop("item_knn", {})
    for similarity in ("bm25", "cosine"):
        for source in (similarity, f"{similarity}_recent"):
            if similarity not in knn.get("similarities", []) or source in knn.get("without", []):
                sections[source]["num_candidates"] = 0
    return {name: section for name, section in sections.items() if isinstance(section, dict)}


def _renamed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings, a table of sections, with those that have moved at their new places."""
    values = flat(settings)
    moved = {new: values[old] for old, places in MOVED.items() if old in values for new in places}
    return nested_values({key: value for key, value in values.items() if key not in MOVED} | moved)

"""The folder of model versions: listing, promoting, rolling back."""

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from recsys_cli.models.bundle import MANIFEST, read_manifest, verified_manifest
from recsys_cli.utils.errors import ModelError
from recsys_cli.utils.files import read_json, write_json

POINTER = "promoted.json"
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@dataclass(frozen=True)
class ModelVersion:
    """A version as the list shows it."""

    version: str
    trained_through: date
    promoted: bool
    manifest: dict[str, Any]


def model_folder(models: Path, version: str) -> Path:
    """Return the folder of a version.

    Raises: ModelError if the name is not one, or there is no such version.
    """
    folder = models / version
    if _NAME.fullmatch(version) is None or not (folder / MANIFEST).is_file():
        known = ", ".join(_names(models))
        raise ModelError(
            f"there is no model version {version!r}",
            where=str(models),
            fix=(
                f"choose one of recsys models list: {known}" if known else "run `recsys train --date D` first"
            ),
        )
    return folder


def model_versions(models: Path) -> list[ModelVersion]:
    """Return every version, the newest training date first."""
    promoted = _history(models)[-1:]
    versions = []
    for name in _names(models):
        manifest = read_manifest(models / name)
        trained = date.fromisoformat(manifest["trained_through"])
        versions.append(ModelVersion(name, trained, [name] == promoted, manifest))
    return sorted(versions, key=lambda version: (version.trained_through, version.version), reverse=True)


def promoted_version(models: Path) -> str:
    """Return the promoted version.

    Raises: ModelError if there is none.
    """
    history = _history(models)
    if not history:
        raise ModelError(
            "no model is promoted",
            where=str(models),
            fix=(
                "run `recsys train --date D` first"
                if not _names(models)
                else "run `recsys models promote VERSION`"
            ),
        )
    return history[-1]


def promote(models: Path, version: str) -> str | None:
    """Make a version the one that scores; return the one before it.

    Raises: ModelError if there is no such version, or it is damaged.
    """
    verified_manifest(model_folder(models, version))
    history = _history(models)
    before = history[-1] if history else None
    if before != version:
        write_json(models / POINTER, {"schema_version": 1, "history": [*history, version]})
    return before


def rollback(models: Path) -> str:
    """Promote again the version before the last promotion, and return it.

    Raises: ModelError if there is none, or it is damaged.
    """
    history = _history(models)
    if len(history) < 2:
        raise ModelError(
            "no version was promoted before this one",
            where=str(models / POINTER),
            fix="run `recsys models promote VERSION`",
        )
    verified_manifest(model_folder(models, history[-2]))
    write_json(models / POINTER, {"schema_version": 1, "history": history[:-1]})
    return history[-2]


def _names(models: Path) -> list[str]:
    if not models.is_dir():
        return []
    return sorted(f.name for f in models.iterdir() if _NAME.fullmatch(f.name) and (f / MANIFEST).is_file())


def _history(models: Path) -> list[str]:
    pointer = models / POINTER
    if not pointer.exists():
        return []
    try:
        told = read_json(pointer)["history"]
        if not isinstance(told, list) or not all(
            isinstance(name, str) and _NAME.fullmatch(name) for name in told
        ):
            raise ValueError("it holds names that are no versions")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"the pointer to the promoted model cannot be read: {error}",
            where=str(pointer),
            fix="remove it and run `recsys models promote VERSION`",
        ) from None
    return list(told)

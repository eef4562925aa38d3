"""The model versions: listing, promoting, rolling back."""

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from recsys_cli.models.versions.array_files import damaged
from recsys_cli.models.versions.bundle import MANIFEST, NAME, read_manifest, verified_manifest
from recsys_cli.models.versions.manifest_schema import ModelManifest, Name
from recsys_cli.utils.errors import CheckFailedError, ModelError
from recsys_cli.utils.json_record import JsonRecord
from recsys_cli.utils.storage.result_store import Results

POINTER = "promoted.json"

_FEW_USERS = 30  # of a holdout: fewer decide nothing


@dataclass(frozen=True)
class DamagedVersion:
    """A version whose manifest cannot be used, and why."""

    version: str
    error: ModelError


@dataclass(frozen=True)
class ModelVersion:
    """A version as the list shows it."""

    version: str
    trained_through: date
    promoted: bool
    manifest: ModelManifest


class Pointer(JsonRecord):
    """Which version scores.

    Attributes:
        history: the versions as they were promoted, the one that scores last; forced: those of them that do
            not beat recent popularity.
    """

    schema_version: int = 1
    history: list[Name]
    forced: list[Name]


def model_folder(models: Results, version: str) -> Path:
    """Return the folder of a version.

    Raises: ModelError if the name is not one, or there is no such version.
    """
    folder = models.open(version) if NAME.fullmatch(version) else None
    if folder is None or not os.path.lexists(folder / MANIFEST):
        known = ", ".join(_names(models))
        raise ModelError(
            f"there is no model version {version!r}",
            where=str(models),
            fix=(
                f"choose one of recsys models list: {known}" if known else "run `recsys train --date D` first"
            ),
        )
    return folder


def own_manifest(folder: Path) -> ModelManifest:
    """Return the manifest in a version's folder, which is that of this version and of no other.

    Raises: ModelError.
    """
    manifest = read_manifest(folder)
    check_own(manifest, folder)
    return manifest


def check_own(manifest: ModelManifest, folder: Path) -> None:
    """Refuse a manifest that is not that of the version in whose folder it lies.

    Raises: ModelError.
    """
    if manifest.version != folder.name:
        raise damaged(folder / MANIFEST, f"the manifest is that of another version, {manifest.version}")


def model_versions(models: Results) -> tuple[list[ModelVersion], list[DamagedVersion]]:
    """Return every version, the newest training date first, and those that are damaged, by name.

    Raises: ModelError where the pointer to the promoted one cannot be read.
    """
    promoted = _history(models)[-1:]
    versions: list[ModelVersion] = []
    refused: list[DamagedVersion] = []
    for name in _names(models):
        try:
            manifest = own_manifest(models.open(name, [MANIFEST]))
        except ModelError as error:
            refused.append(DamagedVersion(name, error))
        else:
            versions.append(ModelVersion(name, manifest.trained_through, [name] == promoted, manifest))
    versions.sort(key=lambda version: (version.trained_through, version.version), reverse=True)
    return versions, refused


def promoted_version(models: Results) -> str:
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


def status_of(models: Results, version: str) -> str:
    """Return whether a version scores, as text."""
    history = _history(models)
    if version not in history:
        return "not promoted"
    how = "promoted by force" if version in _forced(models) else "promoted"
    return how if version == history[-1] else f"{how} earlier; now {history[-1]} is"


def shortfall(manifest: ModelManifest) -> str:
    """Return why a version has not earned its promotion; empty where it beats recent popularity."""
    duel = manifest.holdout.against_popularity
    if duel is None or duel.difference > 0:
        return ""
    if manifest.holdout.users < _FEW_USERS:
        return (
            f"the {manifest.holdout.users:,} users of the days from {manifest.holdout.first_day} on are too "
            f"few to decide whether it beats recent popularity: {duel.metric} {duel.difference:+.4f} against "
            f"{duel.against}, at least {_FEW_USERS} users are needed"
        )
    return (
        f"in the days from {manifest.holdout.first_day} on it does not beat recent popularity: "
        f"{duel.metric} {duel.difference:+.4f} against {duel.against} "
        f"(95 % {duel.low:+.4f} to {duel.high:+.4f})"
    )


def promote(models: Results, version: str, *, force: bool = False) -> str | None:
    """Make a version the one that scores; return the one before it.

    Args:
        force: promote a version that does not beat recent popularity; the pointer records it.

    Raises: ModelError if there is no such version, or it is damaged; CheckFailedError if it does not beat
        recent popularity.
    """
    folder = model_folder(models, version)
    missing = shortfall(own_manifest(folder))
    verified_manifest(folder)
    if missing and not force:
        raise CheckFailedError(
            f"model {version} is not promoted: {missing}",
            where=models.location_of(version, MANIFEST),
            fix="look at `recsys models show`, improve data or settings and train again; or give --force",
        )
    history, forced = _history(models), _forced(models)
    before = history[-1] if history else None
    if before != version:
        history, forced = [*history, version], [*forced, *([version] if missing else [])]
    _point(models, history, forced)  # also where nothing changes: what a killed command left goes with it
    return before


def rollback(models: Results) -> str:
    """Promote again the version before the last promotion, and return it.

    Raises: ModelError if there is none, or it is damaged.
    """
    history = _history(models)
    if len(history) < 2:
        raise ModelError(
            "no version was promoted before this one",
            where=models.location_of(POINTER),
            fix="run `recsys models promote VERSION`",
        )
    folder = model_folder(models, history[-2])
    own_manifest(folder)
    verified_manifest(folder)
    _point(models, history[:-1], _forced(models))
    return history[-2]


def _names(models: Results) -> list[str]:
    names = [name for name in models.names() if NAME.fullmatch(name)]
    return [name for name in names if os.path.lexists(models.open(name, [MANIFEST]) / MANIFEST)]


def _point(models: Results, history: list[str], forced: list[str]) -> None:
    models.write_note(POINTER, Pointer(schema_version=1, history=history, forced=forced).as_json())


def _forced(models: Results) -> list[str]:
    """Return the versions that were promoted although they do not beat recent popularity."""
    return _pointer(models).forced


def check_pointer(models: Results) -> None:
    """Make sure, before any work is spent, that a version can be promoted.

    Raises: ModelError where the pointer to the promoted one cannot be read.
    """
    _pointer(models)


def is_pointed(models: Results) -> bool:
    """Return whether a version was ever promoted, though the pointer to it may be damaged."""
    try:
        return models.read_note(POINTER) is not None
    except (OSError, ValueError):
        return True


def _history(models: Results) -> list[str]:
    """Return the versions as they were promoted, the one that scores last."""
    return _pointer(models).history


def _pointer(models: Results) -> Pointer:
    """Return the pointer; an empty one where there is none.

    Raises: ModelError if it is damaged.
    """
    try:
        stored = models.read_note(POINTER)
        return Pointer(history=[], forced=[]) if stored is None else Pointer.read(stored)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the pointer to the promoted model cannot be read: {error}",
            where=models.location_of(POINTER),
            fix="remove it and run `recsys models promote VERSION`",
        ) from None

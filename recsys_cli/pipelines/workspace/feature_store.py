"""A day's feature partition on disk: written once, read by every later step, rebuilt when inputs change."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from loguru import logger

from recsys_cli.data_preparation.features.day_features import DayFeatures, build_features, newest_event_age
from recsys_cli.data_preparation.features.partition import EXTERNAL as EXTERNAL_TABLE
from recsys_cli.data_preparation.features.partition import StoredFeatures, write_features
from recsys_cli.data_preparation.readers.local_files import source_files
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.data_preparation.tables.external_candidates import external_files
from recsys_cli.data_preparation.tables.freshness import check_freshness
from recsys_cli.models.candidates.sources.external import EXTERNAL
from recsys_cli.pipelines.workspace.inputs import read_inputs
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.storage.atomic_files import remove_abandoned, staging_folder
from recsys_cli.utils.storage.hashing import sha256_of, sha256_of_json
from recsys_cli.utils.storage.json_files import read_sealed_json, write_sealed_json

SCHEMA_VERSION = 2
AGE = "newest_event_age_days"


@dataclass(frozen=True)
class Partition:
    """A day's features and what identifies them.

    Attributes:
        content_hash: of everything in the partition, and of nothing else.
        reused: whether it was there already.
    """

    features: StoredFeatures
    content_hash: str
    folder: Path
    reused: bool
    events: int


@dataclass(frozen=True)
class ReadInputs:
    """A day's tables, and the fingerprint that their files had before they were read."""

    fingerprint: str
    tables: Tables


Judge = Callable[[DayFeatures], object]  # raises what is wrong with features, before they replace others


def accept(_features: DayFeatures) -> None:
    """Take any features."""


def open_features(
    workspace: Workspace, day: date, judge: Judge = accept, read: ReadInputs | None = None
) -> Partition:
    """Return the partition of `day`, built from the events before it unless it is there for the same inputs.

    Args:
        read: inputs that were read before; None: they are read here.

    Raises: InputError for inputs that cannot be used; OutputError if the partition cannot be written; what
        `judge` raises. The partition that lay there then stays.
    """
    inputs = inputs_fingerprint(workspace, day)
    folder = workspace.features(day)
    manifest = _valid_manifest(folder, inputs)
    if manifest is None:
        manifest = _build(workspace, day, inputs, judge, read)
        reused = False
    else:
        logger.info("features of {} lie there for the same inputs", day)
        remove_abandoned(folder.parent)
        reused = True
        check_freshness(manifest[AGE], workspace.settings.data, day)
    features = _read(folder, day, manifest)
    if reused:
        judge(features)
    return Partition(features, manifest["content_hash"], folder, reused, manifest["events"])


def has_features(workspace: Workspace, day: date) -> bool:
    """Return whether the partition of `day` is there for the inputs as they are now.

    Raises: InputError for files of inputs that are not there.
    """
    return _valid_manifest(workspace.features(day), inputs_fingerprint(workspace, day)) is not None


def stored_partition(workspace: Workspace, day: date, content_hash: str) -> Partition | None:
    """Return the partition of `day` with this content, whatever the inputs are now; None if it is gone."""
    folder = workspace.features(day)
    try:
        manifest = read_sealed_json(folder / "manifest.json")
        wanted = manifest["schema_version"] == SCHEMA_VERSION and manifest["content_hash"] == content_hash
        if not wanted or not _is_intact(folder, manifest):
            return None
    except (OSError, ValueError):
        return None
    return Partition(_read(folder, day, manifest), content_hash, folder, True, manifest["events"])


def check_unchanged(workspace: Workspace, partition: Partition) -> None:
    """Stop where the inputs, or a partition that is read bit by bit, are no longer those that were opened.

    Raises: InputError.
    """
    try:
        manifest = read_sealed_json(partition.folder / "manifest.json")
    except (OSError, ValueError):
        manifest = {}
    if manifest.get("content_hash") != partition.content_hash:
        raise InputError(
            "the features were replaced while they were read: the lists would be of both",
            where=str(partition.folder),
            fix="run it again; nothing was published",
        )
    _require_same(workspace, partition.features.day, manifest["inputs"])


def _require_same(workspace: Workspace, day: date, inputs: str) -> None:
    if inputs_fingerprint(workspace, day) != inputs:
        data = workspace.settings.data
        raise InputError(
            "the inputs have changed during the run: what was read is of the old and the new ones",
            where=", ".join(
                table.path for table in (data.interactions, data.users, data.items) if table.path
            ),
            fix="run it again once they are complete; deliver a file under another name, then rename it",
        )


def _build(
    workspace: Workspace, day: date, inputs: str, judge: Judge, read: ReadInputs | None
) -> dict[str, Any]:
    settings, folder = workspace.settings, workspace.features(day)
    if read is not None and read.fingerprint == inputs:
        tables = read.tables
    else:
        tables = read_inputs(workspace, day, external_days=[day])
    _require_same(workspace, day, inputs)
    age_days = round(newest_event_age(tables).total_seconds() / 86_400, 3)
    check_freshness(age_days, settings.data, day)
    features = build_features(tables, settings.features)
    judge(features)
    with staging_folder(folder.parent) as part:
        files = {name: sha256_of(part / name) for name in write_features(features, part)}
        manifest = {
            "schema_version": SCHEMA_VERSION,
            "date": str(day),
            "inputs": inputs,
            "files": files,
            "content_hash": sha256_of_json([files, str(day)]),
            "user_features": features.user_features,
            "item_features": features.item_features,
            "users": len(features.users),
            "items": len(features.items),
            "events": len(tables.events),
            AGE: age_days,
        }
        write_sealed_json(part / "manifest.json", manifest)
        workspace.partitions.put(part, folder.name)
    return manifest


def inputs_fingerprint(workspace: Workspace, day: date) -> str:
    """Return a hash of the sources as files, and of the settings that read them.

    Raises: InputError for files that are not there.
    """
    data = workspace.settings.data
    tables = [table for table in (data.interactions, data.users, data.items) if table.path]
    files = [file for table in tables for file in source_files(table, workspace.root)]
    external = external_files(EXTERNAL.section(workspace.settings.candidates), workspace.root, [day])
    files += [file for found in external.values() for file in found]
    states = [
        (os.path.relpath(file, workspace.root), file.stat().st_size, file.stat().st_mtime_ns)
        for file in files
    ]
    return sha256_of_json([states, workspace.feature_settings_hash()])


def _valid_manifest(folder: Path, inputs: str) -> dict[str, Any] | None:
    """Return the partition's manifest if it was made from the same inputs and is intact."""
    try:
        manifest = read_sealed_json(folder / "manifest.json")
        same = manifest["schema_version"] == SCHEMA_VERSION and manifest["inputs"] == inputs
        intact = same and _is_intact(folder, manifest)
    except (OSError, ValueError):
        return None
    if same and not intact:
        logger.warning("the feature partition {} is damaged and is built again", folder)
    return dict(manifest) if intact else None


def _is_intact(folder: Path, manifest: dict[str, Any]) -> bool:
    return all(sha256_of(folder / name) == expected for name, expected in manifest["files"].items())


def _read(folder: Path, day: date, manifest: dict[str, Any]) -> StoredFeatures:
    names = tuple(manifest["user_features"]), tuple(manifest["item_features"])
    return StoredFeatures(folder, day, *names, f"{EXTERNAL_TABLE}.parquet" in manifest["files"])

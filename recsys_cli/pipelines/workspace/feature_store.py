"""A day's feature partition on disk: written once, read by every later step, rebuilt when inputs change."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from loguru import logger
from pydantic import Field

from recsys_cli.data_preparation.features.day_features import build_features
from recsys_cli.data_preparation.features.feature_tables import DayFeatures
from recsys_cli.data_preparation.features.partition import (
    EXTERNAL,
    ITEMS,
    TABLES,
    USERS,
    StoredFeatures,
    write_features,
)
from recsys_cli.data_preparation.readers.row_sources import shown_source
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.data_preparation.tables.entity_problems import feature_names
from recsys_cli.data_preparation.tables.freshness import check_freshness
from recsys_cli.data_preparation.tables.input_figures import InputFigures
from recsys_cli.pipelines.workspace.input_check import InputCheck, read_figures
from recsys_cli.pipelines.workspace.inputs import read_inputs
from recsys_cli.pipelines.workspace.layout import MANIFEST
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.json_record import Count, Day, Figure, JsonRecord, Sha256, Word
from recsys_cli.utils.storage.atomic_writes import remove_abandoned, staging_folder
from recsys_cli.utils.storage.folder_exchange import check_replaceable
from recsys_cli.utils.storage.hashing import sha256_of, sha256_of_json
from recsys_cli.utils.storage.json_files import read_sealed_json, write_sealed_json
from recsys_cli.utils.storage.safe_paths import path_below
from recsys_cli.utils.storage.table_files import scan_parquet_file

SCHEMA_VERSION = 2
_FILES = {f"{table}.parquet" for table in TABLES}
_NEEDED = _FILES - {f"{EXTERNAL}.parquet"}


class PartitionManifest(JsonRecord):
    """The manifest of a feature partition.

    Attributes:
        inputs: the fingerprint of the inputs that it was built from.
        files: SHA-256 by name; content_hash: of all of them.
        figures: of the inputs; accepted: those beyond their bounds that were let through.
    """

    schema_version: Count
    day: Day = Field(alias="date")
    inputs: Word
    files: dict[Word, Sha256]
    content_hash: Sha256
    user_features: list[Word]
    item_features: list[Word]
    users: Count
    items: Count
    events: Count
    newest_event_age_days: Figure
    figures: InputFigures | None = None
    accepted: list[Word] = Field(default_factory=list)


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
    newest_event_age_days: float


@dataclass(frozen=True)
class ReadInputs:
    """A day's tables, and the fingerprint that their files had before they were read."""

    fingerprint: str
    tables: Tables


FeatureCheck = Callable[
    [DayFeatures], object
]  # raises what is wrong with features, before they replace others


def accept(_features: DayFeatures) -> None:
    """Accept any features."""


def open_features(
    day: ScoringDay,
    check: FeatureCheck = accept,
    read: ReadInputs | None = None,
    lock: AbstractContextManager[object] | None = None,
    inputs: InputCheck | None = None,
) -> Partition:
    """Return the partition of `day`, built from the events before it unless it is there for the same inputs.

    Args:
        read: inputs that were read before; None: they are read here.
        lock: of the day, to be taken where the partition must be built; None: the caller holds it.
        inputs: how the inputs are compared with earlier ones; None: not at all.

    Raises: InputError for inputs that cannot be used, or that `inputs` refuses; OutputError if the partition
        cannot be written; what `check` raises. The partition that lay there then stays.
    """
    fingerprint, folder = day.inputs_fingerprint(), day.features
    manifest = _valid_manifest(day, folder, fingerprint)
    if manifest is None and lock is not None:
        with lock:
            return open_features(day, check, read, inputs=inputs)
    if manifest is None:
        manifest = _build(day, ReadInputs(fingerprint, _tables(day, fingerprint, read)), check, inputs)
        return _partition(folder, manifest, reused=False)
    logger.info("features of {} exist for the same inputs", day)
    remove_abandoned(folder.parent)
    if inputs is not None:
        _check_again(inputs, manifest)
    partition = _partition(folder, manifest, reused=True)
    check(partition.features)
    return partition


def has_features(day: ScoringDay) -> bool:
    """Return whether the partition of `day` is there for the inputs as they are now.

    Raises: InputError for files of inputs that are not there.
    """
    return _valid_manifest(day, day.features, day.inputs_fingerprint()) is not None


def stored_partition(day: ScoringDay, content_hash: str) -> Partition | None:
    """Return the partition of `day` with this content, whatever the inputs are now; None if it is gone."""
    folder = day.features
    try:
        manifest = _read_manifest(folder)
        if manifest.content_hash != content_hash or not _is_intact(folder, manifest):
            return None
    except (OSError, ValueError):
        return None
    return _partition(folder, manifest, reused=True)


def check_unchanged(day: ScoringDay, partition: Partition) -> None:
    """Stop where the inputs, or a partition that is read bit by bit, are no longer those that were opened.

    Raises: InputError.
    """
    manifest = None
    try:
        manifest = _read_manifest(partition.folder)
    except (OSError, ValueError):
        pass
    if manifest is None or manifest.content_hash != partition.content_hash:
        raise InputError(
            "the features were replaced while they were read: the lists would mix both",
            where=str(partition.folder),
            fix="run it again; nothing was published",
        )
    _require_same(day, manifest.inputs)


def _require_same(day: ScoringDay, inputs: str) -> None:
    if day.inputs_fingerprint() != inputs:
        data = day.workspace.settings.data
        raise InputError(
            "the inputs have changed during the run: the run has read a mix of both versions",
            where=", ".join(
                table.path or shown_source(table, day.workspace.root)
                for table in (data.interactions, data.users, data.items)
                if table.is_given
            ),
            fix="run it again once they are complete; deliver a file under another name, then rename it",
        )


def _check_again(inputs: InputCheck, manifest: PartitionManifest) -> None:
    """Compare the inputs that a stored partition was built from; an older one has their age alone."""
    if manifest.figures is not None:
        inputs.let_through(manifest.figures, manifest.accepted)
    elif not inputs.accept:
        check_freshness(manifest.newest_event_age_days, inputs.day.workspace.settings.data, inputs.day.date)


def _tables(day: ScoringDay, fingerprint: str, read: ReadInputs | None) -> Tables:
    """Return the inputs that were read before, if they are the same, else as they are read now."""
    check_replaceable(day.features)
    if read is not None and read.fingerprint == fingerprint:
        return read.tables
    return read_inputs(day.workspace, day.date, feature_days=[day.date])


def _build(
    day: ScoringDay, read: ReadInputs, check: FeatureCheck, inputs: InputCheck | None
) -> PartitionManifest:
    """Build the features of a day and write them as its partition."""
    settings, tables = day.workspace.settings, read.tables
    _require_same(day, read.fingerprint)
    figures = read_figures(day.workspace, tables)
    accepted = [] if inputs is None else inputs.let_through(figures)
    features = build_features(tables, settings.features)
    check(features)
    with staging_folder(day.features.parent) as staged:
        files = {name: sha256_of(staged / name) for name in write_features(features, staged)}
        manifest = PartitionManifest(
            schema_version=SCHEMA_VERSION,
            day=day.date,
            inputs=read.fingerprint,
            files=files,
            content_hash=sha256_of_json([files, str(day)]),
            user_features=list(features.user_features),
            item_features=list(features.item_features),
            users=len(features.users),
            items=len(features.items),
            events=len(tables.events),
            newest_event_age_days=figures.newest_event_age_days,
            figures=figures,
            accepted=accepted,
        )
        write_sealed_json(staged / MANIFEST, manifest.as_json())
        day.workspace.partitions.put(staged, day.name)
    return manifest


def _read_manifest(folder: Path) -> PartitionManifest:
    """Return the manifest of a partition.

    Raises: OSError where it cannot be read; ValueError where it is damaged or of another version.
    """
    manifest = PartitionManifest.read(read_sealed_json(folder / MANIFEST))
    if manifest.schema_version != SCHEMA_VERSION:
        raise ValueError("it was written by another version of recsys")
    if not _NEEDED <= set(manifest.files) <= _FILES:
        raise ValueError("it names other files than a partition has")
    is_own = folder.name == f"date={manifest.day}"
    if not is_own or manifest.content_hash != sha256_of_json([manifest.files, str(manifest.day)]):
        raise ValueError("it is that of other features")
    return manifest


def _valid_manifest(day: ScoringDay, folder: Path, inputs: str) -> PartitionManifest | None:
    """Return the partition's manifest if it was made from the same inputs and is intact."""
    try:
        manifest = _read_manifest(folder)
        is_same = manifest.inputs == inputs
        is_intact = is_same and _is_intact(folder, manifest) and _names_all(day, manifest)
    except (OSError, ValueError):
        return None
    if is_same and not is_intact:
        logger.warning("the feature partition {} is damaged and is built again", folder)
    return manifest if is_intact else None


def _names_all(day: ScoringDay, manifest: PartitionManifest) -> bool:
    """Return whether a manifest names the features that the settings declare."""
    data = day.workspace.settings.data
    sides = (data.users, manifest.user_features), (data.items, manifest.item_features)
    return all(set(names) == set(feature_names(table) if table.is_given else ()) for table, names in sides)


def _is_intact(folder: Path, manifest: PartitionManifest) -> bool:
    """Return whether the files are those of the manifest, and have the columns that it names."""
    if not all(sha256_of(path_below(folder, name)) == expected for name, expected in manifest.files.items()):
        return False
    sides = {USERS: manifest.user_features, ITEMS: manifest.item_features}
    try:
        return all(
            set(names) <= set(scan_parquet_file(folder / f"{table}.parquet").collect_schema())
            for table, names in sides.items()
        )
    except pl.exceptions.PolarsError:
        return False


def _partition(folder: Path, manifest: PartitionManifest, *, reused: bool) -> Partition:
    names = tuple(manifest.user_features), tuple(manifest.item_features)
    features = StoredFeatures(folder, manifest.day, *names, f"{EXTERNAL}.parquet" in manifest.files)
    return Partition(
        features, manifest.content_hash, folder, reused, manifest.events, manifest.newest_event_age_days
    )

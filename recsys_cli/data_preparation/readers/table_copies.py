"""Copies of rows that are no files: what a database's query gives, and tables with a log of their own."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
from loguru import logger

from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.readers.row_files import RowFiles, write_row_files
from recsys_cli.utils.freed_memory import give_back
from recsys_cli.utils.storage.atomic_writes import staging_folder
from recsys_cli.utils.storage.folder_exchange import replace_folder
from recsys_cli.utils.storage.hashing import sha256_of
from recsys_cli.utils.storage.json_files import read_sealed_json, write_sealed_json
from recsys_cli.utils.storage.locks import locked
from recsys_cli.utils.storage.safe_paths import path_below
from recsys_cli.utils.storage.uris import COPIES

_RECORD = "copy.json"
_LOCK_SECONDS = 3_600  # to wait for another run of the workspace that reads
_UNREAD_SECONDS = 2 * 86_400  # after which a copy of another date is removed
_TIMES = 500_000_000  # seconds: the range of the copies' modification times


@dataclass(frozen=True)
class RowSource:
    """Rows that a run copies before it reads them.

    Attributes:
        where: the source, for messages.
        folder: of its copies, below that of all copies.
        name: of this copy among them, such as that of the date.
        version: changes whenever the rows do; None: unknown, so each run reads them anew.
        frames: opens the rows.
    """

    where: str
    folder: str
    name: str
    version: str | None
    frames: Callable[[], Iterator[pl.DataFrame]]


@dataclass(frozen=True)
class _CopyRecord:
    """What a copy holds: its files with their SHA-256, and a hash of its rows in any order."""

    version: str | None
    content: str
    files: dict[str, str]


def copied_files(source: RowSource, workspace: InputFolder) -> list[Path]:
    """Return the files of a source's copy; a run makes it once, whatever happens to the source meanwhile.

    A copy with the same rows as the one before leaves that one in place.

    Raises: what the source's frames raise; OutputError if the copy cannot be written.
    """
    folder = _folder_of(source, workspace)
    if folder not in workspace.read:
        with locked(workspace.path / COPIES / ".lock", "copying inputs", _LOCK_SECONDS):
            workspace.read[folder] = _up_to_date(source, folder)
            _remove_unread(folder)
    return workspace.read[folder]


def last_copy(source: RowSource, workspace: InputFolder) -> list[Path]:
    """Return the files of the copy that is there, as they are; none if there is none."""
    record = _intact_record(folder := _folder_of(source, workspace))
    return [folder / name for name in sorted(record.files)] if record else []


def _folder_of(source: RowSource, workspace: InputFolder) -> Path:
    return path_below(workspace.path / COPIES, f"{source.folder}/{source.name}")


def _up_to_date(source: RowSource, folder: Path) -> list[Path]:
    record = _intact_record(folder)
    if record is None or source.version is None or record.version != source.version:
        record = _copied(source, folder, record)
    os.utime(folder / _RECORD)
    return [folder / name for name in sorted(record.files)]


def _copied(source: RowSource, folder: Path, before: _CopyRecord | None) -> _CopyRecord:
    """Copy the rows; return the record of the copy."""
    logger.info("reading {}", source.where)
    with staging_folder(folder.parent) as staged:
        with closing(source.frames()) as frames:  # type: ignore[type-var]
            made = write_row_files(frames, staged)
        give_back()
        logger.info("read {:,} rows of {}", made.rows, source.where)
        files = {file.name: sha256_of(file) for file in made.files}
        if before is not None and before.content == made.content:
            files = before.files
        else:
            _stamp(made)
        record = _CopyRecord(source.version, made.content, files)
        if files == (before and before.files):
            write_sealed_json(folder / _RECORD, asdict(record))
        else:
            write_sealed_json(staged / _RECORD, asdict(record))
            replace_folder(staged, folder)
    return record


def _stamp(made: RowFiles) -> None:
    """Set the files' modification times from the rows: the same rows have the same time."""
    seconds, rest = divmod(int(made.content[:16], 16), 10**9)
    for file in made.files:
        os.utime(file, ns=(0, (10**9 + seconds % _TIMES) * 10**9 + rest))


def _intact_record(folder: Path) -> _CopyRecord | None:
    """Return the record of the copy that is there; None if there is none, or it is damaged."""
    try:
        record = _CopyRecord(**read_sealed_json(folder / _RECORD))
        if all(sha256_of(path_below(folder, name)) == sha256 for name, sha256 in record.files.items()):
            return record
        logger.warning("the copy {} is damaged and is made again", folder)
    except (OSError, ValueError, TypeError, AttributeError):
        pass
    return None


def _remove_unread(folder: Path) -> None:
    """Remove copies of the same source that no run has read for long."""
    for other in folder.parent.iterdir():
        record = other / _RECORD
        if other != folder and record.is_file() and time.time() - record.stat().st_mtime > _UNREAD_SECONDS:
            shutil.rmtree(other, ignore_errors=True)

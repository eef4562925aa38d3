"""Files that appear whole or not at all."""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import ENAMETOOLONG
from pathlib import Path
from typing import Final

from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.storage.file_locks import locked_file
from recsys_cli.utils.storage.leftovers import names_in
from recsys_cli.utils.storage.safe_paths import name_too_long
from recsys_cli.utils.storage.temporary_files import TemporaryFile, temporary_file

_TOKEN_BYTES: Final = 8
_LOCK: Final = ".lock"  # beside a staging folder, while a process works in it
_STAGING: Final = re.compile(rf"\.[0-9a-f]{{{2 * _TOKEN_BYTES}}}\.(part|lock)")
_CLEANING_SECONDS: Final = 60  # that another process may hold a new lock, to find that it is no abandoned one
_SYSTEM_ERROR = re.compile(r"\b(?:error|errno) (\d+)\b", re.IGNORECASE)  # as libraries quote it


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield the path of a new sibling that becomes `target` only on success, synced to the disk.

    What a killed process left for the same target is removed.

    Raises: OutputError if the folder cannot be written.
    """
    # `temporary_file` removes the file and closes it, however the block ends
    with _made_for(target) as made:  # pylint: disable=contextmanager-generator-missing-cleanup
        yield made.path


def replace_bytes(target: Path, content: bytes, beside: Path | None = None) -> None:
    """Write a file that appears whole or not at all, as `replacing` does.

    Args:
        beside: its temporary file is a sibling of this one, in place of `target`: what a killed one leaves
            there is removed by the next that names the same.

    Raises: OutputError if the folder cannot be written.
    """
    with _made_for(target, beside) as made:
        made.write(content)


@contextmanager
def _made_for(target: Path, beside: Path | None = None) -> Iterator[TemporaryFile]:
    """Yield a temporary file that becomes `target` on success."""
    with as_output_error(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_file(beside or target) as made:
            try:
                yield made
                made.replace(target)
            except OSError as error:
                if error.filename in (made.path.name, str(made.path)):
                    error.filename = str(target)  # the other name means nothing to a reader
                raise


@contextmanager
def staging_folder(parent: Path) -> Iterator[Path]:
    """Yield a new hidden folder in `parent`; at the end it is removed unless `replace_folder` has moved it.

    Folders of killed processes are removed, too: nobody holds their lock. It is a file beside the folder,
    because NFS locks no folders.

    Raises: OutputError if it cannot be made or written.
    """
    partial = parent / f".{secrets.token_hex(_TOKEN_BYTES)}.part"
    with as_output_error(parent):
        parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(parent)
        with locked_file(partial.with_suffix(_LOCK), _CLEANING_SECONDS):
            partial.mkdir()
            try:
                yield partial
            finally:
                shutil.rmtree(partial, ignore_errors=True)


def remove_abandoned(parent: Path) -> None:
    """Remove the staging folders of killed processes from a folder.

    Raises: OutputError if that cannot be done.
    """
    with as_output_error(parent):
        _remove_abandoned(parent)


def _remove_abandoned(parent: Path) -> None:
    found = {Path(name).stem for name in names_in(parent) if _STAGING.fullmatch(name)}
    for name in sorted(found):
        with suppress(OSError), locked_file(parent / f"{name}{_LOCK}"):
            shutil.rmtree(parent / f"{name}.part", ignore_errors=True)


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def as_output_error(target: Path) -> Iterator[None]:
    """Turn an OSError of the block, which writes `target`, into an OutputError, or a UsageError."""
    try:
        yield
    except OSError as error:
        if error.errno == ENAMETOOLONG:
            raise name_too_long(str(_whole_name(error) or target)) from error
        raise OutputError(
            f"{target.name} cannot be written: {_reason_of(error)}",
            where=str(_whole_name(error) or target),
            fix="check the folder's permissions and the free space, then run the command again",
        ) from error


def _reason_of(error: OSError) -> str:
    """Return the system's own words for an error that a library may have wrapped."""
    reason = error.strerror or str(error)
    quoted = _SYSTEM_ERROR.search(reason)
    return reason if quoted is None else os.strerror(int(quoted[1]))


def _whole_name(error: OSError) -> str | None:
    """Return the path that an error names; None for a name below an open folder."""
    name = error.filename
    return name if isinstance(name, str) and os.path.isabs(name) else None


@contextmanager
def as_system_error(path: Path, kind: type[Exception]) -> Iterator[None]:
    """Turn what a library raises when it cannot write `path` into the error of the system behind it.

    Args:
        kind: the library's own error: that of polars and of CatBoost on a full disk is no OSError.
    """
    try:
        yield
    except kind as error:
        quoted = _SYSTEM_ERROR.search(str(error))
        system = (
            OSError(str(error)) if quoted is None else OSError(int(quoted[1]), os.strerror(int(quoted[1])))
        )
        system.filename = str(path)
        raise system from error

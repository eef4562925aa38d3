"""Files that appear whole or not at all."""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from recsys_cli.utils.errors import OutputError

_SYSTEM_ERROR = re.compile(r"\bError (\d+)\b", re.IGNORECASE)  # as libraries quote it


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a sibling path that becomes `target` only on success; it is synced to the disk before the rename.

    One process at a time may write a target; a partial file of a killed one is overwritten.

    Raises: OutputError if the folder cannot be written.
    """
    partial = target.with_name(f".{target.name}.part")
    with as_output_error(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            sync(partial)
            os.replace(partial, target)
            sync(target.parent)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def staging_folder(parent: Path) -> Iterator[Path]:
    """Yield a new hidden folder in `parent`; at the end it is removed unless `replace_folder` has moved it.

    Folders of killed processes are removed, too: nobody holds their lock.

    Raises: OutputError if it cannot be made or written.
    """
    partial = parent / f".{secrets.token_hex(8)}.part"
    with as_output_error(parent), ExitStack() as locks:
        parent.mkdir(parents=True, exist_ok=True)
        with _locked(parent, wait=True):
            _remove_abandoned(parent)
            partial.mkdir()
            locks.enter_context(_locked(partial, wait=True))
        try:
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def remove_abandoned(parent: Path) -> None:
    """Remove the staging folders of killed processes from a folder."""
    with _locked(parent, wait=True):
        _remove_abandoned(parent)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.glob(".*.part"):
        if folder.is_dir():
            with suppress(BlockingIOError), _locked(folder, wait=False):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold a lock on a folder.

    Raises: BlockingIOError if another process holds it and `wait` is off.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        flock(descriptor, LOCK_EX if wait else LOCK_EX | LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def as_output_error(target: Path) -> Iterator[None]:
    """Turn an OSError of the block, which writes `target`, into an OutputError."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise OutputError(
            f"{target.name} cannot be written: {reason}",
            where=str(error.filename or target),
            fix="check the folder's permissions and the free space, then run the command again",
        ) from error


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

"""Files that appear whole or not at all."""

import ctypes
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.storage.temporary_files import TemporaryFile, temporary_file

_HERE, _RENAME_EXCHANGE = -100, 2  # of the system call: AT_FDCWD, and its flag
_SYSTEM_ERROR = re.compile(r"\bError (\d+)\b", re.IGNORECASE)  # as libraries quote it


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield the path of a new sibling that becomes `target` only on success, synced to the disk.

    What a killed process left for the same target is removed.

    Raises: OutputError if the folder cannot be written.
    """
    with _made_for(target) as made:
        yield made.path


def replace_bytes(target: Path, content: bytes) -> None:
    """Write a file that appears whole or not at all, as `replacing` does.

    Raises: OutputError if the folder cannot be written.
    """
    with _made_for(target) as made:
        made.write(content)


@contextmanager
def _made_for(target: Path) -> Iterator[TemporaryFile]:
    """Yield a temporary file that becomes `target` on success."""
    with as_output_error(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with temporary_file(target) as made:
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
        if folder.is_dir() and not folder.is_symlink():
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


def replace_folder(partial: Path, target: Path) -> None:
    """Rename a staged folder to `target`, synced to the disk; an earlier folder of that name is removed.

    At every moment the name means either the old folder or the new one.

    Raises: OutputError if it cannot be done.
    """
    with as_output_error(target):
        for file in sorted(partial.iterdir()):
            sync(file)
        sync(partial)
        if target.exists():
            _exchange(partial, target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(partial, target)
        sync(target.parent)
        shutil.rmtree(partial, ignore_errors=True)


def _exchange(one: Path, other: Path) -> None:
    """Swap the names of two folders in one step, or in three if the file system cannot do that."""
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    names = _HERE, os.fsencode(one), _HERE, os.fsencode(other), _RENAME_EXCHANGE
    if swap is not None and swap(*names) == 0:
        return
    away = one.with_suffix(".old")
    os.replace(other, away)
    os.replace(one, other)
    os.replace(away, one)


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
        reason = error.strerror or error
        raise OutputError(
            f"{target.name} cannot be written: {reason}",
            where=str(_whole_name(error) or target),
            fix="check the folder's permissions and the free space, then run the command again",
        ) from error


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

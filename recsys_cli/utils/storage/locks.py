"""One run at a time: a file lock that the system releases when its holder ends."""

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from errno import ENOLCK, ENOSYS, EOPNOTSUPP
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from recsys_cli.utils.errors import LockedError, OutputError
from recsys_cli.utils.storage.folder_checks import file_system_of

_NO_LOCKS: Final = (ENOSYS, ENOLCK, EOPNOTSUPP)  # what flock says where a file system has none


@contextmanager
def locked(path: Path, work: str, wait: int = 0) -> Iterator[None]:
    """Hold the lock file `path` for the block.

    Args:
        wait: seconds to wait for another process that holds it.

    Raises: LockedError, naming that process and its start, if it is still held then; OutputError if the lock
        file cannot be written, or its file system has no locks.
    """
    holder = path.with_suffix(".holder")
    with _acquired(path, holder, work, wait):
        try:
            yield
        finally:
            holder.unlink(missing_ok=True)


@contextmanager
def locked_file(path: Path, wait: int = 0) -> Iterator[None]:
    """Hold a lock file for the block, and remove it at the end.

    Args:
        wait: seconds to wait for another process that holds it.

    Raises: OSError if it is still held then, or cannot be written; OutputError if its file system has no
        locks.
    """
    with _file_lock(path, wait):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def _acquired(path: Path, holder: Path, work: str, wait: int) -> AbstractContextManager[object]:
    """Return the acquired lock, to be released at the end of a `with` block."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = _file_lock(path, wait)
        holder.write_text(json.dumps({"pid": os.getpid(), "started": started}), encoding="utf-8")
    except Timeout:
        raise LockedError(
            f"another run is busy with {work}{_holder_text(holder)}",
            where=str(path),
            fix="wait until it has ended, or stop that process",
        ) from None
    except OSError as error:
        raise OutputError(
            f"the lock on {work} cannot be taken: {error.strerror or error}",
            where=str(error.filename or path),
            fix="let this user write there, or run the command as the user who made it",
        ) from None
    return lock


def _file_lock(path: Path, wait: int) -> AbstractContextManager[object]:
    """Return an acquired lock of the system: a file that merely exists would outlive a killed run."""
    try:
        return FileLock(path, timeout=wait, fallback_to_soft=False).acquire()
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise OutputError(
            f"the file system has no file locks: {error.strerror}",
            where=f"{path.parent} ({file_system_of(path.parent)})",
            fix="mount it with locks (Lustre: -o flock; NFS: with its lock service), or let `output` in "
            "settings/settings.toml name a folder on another disk",
        ) from None


def _holder_text(holder: Path) -> str:
    try:
        record = json.loads(holder.read_text(encoding="utf-8"))
        return f": process {record['pid']}, started {record['started']}"
    except (OSError, ValueError, KeyError):
        return ""

"""One run at a time: a file lock that the system releases when its holder ends."""

import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from recsys_cli.utils.errors import LockedError, OutputError


@contextmanager
def locked(path: Path, work: str, wait: int = 0) -> Iterator[None]:
    """Hold the lock file `path` for the block.

    Args:
        wait: seconds to wait for another process that holds it.

    Raises: LockedError, naming that process and its start, if it is still held then; OutputError if the lock
        file cannot be written.
    """
    holder = path.with_suffix(".holder")
    with _acquired(path, holder, work, wait):
        try:
            yield
        finally:
            holder.unlink(missing_ok=True)


def _acquired(path: Path, holder: Path, work: str, wait: int) -> AbstractContextManager[object]:
    """Return the acquired lock, to be released at the end of a `with` block."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=wait).acquire()
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


def _holder_text(holder: Path) -> str:
    try:
        record = json.loads(holder.read_text(encoding="utf-8"))
        return f": process {record['pid']}, started {record['started']}"
    except (OSError, ValueError, KeyError):
        return ""

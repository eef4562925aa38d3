"""One run at a time: a lock that dies with its holder."""

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
        wait: seconds that another process may still hold it.

    Raises: LockedError when it is then still held, naming that process and its start; OutputError where it
        cannot be written.
    """
    holder = path.with_suffix(".holder")
    with _taken(path, holder, work, wait):
        try:
            yield
        finally:
            holder.unlink(missing_ok=True)


def _taken(path: Path, holder: Path, work: str, wait: int) -> AbstractContextManager[object]:
    """Return the lock, taken, to be released at the end of a `with` block."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path, timeout=wait).acquire()
        holder.write_text(json.dumps({"pid": os.getpid(), "started": started}), encoding="utf-8")
    except Timeout:
        raise LockedError(
            f"another run is busy with {work}{_named(holder)}",
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


def _named(holder: Path) -> str:
    try:
        told = json.loads(holder.read_text(encoding="utf-8"))
        return f": process {told['pid']}, started {told['started']}"
    except (OSError, ValueError, KeyError):
        return ""

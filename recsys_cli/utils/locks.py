"""One run at a time: a lock that dies with its holder."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from recsys_cli.utils.errors import LockedError


@contextmanager
def locked(path: Path, work: str) -> Iterator[None]:
    """Hold the lock file `path` for the block.

    Raises: LockedError at once when another process holds it, naming that process and its start.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = path.with_suffix(".holder")
    try:
        with FileLock(path, timeout=0):
            started = datetime.now(UTC).isoformat(timespec="seconds")
            holder.write_text(json.dumps({"pid": os.getpid(), "started": started}), encoding="utf-8")
            try:
                yield
            finally:
                holder.unlink(missing_ok=True)
    except Timeout:
        raise LockedError(
            f"another run is busy with {work}{_named(holder)}",
            where=str(path),
            fix="wait until it has ended, or stop that process",
        ) from None


def _named(holder: Path) -> str:
    try:
        told = json.loads(holder.read_text(encoding="utf-8"))
        return f": process {told['pid']}, started {told['started']}"
    except (OSError, ValueError, KeyError):
        return ""

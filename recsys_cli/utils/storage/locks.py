"""One run at a time: a file lock that the system releases when its holder ends."""

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from filelock import Timeout

from recsys_cli.utils.errors import LockedError, OutputError
from recsys_cli.utils.json_record import Count, JsonRecord, Moment
from recsys_cli.utils.storage.file_locks import acquired_lock
from recsys_cli.utils.storage.folder_checks import refuse_planted
from recsys_cli.utils.storage.json_files import read_json, write_json

_TRIES: Final = 20  # while the lock is held and no process is named: it was just taken, or is just released
_PAUSE: Final = 0.05  # seconds between two of them


class _Holder(JsonRecord):
    """The process that holds a lock."""

    pid: Count
    started: Moment


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


def _acquired(path: Path, holder: Path, work: str, wait: int) -> AbstractContextManager[object]:
    """Return the acquired lock, to be released at the end of a `with` block."""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        refuse_planted(path.parent)
        lock = _free_lock(path, holder, wait)
        if lock is None:
            raise LockedError(
                f"another run is busy with {work}{_holder_text(holder)}",
                where=str(path),
                fix="wait until it has ended, or stop that process",
            )
        write_json(holder, {"pid": os.getpid(), "started": started})
    except OSError as error:
        raise OutputError(
            f"the lock on {work} cannot be taken: {error.strerror or error}",
            where=str(error.filename or path),
            fix="let this user write there, or run the command as the user who made it",
        ) from None
    return lock


def _free_lock(path: Path, holder: Path, wait: int) -> AbstractContextManager[object] | None:
    """Return the acquired lock; None if another process holds it, as a rule one that `holder` names."""
    for number in range(_TRIES):
        try:
            return acquired_lock(path, 0 if number else wait)
        except Timeout:
            if _holder_text(holder):
                return None
        time.sleep(_PAUSE)
    return None


def _holder_text(holder: Path) -> str:
    try:
        record = _Holder.read(read_json(holder))
    except (OSError, ValueError):
        return ""
    return f": process {record.pid}, started {record.started.isoformat()}"

"""File locks of the system: released when their holder ends, however it ends."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from errno import ENOLCK, ENOSYS, EOPNOTSUPP
from pathlib import Path
from typing import Final

from filelock import FileLock

from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.storage.folder_checks import file_system_of
from recsys_cli.utils.storage.regular_files import require_regular

_NO_LOCKS: Final = (ENOSYS, ENOLCK, EOPNOTSUPP)  # what flock says where a file system has none


@contextmanager
def locked_file(path: Path, wait: int = 0) -> Iterator[None]:
    """Hold a lock file for the block, and remove it at the end.

    Args:
        wait: seconds to wait for another process that holds it.

    Raises: as `acquired_lock`.
    """
    with acquired_lock(path, wait):
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def acquired_lock(path: Path, wait: int) -> AbstractContextManager[object]:
    """Return an acquired lock of the system: a file that merely exists would outlive a killed run.

    Raises: OSError if it is still held after `wait` seconds, is no regular file, or cannot be written;
        OutputError if its file system has no locks.
    """
    if os.path.lexists(path):
        require_regular(path)
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

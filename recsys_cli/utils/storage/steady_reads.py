"""Reading a folder that another run may replace meanwhile: what is read then belongs together."""

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from recsys_cli.utils.storage.leftovers import unless_gone

Read = TypeVar("Read")

_TRIES: Final = 5


def read_steadily(folder: Path, read: Callable[[], Read]) -> Read:
    """Return what `read` makes of a folder's files; read again where the folder was replaced meanwhile."""
    for _ in range(_TRIES - 1):
        before = _identity(folder)
        found = read()
        if _identity(folder) == before:
            return found
    return read()


def _identity(folder: Path) -> tuple[int, int, int] | None:
    with unless_gone():
        facts = folder.stat()
        return facts.st_dev, facts.st_ino, facts.st_mtime_ns
    return None

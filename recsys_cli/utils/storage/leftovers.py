"""What runs leave in a folder, listed and removed while others work there: anything may vanish meanwhile."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from errno import ENOENT, ENOTDIR, ESTALE
from fnmatch import fnmatchcase
from pathlib import Path
from stat import S_ISDIR
from typing import Final

from recsys_cli.utils.errors import LockedError, OutputError

_GONE: Final = (ENOENT, ENOTDIR, ESTALE)


@dataclass(frozen=True)
class Entry:
    """A file or folder as it was when it was listed; a link is not followed."""

    path: Path
    facts: os.stat_result

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder."""
        return S_ISDIR(self.facts.st_mode)

    @property
    def age(self) -> float:
        """Seconds since it was modified."""
        return time.time() - self.facts.st_mtime


@contextmanager
def unless_gone() -> Iterator[None]:
    """End the block, which is about one file or folder, where another process has removed or renamed it."""
    try:
        yield
    except OSError as error:
        if error.errno not in _GONE:
            raise


def names_in(folder: Path, pattern: str = "*") -> list[str]:
    """Return the names in a folder that match a pattern, sorted; none where there is no folder.

    Raises: OSError for a folder that cannot be read.
    """
    names: list[str] = []
    with unless_gone():
        names = os.listdir(folder)
    return sorted(name for name in names if fnmatchcase(name, pattern))


def entries(folder: Path, pattern: str = "*") -> list[Entry]:
    """Return what lies in a folder and matches a pattern, by name; what vanishes meanwhile is left out.

    Raises: OSError for a folder that cannot be read.
    """
    found = []
    for name in names_in(folder, pattern):
        with unless_gone():
            found.append(Entry(folder / name, (folder / name).lstat()))
    return found


def remove_unused(
    folder: Path,
    seconds: float,
    lock: Callable[[str], AbstractContextManager[object]],
    pattern: str = "*",
) -> list[Path]:
    """Remove the folders in `folder` that match and that nobody has changed for so long, and return them.

    Args:
        lock: returns the lock of whoever works in the folder of a name; what is locked stays.

    Raises: OSError for a folder that cannot be read.
    """
    old = [one.path for one in entries(folder, pattern) if one.is_folder and one.age > seconds]
    return [path for path in old if _remove_if_unused(path, seconds, lock(path.name))]


def _remove_if_unused(path: Path, seconds: float, lock: AbstractContextManager[object]) -> bool:
    with suppress(LockedError, OutputError), lock, unless_gone():
        if time.time() - path.lstat().st_mtime > seconds:  # its owner may have come back before the lock
            shutil.rmtree(path, ignore_errors=True)
            return True
    return False

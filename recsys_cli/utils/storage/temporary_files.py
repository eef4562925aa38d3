"""Temporary files beside their targets: names that nobody guesses, made anew; no link is followed."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from errno import ESTALE
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Final

_END: Final = ".part"
_MAKE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_LOOK: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_SHOWN: Final = 50  # characters of the target's name: with the rest it stays a valid name


@dataclass(frozen=True)
class TemporaryFile:
    """A new file beside its target; it is locked while its maker lives.

    Attributes:
        folder, descriptor: open descriptors of the target's folder and of the file.
        path: for libraries that open a file by its name.
    """

    folder: int
    descriptor: int
    path: Path

    def write(self, content: bytes) -> None:
        """Write the file's content; no name is looked up."""
        with os.fdopen(os.dup(self.descriptor), "wb") as file:
            file.write(content)

    def replace(self, target: Path) -> None:
        """Become `target`; file and folder are synced to the disk.

        Raises: OSError, also where the name has meanwhile become another file or a link.
        """
        if not self._is_there():
            raise OSError(ESTALE, "somebody else has replaced its temporary file", str(target))
        os.fsync(self.descriptor)
        home = os.open(target.parent, _FOLDER)
        try:
            os.replace(self.path.name, target.name, src_dir_fd=self.folder, dst_dir_fd=home)
            os.fsync(home)
        finally:
            os.close(home)

    def remove(self) -> None:
        """Remove the file, unless it has become its target."""
        if self._is_there():
            os.unlink(self.path.name, dir_fd=self.folder)

    def _is_there(self) -> bool:
        try:
            found = os.stat(self.path.name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(found, os.fstat(self.descriptor))


@contextmanager
def temporary_file(target: Path) -> Iterator[TemporaryFile]:
    """Make a file beside `target` for the block; those that killed processes left for it are removed.

    Raises: OSError.
    """
    folder = os.open(target.parent, _FOLDER)
    try:
        _remove_forgotten(folder, _start(target))
        made = _made(folder, target)
        try:
            yield made
        finally:
            try:
                made.remove()
            finally:
                os.close(made.descriptor)
    finally:
        os.close(folder)


def _made(folder: int, target: Path) -> TemporaryFile:
    """Make and lock a file; one that another process takes for a forgotten one meanwhile is made again."""
    while True:
        path = target.with_name(f"{_start(target)}{secrets.token_hex(8)}{_END}")
        descriptor = os.open(path.name, _MAKE, 0o666, dir_fd=folder)
        made = TemporaryFile(folder, descriptor, path)
        if not _is_locked_elsewhere(descriptor) and made._is_there():  # pylint: disable=protected-access
            return made
        os.close(descriptor)


def _remove_forgotten(folder: int, start: str) -> None:
    """Remove the files of killed processes: nobody holds their lock. Links and what is no file stay."""
    for name in os.listdir(folder):
        if name.startswith(start) and name.endswith(_END):
            with suppress(OSError):
                descriptor = os.open(name, _LOOK, dir_fd=folder)
                try:
                    flock(descriptor, LOCK_EX | LOCK_NB)
                    os.unlink(name, dir_fd=folder)
                finally:
                    os.close(descriptor)


def _is_locked_elsewhere(descriptor: int) -> bool:
    """Lock a file while it is open, where the file system can; return whether another has done so."""
    try:
        flock(descriptor, LOCK_EX | LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # without locks nobody can take it for a forgotten one either
        return False
    return False


def _start(target: Path) -> str:
    return f".{target.name[:_SHOWN]}."

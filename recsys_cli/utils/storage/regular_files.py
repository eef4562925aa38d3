"""Open files to read them: regular ones, of a bounded size where their kind has a bound.

Pipes, devices, sockets, folders and sparse giants are refused; they are neither waited for nor read.
"""

import os
import stat
from contextlib import suppress
from errno import EFBIG, EINVAL
from io import BufferedReader
from pathlib import Path
from typing import Final

SETTINGS_BYTES: Final = 4 * 2**20  # at most, of a settings file
RECORD_BYTES: Final = 64 * 2**20  # of a manifest, a record, a pointer
MODEL_JSON_BYTES: Final = 2 * 2**30  # of a vocabulary, of the trees
_OPEN: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS: Final = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_SPARSE_BYTES: Final = 256 * 2**20  # smaller files are read, holes and all
_SPARSE_RATIO: Final = 1_000  # of a file's length to its space on the disk: no compression comes near it


class IrregularFileError(OSError):
    """What lies there is no file that may be read; `strerror` says why, and so does the error as text."""

    def __str__(self) -> str:
        return str(self.strerror)


def open_regular(path: Path, most: int | None = None) -> BufferedReader:
    """Open a regular file to read its bytes.

    Args:
        most: bytes that it may have; None: any number.

    Raises: IrregularFileError for anything else and for a longer file; OSError if it cannot be opened.
    """
    with suppress(FileNotFoundError):  # another process may be about to write it: opening it decides
        require_regular(path, most)  # first: to open a device may do something
    file = open(os.open(path, _OPEN), "rb")  # pylint: disable=consider-using-with
    try:
        _check(os.fstat(file.fileno()), path, most)
        _refuse_hollow(file.fileno(), path)
    except BaseException:
        file.close()
        raise
    return file


def read_regular(path: Path, most: int) -> bytes:
    """Return the bytes of a regular file.

    Raises: as `open_regular` does.
    """
    with open_regular(path, most) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise _too_long(len(content), path, most)
    return content


def require_regular(path: Path, most: int | None = None) -> None:
    """Check what a path leads to, before a library opens it.

    Raises: as `open_regular` does.
    """
    _check(os.stat(path), path, most)


def require_readable(path: Path, most: int | None = None) -> None:
    """Check that `path` is a regular file that can be opened, before a library opens it.

    Raises: as `open_regular` does.
    """
    open_regular(path, most).close()


def is_regular(path: Path) -> bool:
    """Return whether a path leads to a regular file."""
    try:
        require_regular(path)
    except (OSError, ValueError):
        return False
    return True


def _check(found: os.stat_result, path: Path, most: int | None) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise IrregularFileError(EINVAL, f"it is {kind}, not a regular file", str(path))
    if most is not None and found.st_size > most:
        raise _too_long(found.st_size, path, most)


def _too_long(size: int, path: Path, most: int) -> IrregularFileError:
    text = f"it has {size:,} bytes or more; at most {most:,} are read of such a file"
    return IrregularFileError(EFBIG, text, str(path))


def _refuse_hollow(descriptor: int, path: Path) -> None:
    """Refuse a giant that is nearly all holes: reading it takes hours and gives zeros."""
    found = os.fstat(descriptor)
    if found.st_size < _SPARSE_BYTES or found.st_blocks * 512 * _SPARSE_RATIO >= found.st_size:
        return
    try:
        is_hollow = os.lseek(descriptor, 0, os.SEEK_HOLE) < found.st_size
    except OSError:
        is_hollow = False  # this file system does not know
    os.lseek(descriptor, 0, os.SEEK_SET)
    if is_hollow:
        text = f"it is sparse: {found.st_size:,} bytes long, with {found.st_blocks * 512:,} on the disk"
        raise IrregularFileError(EFBIG, text, str(path))

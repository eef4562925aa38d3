"""Arrays on disk, judged by their header before anything is mapped or allocated; no pickle is loaded."""

import io
import mmap
import os
from collections.abc import Collection
from math import prod
from pathlib import Path
from typing import IO, Final
from zipfile import ZIP_STORED, ZipFile

import numpy as np
from numpy.lib import format as npy

_LONGEST_HEADER: Final = 256  # characters: one of several dimensions fits in, nothing that nests deeply


def open_array(path: Path, types: Collection[np.dtype], dimensions: int) -> np.ndarray:
    """Return the array of an `.npy` file; pages are read when they are looked at.

    Raises: OSError; ValueError for a file that holds no such array, the whole of it and nothing else.
    """
    with path.open("rb") as file:
        shape, kind = _header(file, os.fstat(file.fileno()).st_size)
        start = file.tell()
    if kind not in types or len(shape) != dimensions:
        raise ValueError(f"{path.name} is an array of the type {kind} and {len(shape)} dimensions")
    if prod(shape) == 0:  # there is nothing to map
        return np.empty(shape, kind)
    return np.asarray(np.memmap(path, kind, "r", start, shape))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an `.npz` file by name, each of which stands there as it is, uncompressed.

    Raises: OSError; ValueError, EOFError or zipfile.BadZipFile for a file that holds none.
    """
    arrays, size = {}, path.stat().st_size
    with ZipFile(path) as held:
        for entry in held.infolist():
            if entry.compress_type != ZIP_STORED or entry.file_size > size:
                raise ValueError(f"{entry.filename} is larger than the file")
            data = held.read(entry)
            opened = io.BytesIO(data)
            shape, kind = _header(opened, len(data))
            cells = np.frombuffer(data, kind, offset=opened.tell())
            arrays[entry.filename.removesuffix(".npy")] = cells.reshape(shape).copy()
    return arrays


def release_pages(array: np.ndarray) -> None:
    """Let go of what was read of an array's file; nothing happens to an array in memory."""
    base = array.base
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)


def _header(file: IO[bytes], size: int) -> tuple[tuple[int, ...], np.dtype]:
    """Read an array's shape and type, and leave `file` where its bytes begin.

    Raises: ValueError unless they are numbers, row by row, and fill the `size` bytes of the file to the end.
    """
    if npy.read_magic(file) != (1, 0):
        raise ValueError("this version of the array format is not read")
    shape, by_columns, kind = npy.read_array_header_1_0(file, max_header_size=_LONGEST_HEADER)
    if kind.kind not in "biuf" or by_columns or min(shape, default=0) < 0:
        raise ValueError(f"an array of the type {kind} and the shape {shape} is not read")
    if prod(shape) * kind.itemsize != size - file.tell():
        raise ValueError(f"the shape {shape} does not fit the length of the file")
    return shape, kind

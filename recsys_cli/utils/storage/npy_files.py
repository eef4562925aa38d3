"""Arrays on disk: the header is validated before anything is mapped or allocated; no pickle is loaded."""

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

from recsys_cli.utils.storage.regular_files import open_regular

_LONGEST_HEADER: Final = 256  # characters: enough for several dimensions, too few for anything deeply nested


def open_array(path: Path, types: Collection[np.dtype], dimensions: int) -> np.ndarray:
    """Return the array of an `.npy` file, memory-mapped.

    Raises: OSError; ValueError for a file that is not exactly one array of these types and dimensions.
    """
    with open_regular(path) as file:
        shape, kind = _header(file, os.fstat(file.fileno()).st_size)
        start = file.tell()
    if kind not in types or len(shape) != dimensions:
        raise ValueError(f"{path.name} is an array of the type {kind} and {len(shape)} dimensions")
    if prod(shape) == 0:  # an empty array cannot be mapped
        return np.empty(shape, kind)
    return np.asarray(np.memmap(path, kind, "r", start, shape))


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of an uncompressed `.npz` file by name.

    Raises: OSError; ValueError, EOFError or zipfile.BadZipFile for any other file.
    """
    arrays = {}
    with open_regular(path) as file, ZipFile(file) as held:
        size = os.fstat(file.fileno()).st_size
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
    """Release the memory of a mapped array's pages; does nothing for an array in memory."""
    base = array.base
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)


def _header(file: IO[bytes], size: int) -> tuple[tuple[int, ...], np.dtype]:
    """Return an array's shape and type, and leave `file` at the start of its data.

    Raises: ValueError unless the data are numbers in row-major order and fill the `size` bytes of the file.
    """
    if npy.read_magic(file) != (1, 0):
        raise ValueError("this version of the array format is not supported")
    shape, by_columns, kind = npy.read_array_header_1_0(file, max_header_size=_LONGEST_HEADER)
    if kind.kind not in "biuf" or by_columns or min(shape, default=0) < 0:
        raise ValueError(f"an array of the type {kind} and the shape {shape} is not supported")
    if prod(shape) * kind.itemsize != size - file.tell():
        raise ValueError(f"the shape {shape} does not fit the length of the file")
    return shape, kind

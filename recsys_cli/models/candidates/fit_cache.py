"""A cache of fits that several trainings share, on disk, by the hash of all that decides a fit."""

import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from loguru import logger

from recsys_cli.utils.storage.atomic_writes import replacing
from recsys_cli.utils.storage.leftovers import entries, unless_gone
from recsys_cli.utils.storage.npy_files import read_arrays

Arrays = Mapping[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]  # of f32 arrays
# key, the shapes that the arrays have, how to make them → the cached arrays, or new ones that are cached now
ArrayStore = Callable[[str, Shapes, Callable[[], Arrays]], Arrays]

_FLOAT = np.dtype(np.float32)
_MOST_FILES = 64


def uncached(_key: str, _shapes: Shapes, make: Callable[[], Arrays]) -> Arrays:
    """Make the arrays and cache nothing: the default in code and tests."""
    return make()


class FitCache:
    """A folder of `.npz` files, each named after a hash of all that decides its arrays.

    The oldest go where there are more than 64, or more bytes than `most_bytes`; the newest one always stays.
    """

    def __init__(self, folder: Path, most_bytes: int = 4 * 10**9) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def __call__(self, key: str, shapes: Shapes, make: Callable[[], Arrays]) -> Arrays:
        """Return the arrays of an earlier fit, or make and cache them."""
        path = self._folder / f"{key}.npz"
        found = _read(path, shapes)
        if found is not None:
            with unless_gone():
                os.utime(path)
            return found
        arrays = make()
        with replacing(path) as temporary:
            with temporary.open("wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
        self._prune()
        return arrays

    def _prune(self) -> None:
        found = entries(self._folder, "*.npz")
        held = 0
        for number, one in enumerate(sorted(found, key=lambda one: -one.facts.st_mtime_ns)):
            held += one.facts.st_size
            if number >= _MOST_FILES or (number and held > self._most_bytes):
                one.path.unlink(missing_ok=True)


def _read(path: Path, shapes: Shapes) -> Arrays | None:
    if not path.is_file() or path.is_symlink():
        return None
    try:
        arrays = read_arrays(path)
        if {name: (array.shape, array.dtype) for name, array in arrays.items()} != {
            name: (shape, _FLOAT) for name, shape in shapes.items()
        }:
            raise ValueError("its arrays are of other shapes")
    except FileNotFoundError:  # another training has just removed it
        return None
    except (OSError, ValueError, EOFError, LookupError, NotImplementedError, zipfile.BadZipFile) as error:
        logger.warning("the cached fit {} cannot be read and is made again: {}", path, error)
        return None
    return arrays

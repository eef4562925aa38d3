"""A cache of fits that several trainings share, on disk, by the hash of all that decides a fit."""

import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from loguru import logger

from recsys_cli.utils.storage.atomic_writes import replacing
from recsys_cli.utils.storage.leftovers import entries, unless_gone
from recsys_cli.utils.storage.npy_files import read_arrays

Arrays = Mapping[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]  # of f32 arrays


class PartialFit(Protocol):
    """What a fit stores of itself while it learns: one that was killed resumes from it."""

    def read(self) -> Arrays | None:
        """Return what was stored; None if there is nothing, or it is damaged. Names, shapes and types are the
        caller's to check."""

    def write(self, arrays: Arrays) -> None:
        """Store arrays in the place of earlier ones.

        Raises: OutputError if they cannot be written.
        """


Make = Callable[[PartialFit], Arrays]
# key, the shapes that the arrays have, how to make them → the cached arrays, or new ones that are cached now
ArrayStore = Callable[[str, Shapes, Make], Arrays]

_FLOAT = np.dtype(np.float32)
_MOST_FILES = 64


class NothingStored:
    """A partial fit that is never stored: the default in code and tests."""

    def read(self) -> Arrays | None:
        """Return None."""
        return None

    def write(self, _arrays: Arrays) -> None:
        """Do nothing."""


def uncached(_key: str, _shapes: Shapes, make: Make) -> Arrays:
    """Make the arrays and cache nothing: the default in code and tests."""
    return make(NothingStored())


class FitCache:
    """A folder of `.npz` files, each named after a hash of all that decides its arrays.

    The oldest go where there are more than 64, or more bytes than `most_bytes`; the newest one always stays.
    """

    def __init__(self, folder: Path, most_bytes: int = 4 * 10**9) -> None:
        self._folder = folder
        self._most_bytes = most_bytes

    def __call__(self, key: str, shapes: Shapes, make: Make) -> Arrays:
        """Return the arrays of an earlier fit, or make and cache them; one that was killed resumes."""
        path = self._folder / f"{key}.npz"
        found = _read(path, shapes)
        if found is not None:
            with unless_gone():
                os.utime(path)
            return found
        partial = _PartialFile(self._folder / f"{key}-partial.npz")
        arrays = make(partial)
        _write(path, arrays)
        partial.path.unlink(missing_ok=True)
        self._prune()
        return arrays

    def _prune(self) -> None:
        found = entries(self._folder, "*.npz")
        held = 0
        for number, one in enumerate(sorted(found, key=lambda one: -one.facts.st_mtime_ns)):
            held += one.facts.st_size
            if number >= _MOST_FILES or (number and held > self._most_bytes):
                one.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class _PartialFile:
    """A partial fit in a file beside the finished ones."""

    path: Path

    def read(self) -> Arrays | None:
        """Return what was stored, if anything."""
        return _read(self.path)

    def write(self, arrays: Arrays) -> None:
        """Store arrays in the place of earlier ones."""
        _write(self.path, arrays)


def _write(path: Path, arrays: Arrays) -> None:
    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)


def _read(path: Path, shapes: Shapes | None = None) -> Arrays | None:
    """Return a file's arrays, None if there are none; with `shapes`, only those of these shapes and f32."""
    if not path.is_file() or path.is_symlink():
        return None
    try:
        arrays = read_arrays(path)
        found = {name: (array.shape, array.dtype) for name, array in arrays.items()}
        if shapes is not None and found != {name: (shape, _FLOAT) for name, shape in shapes.items()}:
            raise ValueError("its arrays are of other shapes")
    except FileNotFoundError:  # another training has just removed it
        return None
    except (OSError, ValueError, EOFError, LookupError, NotImplementedError, zipfile.BadZipFile) as error:
        logger.warning("the cached fit {} cannot be read and is made again: {}", path, error)
        return None
    return arrays

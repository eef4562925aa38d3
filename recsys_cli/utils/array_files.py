"""Arrays on disk, opened without being read."""

import mmap
from pathlib import Path

import numpy as np


def open_array(path: Path) -> np.ndarray:
    """Return the array of an `.npy` file; pages are read when they are looked at. No pickle is loaded.

    Raises: OSError, ValueError or EOFError for a file that holds none.
    """
    return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))


def release_pages(array: np.ndarray) -> None:
    """Let go of what was read of an array's file; nothing happens to an array in memory."""
    base = array.base
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)

"""Kernels: loops that numba compiles to machine code. They run without Python's lock: chunks run side by side.

A kernel may only call kernels of its own file: numba invalidates its cache per file. The cache lies beside
the code; where that cannot be written, in the user's cache folder; where the user has none, in a private
folder among the temporary files. No home folder is made.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np

from recsys_cli.utils.storage.folders import private_folder

Cells = tuple[np.ndarray, np.ndarray, np.ndarray]  # a CSR matrix: starts of the rows, columns, values
Kernel = TypeVar("Kernel", bound=Callable[..., Any])
_CACHE_VARIABLE = "NUMBA_CACHE_DIR"  # numba's own


def compiled(kernel: Kernel) -> Kernel:
    """Compile a kernel at its first call and cache the machine code."""
    return _compiled(kernel, fastmath=False)


def compiled_sums(kernel: Kernel) -> Kernel:
    """Compile a kernel whose sums may be taken in another order than written: several cells at a time."""
    return _compiled(kernel, fastmath={"reassoc", "contract"})


def _compiled(kernel: Kernel, fastmath: bool | set[str]) -> Kernel:
    try:
        return cast(Kernel, numba.njit(nogil=True, cache=_has_cache(kernel), fastmath=fastmath)(kernel))
    except RuntimeError:  # numba found no folder after all
        return cast(Kernel, numba.njit(nogil=True, fastmath=fastmath)(kernel))


def _has_cache(kernel: Callable[..., Any]) -> bool:
    """Return whether the machine code can be cached; where nothing else can be written, name a private folder."""
    beside = Path(kernel.__code__.co_filename).parent
    if (
        os.environ.get(_CACHE_VARIABLE)
        or _is_writable(beside / "__pycache__", beside)
        or _user_has_a_cache_folder()
    ):
        return True
    folder = private_folder("recsys-compiled")
    if folder is not None:
        os.environ[_CACHE_VARIABLE] = str(folder)
        numba.config.reload_config()  # type: ignore[no-untyped-call]
    return folder is not None


def _user_has_a_cache_folder() -> bool:
    if os.environ.get("XDG_CACHE_HOME"):
        return True
    home = Path(os.path.expanduser("~"))  # stays ~ where there is none
    return _is_writable(home / ".cache", home)


def _is_writable(folder: Path, parent: Path) -> bool:
    return os.access(folder if folder.exists() else parent, os.W_OK | os.X_OK)

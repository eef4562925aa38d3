"""Kernels: functions that numba compiles to machine code. They release the GIL, so chunks run in parallel.

A kernel may only call kernels of its own file: numba invalidates its cache per file. The cache lies beside
the code; where that cannot be written, in the user's cache folder; where the user has none, in a private
folder among the temporary files. No home folder is made.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from recsys_cli.utils.library_imports import in_folder_of
from recsys_cli.utils.storage.folder_checks import private_folder

with in_folder_of("numba"):
    import numba

CsrArrays = tuple[np.ndarray, np.ndarray, np.ndarray]  # of a CSR matrix: indptr, indices, data
Kernel = TypeVar("Kernel", bound=Callable[..., Any])
_CACHE_VARIABLE = "NUMBA_CACHE_DIR"  # numba's own


def kernel(function: Kernel) -> Kernel:
    """Compile a kernel at its first call and cache the machine code."""
    return _compiled(function, fastmath=False)


def kernel_with_reordered_sums(function: Kernel) -> Kernel:
    """Compile a kernel whose sums may be reordered, so that several numbers are added at a time (SIMD)."""
    return _compiled(function, fastmath={"reassoc", "contract"})


def _compiled(function: Kernel, fastmath: bool | set[str]) -> Kernel:
    try:
        return cast(Kernel, numba.njit(nogil=True, cache=_has_cache(function), fastmath=fastmath)(function))
    except RuntimeError:  # numba found no folder after all
        return cast(Kernel, numba.njit(nogil=True, fastmath=fastmath)(function))


def _has_cache(function: Callable[..., Any]) -> bool:
    """Return whether machine code can be cached; if no other folder can be written, name a private one."""
    beside = Path(function.__code__.co_filename).parent
    if (
        os.environ.get(_CACHE_VARIABLE)
        or _is_writable(beside / "__pycache__", beside)
        or _user_has_a_cache_folder()
    ):
        return True
    folder = private_folder("recsys-compiled")
    if folder is not None:
        os.environ[_CACHE_VARIABLE] = str(folder)
        with in_folder_of("numba"):
            numba.config.reload_config()  # type: ignore[no-untyped-call]
    return folder is not None


def _user_has_a_cache_folder() -> bool:
    if os.environ.get("XDG_CACHE_HOME"):
        return True
    home = Path(os.path.expanduser("~"))  # stays ~ where there is none
    return _is_writable(home / ".cache", home)


def _is_writable(folder: Path, parent: Path) -> bool:
    return os.access(folder if folder.exists() else parent, os.W_OK | os.X_OK)

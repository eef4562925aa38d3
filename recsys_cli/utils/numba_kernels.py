"""Loops that numba compiles to machine code: they run without Python's lock, so chunks run side by side.

A loop calls loops of its own file alone: what is kept of it is renewed when that file changes, and no other.
It is kept beside the code; where that cannot be written, in the user's cache folder; where that cannot
either, as the user has no home, in a folder of the user's own among the temporary files. No home is made.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np

from recsys_cli.utils.absent import absent
from recsys_cli.utils.storage.atomic_files import private_folder

with absent("cffi", "yaml"):
    import numba
    import numba.core.typing.cffi_utils  # else it looks for cffi when a loop is first called

Cells = tuple[np.ndarray, np.ndarray, np.ndarray]  # a CSR matrix: starts of the rows, columns, values
_NUMBA: Any = numba.config  # it makes its names when it is imported
Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Compile a loop at its first call and keep the result."""
    return _compiled(loop, fastmath=False)


def compiled_sums(loop: Loop) -> Loop:
    """Compile a loop whose sums may be taken in another order than written: several cells at a time."""
    return _compiled(loop, fastmath={"reassoc", "contract"})


def _compiled(loop: Loop, fastmath: bool | set[str]) -> Loop:
    try:
        return cast(Loop, numba.njit(nogil=True, cache=_can_be_kept(loop), fastmath=fastmath)(loop))
    except RuntimeError:  # numba found no folder after all
        return cast(Loop, numba.njit(nogil=True, fastmath=fastmath)(loop))


def _can_be_kept(loop: Callable[..., Any]) -> bool:
    """Return whether there is a folder for what is compiled; point numba to the one of last resort."""
    beside = Path(loop.__code__.co_filename).parent
    if _NUMBA.CACHE_DIR or _may_be_written(beside / "__pycache__", beside) or _user_has_a_cache():
        return True
    folder = private_folder("recsys-compiled")
    if folder is not None:
        _NUMBA.CACHE_DIR = str(folder)
    return folder is not None


def _user_has_a_cache() -> bool:
    if os.environ.get("XDG_CACHE_HOME"):
        return True
    home = Path(os.path.expanduser("~"))  # stays ~ where there is none
    return _may_be_written(home / ".cache", home)


def _may_be_written(folder: Path, parent: Path) -> bool:
    return os.access(folder if folder.exists() else parent, os.W_OK | os.X_OK)

"""Loops that numba compiles to machine code: they run without Python's lock, so chunks run side by side.

A loop calls loops of its own file alone: what is kept of it is renewed when that file changes, and no other.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

Cells = tuple[np.ndarray, np.ndarray, np.ndarray]  # a CSR matrix: starts of the rows, columns, values
Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Compile a loop at its first call and keep the result beside it, or in the user's cache folder."""
    return _compiled(loop, fastmath=False)


def compiled_sums(loop: Loop) -> Loop:
    """Compile a loop whose sums may be taken in another order than written: several cells at a time."""
    return _compiled(loop, fastmath={"reassoc", "contract"})


def _compiled(loop: Loop, fastmath: bool | set[str]) -> Loop:
    try:
        return cast(Loop, numba.njit(nogil=True, cache=True, fastmath=fastmath)(loop))
    except RuntimeError:  # no folder to keep it in
        return cast(Loop, numba.njit(nogil=True, fastmath=fastmath)(loop))

"""Imports of libraries that would take settings from files of the current folder or of the user's home."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path


@contextmanager
def in_folder_of(library: str, below: str = "") -> Iterator[None]:
    """Make the folder of a library, or one below it, the current folder for the block, which imports it.

    numba reads `.numba_config.yaml` of the current folder, matplotlib `matplotlibrc`: what lies there, or a
    pipe of that name, would change the work, stop it or be waited for.
    """
    try:
        here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:  # nobody can read what lies there
        yield
        return
    try:
        os.chdir(_folder_of(library) / below)
        yield
    finally:
        os.fchdir(here)
        os.close(here)


def _folder_of(library: str) -> Path:
    spec = find_spec(library)
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent

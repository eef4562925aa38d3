"""Libraries that look for others, imported without them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def absent(*names: str) -> Iterator[None]:
    """Let packages seem not to be installed.

    Some libraries import whatever they can work with, wherever it happens to be installed: a command that
    ends in two seconds spends a tenth of them on what it never uses.
    """
    there = {name: sys.modules[name] for name in names if name in sys.modules}
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]  # to import a None is an ImportError
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(there)

"""What is used of Dynaconf, without the web frameworks: it would import them wherever they are installed."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _absent(*names: str) -> Iterator[None]:
    """Let packages seem not to be installed."""
    there = {name: sys.modules[name] for name in names if name in sys.modules}
    sys.modules.update(dict.fromkeys(names))  # type: ignore[arg-type]  # to import a None is an ImportError
    try:
        yield
    finally:
        for name in names:
            del sys.modules[name]
        sys.modules.update(there)


with _absent("flask", "jinja2"):
    from dynaconf import Dynaconf
    from dynaconf.constants import TOML_EXTENSIONS
    from dynaconf.loaders.base import BaseLoader
    from dynaconf.utils.parse_conf import parse_with_toml
    from dynaconf.vendor import tomllib

__all__ = ["TOML_EXTENSIONS", "BaseLoader", "Dynaconf", "parse_with_toml", "tomllib"]

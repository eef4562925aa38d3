"""The environment's variables that size the libraries' work, checked before a library reads them.

polars panics at a pool of 0 threads, and takes the machine's memory for a pool of millions.
"""

import re
from collections.abc import MutableMapping
from typing import Final

from recsys_cli.utils.errors import UsageError

_MOST_THREADS: Final = 1_024
_LARGEST_SIZE: Final = 2**40
_SHOWN: Final = 40  # characters of a value in a message
_LEAST: Final = {  # Rayon's 0 stands for all cores
    "POLARS_MAX_THREADS": 1,
    "OMP_NUM_THREADS": 1,
    "NUMBA_NUM_THREADS": 1,
    "RAYON_NUM_THREADS": 0,
}


_SIZE: Final = re.compile(r"POLARS_\w+_(THREAD_COUNT|SIZE|LIMIT)")  # each at least 1
_NO_MACHINE_CODE: Final = "NUMBA_DISABLE_JIT"


def check_thread_variables(environ: MutableMapping[str, str]) -> None:
    """Check the numbers of threads; an empty variable is removed, as if it were not set.

    Raises: UsageError that names the variable.
    """
    if environ.get(_NO_MACHINE_CODE, "0") not in ("", "0"):
        raise UsageError(
            f"{_NO_MACHINE_CODE} is set: without machine code a run would take days",
            where="the environment",
            fix=f"unset {_NO_MACHINE_CODE}",
        )
    sizes = [name for name in environ if _SIZE.fullmatch(name)]
    for name, least in {**dict.fromkeys(sizes, 1), **_LEAST}.items():
        value = environ.get(name)
        if value is not None and not value.strip():
            del environ[name]
        elif value is not None and not _is_valid(name, value, least):
            raise UsageError(
                f"{name}={value[:_SHOWN]} is not a number from {least} to {_most(name):,}",
                where="the environment",
                fix=f"unset {name}; the setting runtime.threads bounds the threads of all libraries",
            )


def _is_valid(name: str, value: str, least: int) -> bool:
    levels = value.split(",") if name == "OMP_NUM_THREADS" else [value]  # a number for each nested level
    return all(_is_number(one.strip()) and least <= int(one) <= _most(name) for one in levels)


def _most(name: str) -> int:
    return _MOST_THREADS if "THREAD" in name else _LARGEST_SIZE


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST_SIZE))

"""Faults of the machine and the environment, whatever library meets them, as errors with an exit code.

Memory, threads and temporary folders run out inside Python, numpy, polars, CatBoost and numba alike; each has
an exception of its own for it, or only words.
"""

import errno
import os
import re
from typing import Final

from recsys_cli.utils.errors import OutputError, RecsysError, UsageError, first_line
from recsys_cli.utils.memory_limit import address_space_limit, memory_limit
from recsys_cli.utils.stage_timer import peak_bytes
from recsys_cli.utils.storage.safe_paths import UnsafeNameError, name_too_long

_OUT_OF_MEMORY: Final = re.compile(
    r"bad[ _]?alloc|out of memory|cannot allocate memory|memory allocation|failed to allocate"
    r"|std::length_error|failed to map segment",
    re.IGNORECASE,
)
_NO_THREAD: Final = re.compile(
    r"can't start new thread|failed to launch worker thread|pthread_create|ThreadPoolBuildError"
    r"|failed to spawn thread|resource temporarily unavailable",
    re.IGNORECASE,
)
_NO_TEMPORARY_FOLDER: Final = "No usable temporary directory"
_LIBRARY_VARIABLES: Final = ("POLARS_", "NUMBA_")
_HARMLESS: Final = {"NUMBA_CACHE_DIR", "NUMBA_NUM_THREADS", "POLARS_MAX_THREADS"}  # checked, or set here


def environment_error(error: BaseException) -> RecsysError | None:
    """Return the error to show for a fault of the machine or the environment; None for any other."""
    if isinstance(error, SystemExit | KeyboardInterrupt | OutputError | UsageError):
        return None
    # A reader may have blamed the file: then the cause stands in any of the error's lines.
    text = str(error) if isinstance(error, RecsysError) else first_line(error)
    if _is_out_of_memory(error, text):
        return _out_of_memory()
    if (of_a_path := _of_a_path(error)) is not None:
        return of_a_path
    if _NO_THREAD.search(text) and not isinstance(error, BlockingIOError):  # a full pipe
        return OutputError(
            f"no thread or process can be started: {first_line(error)}",
            where="the limits of the user or the container (ulimit -u, pids.max)",
            fix="raise the limit, or lower runtime.threads",
        )
    if isinstance(error, OSError) and _NO_TEMPORARY_FOLDER in str(error.strerror):
        return OutputError(
            "there is no folder for temporary files that can be written",
            where=f"TMPDIR={os.environ.get('TMPDIR', '')}",
            fix="make room there, or set TMPDIR to a folder that can be written",
        )
    return _of_library_variables(error, text)


def _of_a_path(error: BaseException) -> UsageError | None:
    """Return the error of a path that there cannot be; None for any other."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return name_too_long(str(error.filename or ""))
    if isinstance(error, UnsafeNameError):
        return UsageError(
            str(error), where="the settings and options that name a path", fix="give a shorter one"
        )
    if isinstance(error, FileNotFoundError) and not _has_current_folder():
        return UsageError(
            "the current folder no longer exists", where="the current folder", fix="cd to one that does"
        )
    return None


def _is_out_of_memory(error: BaseException, text: str) -> bool:
    number = error.errno if isinstance(error, OSError) else None
    if isinstance(error, MemoryError) or number == errno.ENOMEM or _OUT_OF_MEMORY.search(text):
        return True
    if address_space_limit() is None:
        return False
    is_loading = isinstance(error, ImportError) or (isinstance(error, OSError) and number is None)
    # A library that cannot be mapped, a thread that gets no stack.
    return is_loading or bool(_NO_THREAD.search(text))


def _has_current_folder() -> bool:
    try:
        return bool(os.getcwd())
    except FileNotFoundError:
        return False


def _out_of_memory() -> OutputError:
    limit = memory_limit()
    return OutputError(
        f"the memory ran out after {peak_bytes() / 1e9:.2f} GB; {limit.size / 1e9:.2f} GB can be had",
        where=limit.source,
        fix="raise the limit, set runtime.max_memory or fewer runtime.threads; --plan says what a run needs",
    )


def _of_library_variables(error: BaseException, text: str) -> UsageError | None:
    """Return the error of a library that stops while variables in the environment change how it works."""
    library = type(error).__module__.partition(".")[0]
    named = {name for name in os.environ if name.startswith(_LIBRARY_VARIABLES)} - _HARMLESS
    if library not in ("pyo3_runtime", "numba") or not named:
        return None
    return UsageError(
        f"a library stops: {text}",
        where=f"{', '.join(sorted(named))} in the environment",
        fix="run it again without these variables",
    )

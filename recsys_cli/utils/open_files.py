"""Too few open files: a limit of the process that any library meets, in its own words."""

import os
import resource
from collections.abc import Iterator
from errno import EMFILE, ENFILE
from typing import Final

from recsys_cli.utils.errors import OutputError

_WORDS: Final = os.strerror(EMFILE)  # as libraries quote the system
_ENOUGH: Final = 1024
_LEAST: Final = 16  # that a small run opens at a time


def require_open_files() -> None:
    """Raise OSError where the limit on open files stops any run: polars meets it with a printed panic."""
    opened: list[int] = []
    try:
        for _ in range(_LEAST):
            opened.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    finally:
        for one in opened:
            os.close(one)


def too_few_open_files(error: BaseException) -> OutputError | None:
    """Return the error to show where the limit on open files is behind `error`; None where it is not."""
    if not any(_is_about_open_files(one) for one in _with_causes(error)):
        return None
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return OutputError(
        f"too many open files: this process may open {allowed:,}",
        where="the limit on open files (ulimit -n)",
        fix=f"run `ulimit -n {max(_ENOUGH, 2 * allowed)}` first (systemd: LimitNOFILE; containers: --ulimit "
        "nofile); where that limit is high already, raise the system's: fs.file-max",
    )


def _is_about_open_files(error: BaseException) -> bool:
    return getattr(error, "errno", None) in (EMFILE, ENFILE) or _WORDS in str(error)


def _with_causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that led to it, hidden or not."""
    seen: list[BaseException] = []
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and one not in seen:
            yield one
            seen.append(one)
            waiting += [one.__cause__, one.__context__]

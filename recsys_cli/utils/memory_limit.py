"""How much memory the process may take: the machine's, its control group's, or what `ulimit` says."""

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recsys_cli.utils.errors import OutputError

_GROUPS: Final = Path("/sys/fs/cgroup")
_GROUP_FILES: Final = ("memory.max", "memory/memory.limit_in_bytes")  # version 2 and 1
_LEAST_ADDRESS_SPACE: Final = 3_000_000_000  # bytes; a small run on two cores reserves a little more


@dataclass(frozen=True)
class MemoryLimit:
    """Bytes that the process may take, and what sets this limit."""

    size: int
    source: str


def memory_limit() -> MemoryLimit:
    """Return the smallest limit of memory that holds for the process."""
    return min(_limits(), key=lambda limit: limit.size)


def address_space_limit() -> int | None:
    """Return the bytes of `ulimit -v`; None where it is unlimited."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


def require_address_space() -> None:
    """Check that the libraries find room to reserve: with less they end in any way, or never.

    Raises: OutputError where `ulimit -v` stops any run.
    """
    limit = address_space_limit()
    if limit is not None and limit < _LEAST_ADDRESS_SPACE:
        raise OutputError(
            f"a run needs at least {_LEAST_ADDRESS_SPACE / 1e9:.2f} GB of address space; "
            f"{limit / 1e9:.2f} GB can be had",
            where="ulimit -v",
            fix="raise the limit: libraries reserve several times the memory that they use; "
            "runtime.max_memory bounds what they use",
        )


def check_memory(needed: int, work: str, *, fix: str) -> None:
    """Check, before a work begins, that its memory can be had.

    Raises: OutputError that says what is needed.
    """
    limit = memory_limit()
    if needed > limit.size:
        raise OutputError(
            f"{work} needs about {needed / 1e9:.2f} GB of memory; {limit.size / 1e9:.2f} GB can be had",
            where=limit.source,
            fix=fix,
        )


def _limits() -> Iterator[MemoryLimit]:
    yield MemoryLimit(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "the machine's memory")
    if (size := address_space_limit()) is not None:
        yield MemoryLimit(size, "ulimit -v")
    for name in _GROUP_FILES:
        try:
            yield MemoryLimit(int((_GROUPS / name).read_text(encoding="ascii")), str(_GROUPS / name))
        except (OSError, ValueError):  # no such file, or "max"
            continue

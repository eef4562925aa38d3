"""Seconds and peak memory of the parts of a run."""

import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_IMPORTED = time.perf_counter()
_BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss


@dataclass(frozen=True)
class Stage:
    """A part of a run: its seconds, and the process's peak memory by its end, in bytes."""

    name: str
    seconds: float
    peak_bytes: int


class Stages:
    """Collects the stages of a run, in the order in which they first began."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._peaks: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time the block; the same name again adds to it."""
        self._seconds.setdefault(name, 0.0)
        started = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] += time.perf_counter() - started
            self._peaks[name] = peak_bytes()

    def all(self) -> list[Stage]:
        """Return the stages so far."""
        return [Stage(name, seconds, self._peaks.get(name, 0)) for name, seconds in self._seconds.items()]


def process_seconds() -> float:
    """Return the seconds since the process began; where the system does not tell, since this was imported."""
    try:
        began = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return time.perf_counter() - _IMPORTED
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")


def peak_bytes() -> int:
    """Return the largest resident memory that the process has had, in bytes.

    On Linux the figure of `getrusage` is inherited from the process that started this one.
    """
    try:
        told = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(told.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _BYTES_PER_UNIT

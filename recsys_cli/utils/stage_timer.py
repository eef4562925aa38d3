"""Seconds and peak memory of the parts of a run."""

import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from loguru import logger

from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.progress import Progress

_IMPORTED = time.perf_counter()
_BYTES_PER_UNIT = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
_LONG_TURN = 1.0  # seconds; scoring enters a stage for every chunk of users


@dataclass(frozen=True)
class Stage:
    """A part of a run: its seconds, and the process's peak memory by its end, in bytes."""

    name: str
    seconds: float
    peak_bytes: int


class StageWatch(Protocol):
    """Follows the stages of a run while they last."""

    def begin(self, name: str) -> None:
        """Take note that a stage begins."""

    def move(self, name: str, done: int, total: int) -> None:
        """Take note of a stage's units, done and in all; from any thread."""

    def end(self, stage: Stage) -> None:
        """Take note that a stage has ended, also by an error; its seconds are those of this turn."""


class Stages:
    """Collects the stages of a run, in the order in which they first began; stages do not nest.

    Example:
        with stages.stage("candidate models") as progress:
            progress(7, 20)  # optional: units done, units in all

    Attributes:
        watch: follows the stages that begin from now on; None: nothing does.
    """

    def __init__(self, watch: StageWatch | None = None) -> None:
        self.watch = watch
        self._seconds: dict[str, float] = {}
        self._peaks: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """Time the block and log its end; the same name again adds to it.

        Yields: a callable that reports the units of this stage, done and in all.
        Raises: OutputError if the end of a block without an error cannot be logged.
        """
        watch, started, again = self.watch, time.perf_counter(), name in self._seconds
        self._seconds.setdefault(name, 0.0)

        def progress(done: int, total: int) -> None:
            if watch is not None:
                watch.move(name, done, total)

        if watch is not None:
            watch.begin(name)
        try:
            yield progress
        except BaseException:
            with suppress(OutputError):  # the block's own error says more
                self._end(name, started, watch, again=again)
            raise
        self._end(name, started, watch, again=again)

    def _end(self, name: str, started: float, watch: StageWatch | None, *, again: bool) -> None:
        turn = Stage(name, time.perf_counter() - started, peak_bytes())
        self._seconds[name] += turn.seconds
        self._peaks[name] = turn.peak_bytes
        if watch is not None:
            watch.end(turn)
        level = "DEBUG" if again and turn.seconds < _LONG_TURN else "INFO"
        peak = f"{turn.peak_bytes / 1e9:.2f} GB"
        logger.log(level, f"stage {name}: {turn.seconds:.1f} s, peak memory {peak}")

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

"""Seconds and peak memory of the stages of a run."""

import os
import resource
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
_LONG_TURN = 1.0  # seconds; scoring enters a stage for every chunk of users


@dataclass(frozen=True)
class StageTime:
    """A stage of a run: its seconds, and the process's peak memory at its end, in bytes."""

    name: str
    seconds: float
    peak_bytes: int


class StageObserver(Protocol):
    """Is notified while the stages of a run go on."""

    def begin(self, name: str) -> None:
        """A stage begins."""

    def move(self, name: str, done: int, total: int) -> None:
        """A stage has done so many units of the total; called from any thread."""

    def end(self, stage: StageTime) -> None:
        """A stage has ended, also by an error; its seconds are those of this turn alone."""


class StageTimer:
    """Measures the stages of a run, in the order in which they first began; stages do not nest.

    Example:
        with stages.stage("candidate models") as progress:
            progress(7, 20)  # optional: units done, units in total

    Attributes:
        watch: is notified of the stages that begin from now on; None: nobody is.
    """

    def __init__(self, watch: StageObserver | None = None) -> None:
        self.watch = watch
        self._seconds: dict[str, float] = {}
        self._peaks: dict[str, int] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[Progress]:
        """Measure the block and log its end; a name that is used again adds to the earlier time.

        Yields: a callable to report progress: units done, units in total.
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
            with suppress(OutputError):  # the block's own error matters more
                self._end(name, started, watch, again=again)
            raise
        self._end(name, started, watch, again=again)

    def _end(self, name: str, started: float, watch: StageObserver | None, *, again: bool) -> None:
        turn = StageTime(name, time.perf_counter() - started, peak_bytes())
        self._seconds[name] += turn.seconds
        self._peaks[name] = turn.peak_bytes
        if watch is not None:
            watch.end(turn)
        level = "DEBUG" if again and turn.seconds < _LONG_TURN else "INFO"
        peak = f"{turn.peak_bytes / 1e9:.2f} GB"
        logger.log(level, f"stage {name}: {turn.seconds:.1f} s, peak memory {peak}")

    def all(self) -> list[StageTime]:
        """Return the stages so far."""
        return [StageTime(name, seconds, self._peaks.get(name, 0)) for name, seconds in self._seconds.items()]


def process_seconds() -> float:
    """Return the seconds since the process started; if the system does not report it, since this import."""
    try:
        began = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return time.perf_counter() - _IMPORTED
    return time.clock_gettime(time.CLOCK_BOOTTIME) - began / os.sysconf("SC_CLK_TCK")


def peak_bytes() -> int:
    """Return the largest resident memory that the process has had, in bytes.

    On Linux `getrusage` would include the peak of the process that started this one.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

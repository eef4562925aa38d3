"""The current stage of a run: a live bar on a terminal, timed lines off it, and the same lines in the log."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from threading import Event, Lock, Thread
from typing import Final

from loguru import logger
from rich.cells import cell_len
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from recsys_cli.cli.display.safe_text import escaped
from recsys_cli.cli.display.terminal import Terminal
from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.progress import Progress
from recsys_cli.utils.stage_timer import StageTime, StageTimer

_SECONDS_BETWEEN_LINES: Final = 60.0
_SECONDS_WHEN_VERBOSE: Final = 9.0  # a line comes within ten seconds on a busy machine, too
_SECONDS_WITHOUT_STAGES: Final = 10.0
_SECONDS_BETWEEN_RECORDS: Final = 60.0  # in the log
_WIDEST_BAR: Final = 40
_NARROWEST_BAR: Final = 10


@contextmanager
def shown_stages(
    terminal: Terminal,
    title: str,
    stages: StageTimer,
    *,
    verbosity: int = 0,
    line_every: float | None = None,
    log_every: float = _SECONDS_BETWEEN_RECORDS,
    summary: bool = True,
    units: str = "",
) -> Iterator[Progress]:
    """Show and log how the stages go on while the block runs, and its seconds once it is done.

    A terminal has one line that is drawn again and again. Elsewhere lines follow each other, also while
    nothing moves. Nothing is shown when quiet; the log is written all the same.

    Yields: a callable for units of the whole block, done and in total: from its first call until all are
        done, they are shown instead of the stages.

    Args:
        title: what the block does, before the name of the stage.
        line_every: seconds between lines off a terminal; by default they follow from `verbosity`.
        log_every: seconds between records in the log.
        summary: whether the seconds are shown once it is done.
        units: what the yielded callable counts, such as users.
    """
    display = StageDisplay(terminal, title)
    with ExitStack() as until_end:
        until_end.enter_context(_repeated(log_every, display.log))
        if not terminal.quiet and terminal.redraws():
            until_end.enter_context(_live(terminal, display))
        elif not terminal.quiet:
            seconds = _SECONDS_WHEN_VERBOSE if verbosity else _SECONDS_BETWEEN_LINES
            until_end.enter_context(_repeated(line_every or seconds, display.say))
        until_end.enter_context(_watched(stages, display))
        yield display.count
    if summary:
        counted = f"{display.counted:,} {units} in " if display.counted else ""
        terminal.say(f"{title}: {counted}{display.seconds():.1f} s")


def shown_work(terminal: Terminal, title: str) -> AbstractContextManager[Progress]:
    """Show how long the block, which has no stages, is under way; nothing once it is done."""
    return shown_stages(terminal, title, StageTimer(), line_every=_SECONDS_WITHOUT_STAGES, summary=False)


@dataclass(frozen=True)
class StageProgress:
    """How far a stage is; times are seconds of one clock.

    Attributes:
        name: empty between stages.
        began: when the stage began.
        base, counted_from: the units that were done when their counting began, and when that was.
        done, total, moved: the units last reported, and when; a total of 0: the stage reports none.
    """

    name: str
    began: float
    counted_from: float
    moved: float
    base: int = 0
    done: int = 0
    total: int = 0

    @classmethod
    def begun(cls, name: str, now: float) -> "StageProgress":
        """Return a stage at its beginning."""
        return cls(name, began=now, counted_from=now, moved=now)

    def counted(self, done: int, total: int, now: float) -> "StageProgress":
        """Return the stage after a report; a count that starts again is timed from there."""
        if done == 0 or done < self.done:
            return replace(self, base=done, counted_from=now, moved=now, done=done, total=total)
        return replace(self, moved=now, done=done, total=total)

    def seconds_left(self, now: float) -> float | None:
        """Return what the other units take at the pace so far; None before a unit is done, and after all."""
        counted, rest = self.done - self.base, self.total - self.done
        if counted <= 0 or rest <= 0:
            return None
        each = (self.moved - self.counted_from) / counted
        return each * rest - min(now - self.moved, each)  # a unit that takes longer does not count backwards

    def summary(self, now: float) -> str:
        """Return share, units, time so far and time left, as far as they are known."""
        elapsed = duration(now - self.began)
        if self.total <= 0:
            return f"{elapsed} so far"
        share = f"{100 * self.done // self.total} % ({self.done:,} of {self.total:,})"
        left = self.seconds_left(now)
        return f"{share}, {elapsed}" + ("" if left is None else f", about {duration(_rounded(left))} left")


class StageDisplay:
    """The StageObserver of a terminal: says at any time how far the current stage is."""

    def __init__(self, terminal: Terminal, title: str) -> None:
        self._terminal = terminal
        self._title = title
        self._began = time.monotonic()
        self._progress = StageProgress.begun("", self._began)
        self._changing = Lock()  # reports come from any thread
        self._counting = False
        self.counted = 0

    def begin(self, name: str) -> None:
        """Let this stage be the current one."""
        with self._changing:
            if not self._counting:
                self._progress = StageProgress.begun(name, time.monotonic())

    def move(self, name: str, done: int, total: int) -> None:
        """Count the units of the current stage; a late report of an earlier one is dropped."""
        with self._changing:
            if name == self._progress.name and not self._counting:
                self._progress = self._progress.counted(done, total, time.monotonic())

    def end(self, _stage: StageTime) -> None:
        """Let no stage be the current one."""
        with self._changing:
            if not self._counting:
                self._progress = StageProgress.begun("", self._began)

    def count(self, done: int, total: int) -> None:
        """Count the units of the whole block."""
        now = time.monotonic()
        with self._changing:
            if not self._counting:
                self._progress = replace(StageProgress.begun("", now), began=self._began)
            self._progress, self._counting, self.counted = (
                self._progress.counted(done, total, now),
                done < total,
                done,
            )

    def seconds(self) -> float:
        """Return the seconds since the display began."""
        return time.monotonic() - self._began

    def line(self) -> str:
        """Return how far the current stage is."""
        progress = self._progress
        return f"{self._label(progress)}: {progress.summary(time.monotonic())}"

    def say(self) -> None:
        """Show the line."""
        self._terminal.say(self.line())

    def log(self) -> None:
        """Write the line to the log; the terminal's sink leaves it out."""
        logger.info(self.line())

    def live_line(self, width: int) -> Table:
        """Return the line with a bar; where the width is short the title is left out, then the bar."""
        progress, now = self._progress, time.monotonic()
        label, summary = escaped(self._label(progress)), progress.summary(now)
        room = width - cell_len(summary) - 2
        if room - cell_len(label) < _NARROWEST_BAR and progress.name:
            label = escaped(progress.name)
        length = min(room - cell_len(label), _WIDEST_BAR)
        total = progress.total if progress.total > 0 else None
        bars = (
            [ProgressBar(total, progress.done, length, animation_time=now)]
            if length >= _NARROWEST_BAR
            else []
        )
        grid = Table.grid(padding=(0, 1))
        for _ in range(len(bars) + 2):
            grid.add_column(no_wrap=True, overflow="ellipsis")
        grid.add_row(Text(label), *bars, Text(summary))
        return grid

    def _label(self, progress: StageProgress) -> str:
        return f"{self._title} · {progress.name}" if progress.name else self._title


def duration(seconds: float) -> str:
    """Return seconds as text: `41 s`, `12 min 5 s` from two minutes on, `3 h 20 min`."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if whole < 120:
        return f"{whole} s"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _rounded(seconds: float) -> float:
    return round(seconds, -1) if seconds > 20 else seconds


@contextmanager
def _repeated(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Call `act` every so many seconds, on a thread of its own, while the block runs and never after it."""
    ended = Event()

    def repeat() -> None:
        while not ended.wait(seconds):
            with suppress(OSError, OutputError):  # a full disk: the run meets it itself
                act()

    thread = Thread(target=repeat, name="stage display", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def _live(terminal: Terminal, display: StageDisplay) -> Iterator[None]:
    """Draw the display's line again and again while the block runs, and clear it."""
    console = terminal.messages
    with Live(
        console=console,
        get_renderable=lambda: display.live_line(console.width),
        redirect_stdout=False,
        redirect_stderr=False,
        transient=True,
    ):
        yield


@contextmanager
def _watched(stages: StageTimer, display: StageDisplay) -> Iterator[None]:
    stages.watch = display
    try:
        yield
    finally:
        stages.watch = None

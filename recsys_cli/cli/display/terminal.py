"""All that a person or a script sees: data on stdout, messages on stderr, foreign text escaped.

Messages hide the secrets of the settings; data stay as they are.
"""

import io
import os
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from loguru import logger
from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn
from rich.progress import Progress as Bar
from rich.progress import TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from recsys_cli.cli.display.safe_text import escaped, json_text
from recsys_cli.configs.secrets import Secrets
from recsys_cli.utils.progress import Progress, no_progress

_SECONDS_BETWEEN_LINES: Final = 10.0
_UNBOUNDED_WIDTH: Final = 100_000  # off a terminal a table is as wide as its cells


@dataclass(frozen=True)
class Entry:
    """A line of a list: a mark at the left, text, a figure at the right; `details` stand below the text."""

    mark: str
    text: str
    figure: str
    details: Sequence[str]


class PatientConsole(Console):
    """A console whose reader may close: later output is dropped and the work continues."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.file.fileno())
        os.close(nowhere)


class Terminal:
    """The one place that writes to stdout and stderr."""

    def __init__(self) -> None:
        self.quiet = False
        self.held: list[str] = []  # warnings of a quiet run, to be shown at its end
        self.secrets = Secrets()
        self.data = PatientConsole(highlight=False, markup=False, emoji=False)
        self.messages = PatientConsole(stderr=True, highlight=False, markup=False, emoji=False)

        if not self.data.is_terminal:
            self.data.width = _UNBOUNDED_WIDTH
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # a title may not fit the terminal's encoding

    def say(self, text: str) -> None:
        """Show a message, unless quiet."""
        if not self.quiet:
            self._line(self.fit_to_show(text))

    def fit_to_show(self, text: str) -> str:
        """Return a message without secrets and with its invisible characters written out."""
        return escaped(self.secrets.hide(text))

    def warn(self, text: str) -> None:
        """Log a warning; the log's sink shows it, unless quiet."""
        logger.opt(depth=1).warning(text)

    def error(self, what: str, *, where: str = "", fix: str = "") -> None:
        """Show an error block: what (one or more lines), where, how to put it right."""
        first, *more = self.secrets.hide(what).splitlines() or [""]
        block = Text.assemble(("error:", "bold red"), f" {escaped(first)}")
        for line in more:
            block.append(f"\n    {escaped(line)}")
        for label, text in (("where", where), ("fix", fix)):
            if text:
                block.append(f"\n  {label}: {self.fit_to_show(text)}")
        self._line(block)

    def show_held(self, known: Collection[str], title: str) -> None:
        """Show the warnings of a quiet run together, once, unless they are `known`; forget them all."""
        new = [text for text in self.held if text not in known]
        self.held.clear()
        if new:
            block = Text.assemble(("warning:", "yellow"), f" {escaped(title)}")
            for text in new:
                block.append(f"\n    {text}")
            self._line(block)

    def redraws(self) -> bool:
        """Return whether messages go to a terminal on which a line can be drawn again."""
        return sys.stderr is not None and sys.stderr.isatty() and not self.messages.is_dumb_terminal

    def show_line(self, text: str) -> None:
        """Write a sentence to stdout; a terminal gets it in lines that end at a word."""
        self.data.print(Text(escaped(text)))

    def show_page(self, text: str) -> None:
        """Write a page of Markdown to stdout: rendered on a terminal, elsewhere as it is."""
        if not self.data.is_terminal:
            self.data.out(text, end="", highlight=False)
            return
        from recsys_cli.cli.display.pages import LOOK, WIDEST_LINE, rendered

        with self.data.use_theme(LOOK):
            self.data.print(rendered(text), width=min(self.data.width, WIDEST_LINE))

    def show_table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write a table to stdout; numbers stand right, nothing is cut off."""
        table = Table(title=Text(escaped(title), "bold"), title_justify="left")
        for number, name in enumerate(columns):
            numeric = bool(rows) and all(isinstance(row[number], int | float) for row in rows)
            table.add_column(Text(escaped(name)), justify="right" if numeric else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(escaped(str(cell))) for cell in row))
        self.data.print(table)

    def show_entries(self, title: str, entries: Sequence[Entry]) -> None:
        """Write a list to stdout that is readable however narrow the terminal is."""
        grid = Table.grid(padding=(0, 1))
        grid.add_column(justify="right")
        grid.add_column(overflow="fold")
        grid.add_column(justify="right", no_wrap=True)
        for entry in entries:
            grid.add_row(Text(entry.mark), Text(escaped(entry.text)), Text(entry.figure))
            for detail in entry.details:
                grid.add_row("", Padding(Text(escaped(detail), "dim"), (0, 0, 0, 2)), "")
        self.data.print(Text(escaped(title), "bold"))
        self.data.print(grid)

    def show_json(self, value: Mapping[str, Any]) -> None:
        """Write one JSON object to stdout."""
        try:
            print(json_text(value), file=self.data.file, flush=True)
        except BrokenPipeError:
            self.data.on_broken_pipe()

    @contextmanager
    def progress(self, label: str | Callable[[], str], unit: str = "users") -> Iterator[Progress]:
        """Yield a callable for units done and in all: a bar on a terminal, timed lines off it.

        Args:
            label: the text before the bar, or what returns it each time that it is drawn.
        """
        text = label if callable(label) else lambda: label
        if self.quiet:
            yield no_progress
        elif self.redraws():
            with self._bar() as display:
                task = display.add_task(escaped(text()), total=None, rate="")
                started = time.monotonic()

                def move(done: int, total: int) -> None:
                    rate = done / max(time.monotonic() - started, 1e-9)
                    speed = f"{rate:,.0f}/s" if rate >= 1 else ""
                    display.update(task, completed=done, total=total, rate=speed, description=escaped(text()))

                yield move
        else:
            lines = _TimedLines(self, text, unit)
            yield lines.report
            lines.finish()

    def _bar(self) -> Bar:
        return Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.messages,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def _line(self, text: str | Text) -> None:
        self.messages.print(text, soft_wrap=True)


class _TimedLines:
    """Progress where nothing can be redrawn: a line every ten seconds at most, and one at the end."""

    def __init__(self, terminal: Terminal, label: Callable[[], str], unit: str) -> None:
        self._terminal = terminal
        self._label = label
        self._unit = unit
        self._started = self._said = time.monotonic()
        self._done = 0

    def report(self, done: int, total: int) -> None:
        now = time.monotonic()
        self._done = done
        if now - self._said < _SECONDS_BETWEEN_LINES or not done or done >= total:
            return
        self._said = now
        rate = done / (now - self._started)
        share = f"{done:,} of {total:,} ({done / total:.0%})"
        speed = f"{rate:,.0f} a second, " if rate >= 1 else ""
        self._terminal.say(f"{self._label()}: {share}, {speed}{(total - done) / rate:,.0f} s left")

    def finish(self) -> None:
        seconds = time.monotonic() - self._started
        count = f"{self._done:,} {self._unit} in " if self._done else ""
        self._terminal.say(f"{self._label()}: {count}{seconds:.1f} s")

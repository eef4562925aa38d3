"""Where log records go: warnings to the terminal, everything to a run's file.

Records are written by functions, never through loguru's templates: an id with braces or markup stays text.
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from loguru import logger

from recsys_cli.cli.display import stage_display
from recsys_cli.cli.display.terminal import Terminal
from recsys_cli.configs.secrets import Secrets
from recsys_cli.utils.errors import OutputError

if TYPE_CHECKING:
    from loguru import Message

_STYLES: Final = {"ERROR": "red", "CRITICAL": "red", "WARNING": "yellow"}


class _FromLibraries(logging.Handler):
    """Takes the warnings that libraries log, which Python would print as they are: addresses and all."""

    def emit(self, record: logging.LogRecord) -> None:
        level = "ERROR" if record.levelno >= logging.ERROR else "WARNING"
        logger.log(level, "{}", record.getMessage())


def log_to_terminal(terminal: Terminal, verbosity: int) -> None:
    """Send records to stderr: warnings and above; -v information, -vv debugging.

    With -q warnings are held back for the end of the run. The same warning is shown once, however many steps
    of the run log it. What the stage display logs it shows itself.
    """
    warnings: set[str] = set()

    def show(message: "Message") -> None:
        record = message.record
        level = record["level"].name
        bound = [f"{name}={value}" for name, value in record["extra"].items()]
        text = terminal.fit_to_show(" ".join([record["message"], *bound]))
        if level == "WARNING":
            if text in warnings:
                return
            warnings.add(text)
            if terminal.quiet:
                terminal.held.append(text)
                return
        terminal.messages.print(f"{level.lower()}: {text}", style=_STYLES.get(level, "dim"), soft_wrap=True)

    logging.lastResort = _FromLibraries(logging.WARNING)
    level = "WARNING" if terminal.quiet else ("WARNING", "INFO", "DEBUG")[min(verbosity, 2)]
    logger.remove()
    logger.add(
        show,
        level=level,
        filter={stage_display.__name__: False},
        format="{message}",
        colorize=False,
        diagnose=False,
        backtrace=False,
    )


@contextmanager
def log_to_file(path: Path, secrets: Secrets) -> Iterator[None]:
    """Append every record, and the error that ends the block, to `path` as JSON lines without secrets.

    Raises: OutputError if the file cannot be opened or written.
    """
    log = _JsonLines(path, secrets)
    sink = logger.add(
        log.sink, level="DEBUG", format="{message}", diagnose=False, backtrace=False, catch=False
    )
    try:
        yield
    except BaseException as error:
        log.write(datetime.now(UTC), "ERROR", str(error), {"error": type(error).__name__})
        raise
    finally:
        logger.remove(sink)


class _JsonLines:
    """Writes each line at once and completely: the log of a killed run is readable."""

    def __init__(self, path: Path, secrets: Secrets) -> None:
        self._path = path
        self._secrets = secrets
        self._append("")

    def sink(self, message: "Message") -> None:
        record = message.record
        self.write(record["time"], record["level"].name, record["message"], record["extra"])

    def write(self, time: datetime, level: str, message: str, extra: dict[str, Any]) -> None:
        masked = self._secrets.hide_in({"message": message, "extra": extra})
        entry = {"time": time.astimezone(UTC).isoformat(), "level": level, **masked}
        self._append(json.dumps(entry, default=lambda one: self._secrets.hide(str(one))) + "\n")

    def _append(self, text: str) -> None:
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise OutputError(
                f"the log cannot be written: {error.strerror}",
                where=str(self._path),
                fix="make room for it, or set output.runs to a folder that can be written",
            ) from error

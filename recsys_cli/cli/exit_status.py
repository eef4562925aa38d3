"""How a run ends: whatever stops a command becomes one error block and an exit code."""

import os
import signal
import sys
import threading
import traceback
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

import typer

from recsys_cli.cli.session import Session
from recsys_cli.utils.errors import ExitCode, RecsysError


class Terminated(BaseException):
    """SIGTERM arrived; no `except Exception` on the way may hold it up."""


class Outcome:
    """A `with` block that lets nothing through and keeps the exit code."""

    def __init__(self, session: Session) -> None:
        self.code: int = ExitCode.OK
        self._session = session
        self._signalled: BaseException | None = None
        self._before: dict[int, Any] = {}
        self._unraisable = sys.unraisablehook

    def __enter__(self) -> "Outcome":
        if threading.current_thread() is threading.main_thread():
            self._before[signal.SIGTERM] = signal.signal(signal.SIGTERM, self._terminate)
            if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored
                self._before[signal.SIGINT] = signal.signal(signal.SIGINT, self._interrupt)
            sys.unraisablehook = self._raise_later
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None and self.code == ExitCode.INTERRUPTED:  # typer turns Ctrl-C into this code
            error = KeyboardInterrupt()
        if error is not None:
            # What comes out of a library that a signal meets may be anything.
            error = self._signalled or error
            self.code = _code_of(error)
            with suppress(OSError):  # where stderr is full, too, the code alone tells
                self._tell(error)
        sys.unraisablehook = self._unraisable
        if self._signalled is None:
            for number, handler in self._before.items():
                signal.signal(number, handler)
        return True

    def _terminate(self, number: int, frame: FrameType | None) -> None:
        if _is_in_polars(frame):
            _send_later(number)
            return
        signal.signal(number, signal.SIG_IGN)  # a second one must not cut the cleaning up short
        self._signalled = Terminated()
        raise self._signalled

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._signalled is not None:  # the second one ends it at once; a killed run loses nothing
            os._exit(ExitCode.INTERRUPTED)
        if _is_in_polars(frame):
            _send_later(number)
            return
        self._signalled = KeyboardInterrupt()
        raise self._signalled

    def _raise_later(self, met: "sys.UnraisableHookArgs") -> None:
        """Send a signal once more that came where nothing can be raised, as in a destructor."""
        match met.exc_value:
            case None:
                self._unraisable(met)
            case KeyboardInterrupt() if met.exc_value is self._signalled:
                self._signalled = None  # what follows is no second one
                _send_later(signal.SIGINT)
            case Terminated() if met.exc_value is self._signalled:
                signal.signal(signal.SIGTERM, self._terminate)
                _send_later(signal.SIGTERM)
            case _:
                self._unraisable(met)

    def _tell(self, error: BaseException) -> None:
        terminal = self._session.terminal
        match error:
            case SystemExit():
                pass
            case Terminated():
                terminal.error("terminated")
            case KeyboardInterrupt() | typer.Abort():
                terminal.error("interrupted")
            case RecsysError():
                terminal.error(error.what, where=error.where, fix=error.fix)
            case typer.TyperException():
                command = _command_of(error)
                terminal.error(
                    _decapitalised(error.format_message()), where=command, fix=f"see {command} --help"
                )
            case OSError():
                terminal.error(str(error.strerror or error), where=str(error.filename or ""), fix=_OS_FIX)
                self._trace(error)
            case _:
                log = self._session.log
                where = "" if log is None else str(log)
                terminal.error(f"this is a bug: {type(error).__name__}: {error}", where=where, fix=_BUG_FIX)
                self._trace(error)

    def _trace(self, error: BaseException) -> None:
        if self._session.options.verbosity:
            terminal = self._session.terminal
            for line in terminal.secrets.hide("".join(traceback.format_exception(error))).splitlines():
                terminal.say(line)


def _is_in_polars(frame: FrameType | None) -> bool:
    """Tell whether an exception raised here would make polars panic, and say so on stderr."""
    while frame is not None:
        if f"{os.sep}polars{os.sep}" in frame.f_code.co_filename:
            return True
        frame = frame.f_back
    return False


def _send_later(number: int) -> None:
    again = threading.Timer(_LATER_SECONDS, os.kill, (os.getpid(), number))
    again.daemon = True  # nothing waits for it
    again.start()


_LATER_SECONDS = 0.05
_CODES: dict[type[BaseException], ExitCode] = {
    Terminated: ExitCode.TERMINATED,
    KeyboardInterrupt: ExitCode.INTERRUPTED,
    typer.Abort: ExitCode.INTERRUPTED,
    typer.TyperException: ExitCode.USAGE,
    OSError: ExitCode.OUTPUT,
}
_OS_FIX = "check the file's permissions and the free space; -v shows where it happened"
_BUG_FIX = "run it again with -v, and report the traceback with the run's log"


def _code_of(error: BaseException) -> int:
    match error:
        case SystemExit():
            return error.code if isinstance(error.code, int) else ExitCode.OK
        case RecsysError():
            return error.exit_code
        case _:
            return next((code for kind, code in _CODES.items() if isinstance(error, kind)), ExitCode.BUG)


def _command_of(error: typer.TyperException) -> str:
    return str(getattr(getattr(error, "ctx", None), "command_path", "recsys"))


def _decapitalised(text: str) -> str:
    return text[:1].lower() + text[1:]

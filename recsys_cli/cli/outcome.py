"""How a run ends: whatever stops a command becomes one error block and an exit code."""

import signal
import threading
import traceback
from types import FrameType, TracebackType

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

    def __enter__(self) -> "Outcome":
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _terminate)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is not None:
            self.code = self._explained(error)
        elif self.code == ExitCode.INTERRUPTED:  # typer turns Ctrl-C into this code
            self._session.terminal.error("interrupted")
        return True

    def _explained(self, error: BaseException) -> int:
        terminal = self._session.terminal
        match error:
            case SystemExit():
                return error.code if isinstance(error.code, int) else ExitCode.OK
            case Terminated():
                terminal.error("terminated")
                return ExitCode.TERMINATED
            case KeyboardInterrupt() | typer.Abort():
                terminal.error("interrupted")
                return ExitCode.INTERRUPTED
            case RecsysError():
                terminal.error(error.what, where=error.where, fix=error.fix)
                return error.exit_code
            case typer.TyperException():
                command = _command_of(error)
                terminal.error(
                    _decapitalised(error.format_message()), where=command, fix=f"see {command} --help"
                )
                return ExitCode.USAGE
            case OSError():
                terminal.error(str(error.strerror or error), where=str(error.filename or ""), fix=_OS_FIX)
                code = ExitCode.OUTPUT
            case _:
                terminal.error(f"this is a bug: {type(error).__name__}: {error}", fix=_BUG_FIX)
                code = ExitCode.BUG
        self._trace(error)
        return code

    def _trace(self, error: BaseException) -> None:
        if self._session.options.verbosity:
            for line in "".join(traceback.format_exception(error)).splitlines():
                self._session.terminal.say(line)


_OS_FIX = "check the file's permissions and the free space; -v shows where it happened"
_BUG_FIX = "run it again with -v and report the traceback"


def _terminate(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # a second one must not cut the cleaning up short
    raise Terminated


def _command_of(error: typer.TyperException) -> str:
    return str(getattr(getattr(error, "ctx", None), "command_path", "recsys"))


def _decapitalised(text: str) -> str:
    return text[:1].lower() + text[1:]

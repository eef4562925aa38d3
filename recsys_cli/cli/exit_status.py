"""How a run ends: any error of a command becomes one error block and an exit code."""

import traceback
from contextlib import suppress
from types import TracebackType

import typer

from recsys_cli.cli.environment_faults import environment_error
from recsys_cli.cli.session import Session
from recsys_cli.cli.signals import SignalHandlers, Terminated
from recsys_cli.utils.errors import ExitCode, RecsysError
from recsys_cli.utils.open_files import too_few_open_files

_CODES: dict[type[BaseException], ExitCode] = {
    Terminated: ExitCode.TERMINATED,
    KeyboardInterrupt: ExitCode.INTERRUPTED,
    typer.Abort: ExitCode.INTERRUPTED,
    typer.TyperException: ExitCode.USAGE,
    OSError: ExitCode.OUTPUT,
}
_OS_FIX = "check the file's permissions and the free space; -v shows where it happened"
_BUG_FIX = "run it again with -v, and report the traceback with the run's log"


class Outcome:
    """A `with` block that lets no exception through and keeps the exit code."""

    def __init__(self, session: Session) -> None:
        self.code: int = ExitCode.OK
        self._session = session
        self._signals = SignalHandlers()

    def __enter__(self) -> "Outcome":
        self._signals.install()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None and self.code == ExitCode.INTERRUPTED:  # typer turns Ctrl-C into this code
            error = KeyboardInterrupt()
        if error is not None:
            # What comes out of a library that a signal meets may be anything.
            error = self._signals.raised or too_few_open_files(error) or environment_error(error) or error
            self.code = _code_of(error)
            with suppress(OSError):  # where stderr is full, too, the code alone says it
                self._show(error)
        self._signals.restore()
        return True

    def _show(self, error: BaseException) -> None:
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
                self._show_traceback(error)
            case _:
                log = self._session.log
                where = "" if log is None else str(log)
                terminal.error(f"this is a bug: {type(error).__name__}: {error}", where=where, fix=_BUG_FIX)
                self._show_traceback(error)

    def _show_traceback(self, error: BaseException) -> None:
        if self._session.options.verbosity:
            terminal = self._session.terminal
            for line in terminal.secrets.hide("".join(traceback.format_exception(error))).splitlines():
                terminal.say(line)


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

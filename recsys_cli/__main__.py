"""The program `recsys`, also as `python -m recsys_cli`: Ctrl-C ends it quietly from its first import on."""

import gc
import os
import signal
import sys
from types import FrameType

_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",  # all work is cut to it; the other threads would spin from numpy's import on
    "PYDANTIC_DISABLE_PLUGINS": "__all__",  # they would be looked for in every installed package
}
_OBJECTS = 1_000_000  # new ones until Python looks for cycles; at its 700 that is a fifth of a short command
_INTERRUPTED = 130  # as ExitCode has it; nothing is imported before the signal is in hand


def main() -> int:
    """Run `recsys` with the process's own arguments and return the exit code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as under nohup
        signal.signal(signal.SIGINT, _leave)
    from recsys_cli.cli.app import main as run

    try:
        if signal.getsignal(signal.SIGINT) is _leave:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return run()
    except KeyboardInterrupt:  # before a command began
        return _INTERRUPTED
    finally:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # there is nothing left to interrupt


def program() -> None:
    """Be the process, and end with its work: what Python would take apart the system takes at once."""
    gc.set_threshold(_OBJECTS)
    os.environ.update(_ENVIRONMENT)
    code = main()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # full, closed or never there: the code has told
            pass
    os._exit(code)


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(_INTERRUPTED)  # an exception would be printed, or lost, inside the import system


if __name__ == "__main__":
    program()

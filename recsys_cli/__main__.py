"""The program `recsys`, also as `python -m recsys_cli`: Ctrl-C ends it quietly from its first import on."""

import os
import signal
import sys
from types import FrameType

_INTERRUPTED = 130  # as ExitCode has it; nothing is imported before the signal is in hand


def main() -> int:
    """Run `recsys` with the process's own arguments and return the exit code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored, as under nohup
        signal.signal(signal.SIGINT, _leave)
    from recsys_cli.cli.app import main as run

    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return run()
    except KeyboardInterrupt:  # before a command began
        return _INTERRUPTED


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(_INTERRUPTED)  # an exception would be printed, or lost, inside the import system


if __name__ == "__main__":
    sys.exit(main())

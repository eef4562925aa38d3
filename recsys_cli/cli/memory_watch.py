"""Under `ulimit -v` compiled code ends the process by a signal where memory runs out: a parent says so.

Only where there is such a limit the process forks, before anything is imported: the child is `recsys`, the
parent waits for it, passes signals on and ends as it does.
"""

import os
import resource
import signal
from types import FrameType

from recsys_cli.utils.errors import ExitCode

_CRASHES = {signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGTRAP, signal.SIGILL}
_PASSED_ON = (signal.SIGTERM, signal.SIGHUP)
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def watch_memory_limit() -> None:
    """Return in the process that is to work; the one that waits for it never returns."""
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    parent = os.getpid()
    child = os.fork()
    if child:
        os._exit(_watched(child))
    import ctypes

    ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:  # it died before
        os._exit(ExitCode.TERMINATED)


def _watched(child: int) -> int:
    """Wait for the child and return the exit code."""

    def pass_on(number: int, _frame: FrameType | None) -> None:
        os.kill(child, number)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to both
    for number in _PASSED_ON:
        signal.signal(number, pass_on)
    _, status, used = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code
    if -code not in _CRASHES:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    os.write(2, _message(-code, used.ru_maxrss, limit).encode())
    return ExitCode.OUTPUT


def _message(number: int, resident: int, limit: int) -> str:
    return (
        f"error: the run was ended by {signal.Signals(number).name} under a limit of {limit / 1e9:.2f} GB of "
        f"address space; {resident * 1024 / 1e9:.2f} GB of memory were in use\n"
        "  where: ulimit -v\n"
        "  fix: raise the limit: libraries reserve several times the memory that they use; "
        "runtime.max_memory bounds what they use\n"
    )

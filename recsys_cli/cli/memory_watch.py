"""Under `ulimit -v` compiled code ends the process by a signal where memory runs out: a parent says so.

Only where there is such a limit the process forks, before anything is imported: the child is `recsys`, the
parent waits for it, passes signals on and ends as it does.
"""

import os
import resource
import signal

from recsys_cli.utils.errors import ExitCode

_CRASHES = {signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGTRAP, signal.SIGILL}
_PASSED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG


def watch_memory_limit() -> None:
    """Return in the process that is to work; the one that waits for it never returns."""
    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # where it is ignored nobody learns how the child ends
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
    status, used = _ended(child)
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return code
    if -code not in _CRASHES:
        signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.kill(os.getpid(), -code)
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    os.write(2, _message(-code, used.ru_maxrss, limit).encode())
    return ExitCode.OUTPUT


def _ended(child: int) -> tuple[int, resource.struct_rusage]:
    """Pass signals on until the child has ended; return its status and what it used."""
    expected = {signal.SIGCHLD, *_PASSED_ON}
    signal.pthread_sigmask(signal.SIG_BLOCK, expected)
    while True:
        number, status, used = os.wait4(child, os.WNOHANG)
        if number:
            return status, used
        came = signal.sigwaitinfo(expected)
        is_from_terminal = came.si_signo == signal.SIGINT and came.si_code > 0  # which sends it to both
        if came.si_signo in _PASSED_ON and not is_from_terminal:
            os.kill(child, came.si_signo)


def _message(number: int, resident: int, limit: int) -> str:
    return (
        f"error: the run was ended by {signal.Signals(number).name} under a limit of {limit / 1e9:.2f} GB of "
        f"address space; {resident * 1024 / 1e9:.2f} GB of memory were in use\n"
        "  where: ulimit -v\n"
        "  fix: raise the limit: libraries reserve several times the memory that they use; "
        "runtime.max_memory bounds what they use\n"
    )

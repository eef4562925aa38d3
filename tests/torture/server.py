"""`recsys`, imported once: each request runs it in a fork of this process, or in the process itself.

    python -m tests.torture.server DESCRIPTOR      a socket of messages, JSON each

A fork costs a third of a start-up. One server either forks or runs in place: the threads of a process that
has worked do not survive a fork.
"""

import gc
import importlib
import itertools
import json
import os
import pkgutil
import resource
import select
import signal
import socket
import sys
import traceback
from contextlib import suppress
from typing import Any

from numba.core.dispatcher import Dispatcher

from recsys_cli.__main__ import main as recsys
from recsys_cli.__main__ import program
from recsys_cli.cli.signals import end_at_interrupt
from tests.torture.syscalls import be_watched, refuse_locks

LARGEST = 1 << 20  # bytes of a message
_LATE = (
    "pyarrow.compute",
    "pyarrow.parquet",
    "catboost",
    "faiss",
    "concurrent.futures.thread",
    "requests",
    "s3fs",
)


def main() -> None:
    """Serve until the socket is closed."""
    channel = socket.socket(fileno=int(sys.argv[1]))
    _import_all()
    gc.collect()
    gc.freeze()  # a fork then copies fewer pages of memory
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    _tell(channel, ready=True)
    while True:
        ready = select.select([channel.fileno(), woken], [], [])[0]
        if woken in ready:
            os.read(woken, 4096)
            _tell_of_the_dead(channel)
        if channel.fileno() in ready:
            message = channel.recv(LARGEST)
            if not message:
                return
            if _serve(channel, json.loads(message)):
                break
    program()  # in the fork, outside of the loop's frames


def _serve(channel: socket.socket, asked: dict[str, Any]) -> bool:
    """Do what is asked; return whether this is the fork that is to become `recsys`."""
    if asked["in_place"]:
        _tell(channel, code=_in_place(asked))
        return False
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # one that comes early is for the program
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        _tell(channel, pid=pid)
        return False
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    end_at_interrupt()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _redirect(asked)
    if crash := asked.get("crash"):
        _let_crash(*crash.split(":"))
    if chunk := asked.get("kill_at_chunk"):
        _kill_at(chunk)
    if asked.get("no_locks"):
        refuse_locks(asked["no_locks"])
    if asked.get("user"):
        os.setgroups([])
        os.setresgid(*[asked["user"]] * 3)
        os.setresuid(*[asked["user"]] * 3)
    if asked.get("watched"):
        listener = be_watched(asked["watched"])
        told = json.dumps({"listener_of": os.getpid()}).encode()
        socket.send_fds(channel, [told], [listener])
        os.close(listener)
    channel.close()
    if asked.get("open_files"):
        resource.setrlimit(resource.RLIMIT_NOFILE, (asked["open_files"],) * 2)
    return True


def _in_place(asked: dict[str, Any]) -> int:
    kept = os.dup(1), os.dup(2)
    _redirect(asked)
    try:
        return recsys()
    except BaseException:  # pylint: disable=broad-exception-caught
        traceback.print_exc()
        return -1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, descriptor in enumerate(kept, 1):
            os.dup2(descriptor, number)
            os.close(descriptor)


def _redirect(asked: dict[str, Any]) -> None:
    for number, name in ((1, "out"), (2, "err")):
        file = os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(file, number)
        os.close(file)
    os.environ.update(asked["env"])
    sys.argv = ["recsys", *asked["args"]]


def _let_crash(module: str, function: str) -> None:
    """Let a function fail and tell all that it was given, settings and secrets included."""

    def fail(*given: object, **_more: object) -> None:
        raise RuntimeError(f"a forced crash: {given!r}")

    setattr(importlib.import_module(module), function, fail)


def _kill_at(chunk: int) -> None:
    """Let the process be killed where it is about to rank a chunk of users, counted from 1 on."""
    from recsys_cli.pipelines.scoring.local_engine import Ranking

    rank, chunks = Ranking._rank, itertools.count(1)  # pylint: disable=protected-access

    def rank_or_die(ranking: Ranking, given: Any) -> Any:
        if next(chunks) == chunk:
            os.kill(os.getpid(), signal.SIGKILL)
        return rank(ranking, given)

    setattr(Ranking, "_rank", rank_or_die)


def _tell(channel: socket.socket, **told: object) -> None:
    channel.send(json.dumps(told).encode())


def _tell_of_the_dead(channel: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _tell(channel, ended=pid, code=os.waitstatus_to_exitcode(status))


def _import_all() -> None:
    """Import the program and what its parts import when they work, without starting a thread of theirs."""
    import recsys_cli

    for module in pkgutil.walk_packages(recsys_cli.__path__, "recsys_cli."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in _LATE:
        with suppress(ImportError):  # an extra
            importlib.import_module(name)
    target = importlib.import_module("numba.core.registry").cpu_target
    target.typing_context.refresh()
    target.target_context.refresh()
    _load_all_loops()


def _load_all_loops() -> None:
    """Load what numba has kept of the program's loops: a run that is forked then need not."""
    for name in [name for name in sys.modules if name.startswith("recsys_cli.")]:
        for loop in vars(sys.modules[name]).values():
            if isinstance(loop, Dispatcher) and loop.__module__ == name and loop.stats.cache_path:
                # pylint: disable-next=protected-access
                for signature, *_ in loop._cache._cache_file._load_index():
                    loop.compile(signature)


if __name__ == "__main__":
    main()

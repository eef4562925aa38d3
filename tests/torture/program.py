"""The program under torture, as the cases run it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.torture.server import LARGEST
from tests.torture.syscalls import WRITES, Call, Verdict, Watcher

PATIENCE = 300  # seconds until a run counts as hanging
HUNG = -999


@dataclass(frozen=True)
class Outcome:
    """How a run ended: its exit code (negative: the signal's number) and what it said."""

    code: int
    out: str
    err: str
    calls: tuple[Call, ...] = ()


@dataclass
class Running:
    """A run under way."""

    pid: int
    out: Path
    err: Path


@dataclass
class Program:
    """A server of `recsys`; `forks` tells whether each run is a process of its own. Closed by `close`."""

    scratch: Path
    forks: bool
    _server: subprocess.Popen[bytes] | None = None
    _channel: socket.socket | None = None
    _ended: dict[int, int] = field(default_factory=dict)
    _listeners: dict[int, int] = field(default_factory=dict)
    _runs: int = 0

    def run(
        self,
        *args: str | Path,
        env: Mapping[str, str] | None = None,
        user: int = 0,
        crash: str = "",
        kill_at_chunk: int = 0,
        watched: Path | None = None,
        calls: str = WRITES,
        verdict: Verdict = lambda call: 0,
    ) -> Outcome:
        """Run it to its end.

        Args:
            user: the id of the user who runs it; 0: the one who runs the harness.
            crash: module:function of the program that fails, with all that it was given in its words.
            kill_at_chunk: the chunk of users, from 1 on, at which it is killed; 0: none.
            watched: the folder whose writes, syncs and renames `verdict` judges; calls: LOOKS: instead, its
                listings, stats, opens and renames.
        """
        if not self.forks:
            return self._run_in_place(args, env or {})
        how = {"user": user, "crash": crash, "kill_at_chunk": kill_at_chunk}
        running = self.start(*args, env=env, watched="" if watched is None else calls, **how)
        if watched is None:
            return self.wait(running)
        watcher = Watcher(running.pid, watched, verdict, calls)
        watcher.watch(self._listener(running.pid))
        return self.wait(running, tuple(watcher.calls))

    def start(
        self,
        *args: str | Path,
        env: Mapping[str, str] | None = None,
        **how: str | int | bool,
    ) -> Running:
        """Start it as a process; `how`: as in `run`."""
        asked = self._request(args, env or {}, **how)
        told = self._next("pid")
        return Running(told["pid"], Path(asked["out"]), Path(asked["err"]))

    def wait(self, running: Running, calls: tuple[Call, ...] = ()) -> Outcome:
        """Wait for its end; one that hangs is killed."""
        timer = threading.Timer(PATIENCE, _kill, (running.pid,))
        timer.start()
        try:
            while running.pid not in self._ended:
                self._keep(self._receive())
        finally:
            hung = not timer.is_alive()
            timer.cancel()
        code = self._ended.pop(running.pid)
        return _outcome(HUNG if hung else code, running.out, running.err, calls)

    def close(self) -> None:
        """End the server."""
        if self._server is not None and self._channel is not None:
            self._channel.close()
            self._server.kill()
            self._server.wait()
            self._server = self._channel = None

    def _run_in_place(self, args: tuple[str | Path, ...], env: Mapping[str, str]) -> Outcome:
        asked = self._request(args, env)
        try:
            code = self._next("code")["code"]
        except ConnectionError:
            assert self._server is not None
            code = self._server.wait()
            self.close()
        return _outcome(code, Path(asked["out"]), Path(asked["err"]))

    def _request(
        self, args: tuple[str | Path, ...], env: Mapping[str, str], **how: str | int | bool
    ) -> dict[str, Any]:
        if self._channel is None:
            self._open()
        self._runs += 1
        name = self.scratch / f"{'fork' if self.forks else 'place'}-{self._runs % 64}"
        asked: dict[str, Any] = {
            "args": [str(one) for one in args],
            "in_place": not self.forks,
            "out": f"{name}.out",
            "err": f"{name}.err",
            "env": dict(env),
            **how,
        }
        assert self._channel is not None
        self._channel.send(json.dumps(asked).encode())
        return asked

    def _open(self) -> None:
        self.scratch.mkdir(parents=True, exist_ok=True)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._server = subprocess.Popen(  # pylint: disable=consider-using-with
            [sys.executable, "-m", "tests.torture.server", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            env=environment(),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        theirs.close()
        self._channel = ours
        self._next("ready")

    def _listener(self, pid: int) -> int:
        while pid not in self._listeners:
            self._keep(self._receive())
        return self._listeners.pop(pid)

    def _next(self, key: str) -> dict[str, Any]:
        while True:
            told = self._receive()
            if key in told and "ended" not in told:
                return told
            self._keep(told)

    def _receive(self) -> dict[str, Any]:
        assert self._channel is not None
        message, descriptors, _, _ = socket.recv_fds(self._channel, LARGEST, 1)
        if not message:
            raise ConnectionError("the program took the server with it")
        told: dict[str, Any] = json.loads(message)
        if descriptors:
            self._listeners[told["listener_of"]] = descriptors[0]
        return told

    def _keep(self, told: dict[str, Any]) -> None:
        if "ended" in told:
            self._ended[told["ended"]] = told["code"]


def environment() -> dict[str, str]:
    """Return the caller's environment, without settings of recsys and threads that no fork has."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("RECSYS_", "_RECSYS"))}
    return clean | {"OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _outcome(code: int, out: Path, err: Path, calls: tuple[Call, ...] = ()) -> Outcome:
    said, told = (file.read_text(errors="replace") if file.exists() else "" for file in (out, err))
    return Outcome(code, said, told, calls)

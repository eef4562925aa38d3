"""SIGINT and SIGTERM in every stage; a stdout that is closed."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from itertools import cycle

from recsys_cli.utils.errors import ExitCode
from tests.torture.case import Case, Family, some
from tests.torture.checks import after
from tests.torture.lab import SCORE, Kit, Lab, in_workspace
from tests.torture.program import PATIENCE, Outcome, environment
from tests.torture.syscalls import Call
from tests.torture.watched import cannot_watch, named

_SIGNALS = {
    signal.SIGINT: {ExitCode.INTERRUPTED},
    signal.SIGTERM: {ExitCode.TERMINATED},
}
_RANDOM_TIMES = 25
_CLOSED = {
    "stdout closed by its reader": "| :",
    "stdout closed": ">&-",
    "stdout and stderr closed": ">&- 2>&-",
    "stdout on a full disk": ">/dev/full",
    "stdout and stderr on a full disk": ">/dev/full 2>&1",
    "stderr closed": "2>&-",
}
_COMMANDS = {
    "score": SCORE,
    "score --json": (*SCORE, "--json"),
    "config": ("config",),
    "models list": ("models", "list"),
}


def at_every_call(lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield a signal at each write, sync, rename and removal of a run: one and the other in turn."""
    cases = [
        Case(f"{number.name} at {named(call)}", partial(_at_call, number, call.number))
        for call, number in zip(lab.calls, cycle(_SIGNALS))
    ]
    yield from some(cases, quick, 2)


def at_random_times(lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield each signal at times drawn over a whole run: the ranking, too, where nothing is written."""
    rng = random.Random(8)
    for number in _SIGNALS:
        for _ in range(1 if quick else _RANDOM_TIMES):
            seconds = rng.uniform(0, lab.seconds)
            yield Case(f"{number.name} after {seconds:.3f} s", partial(_at_time, number, seconds, None))


def twice(lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield two SIGINTs, one soon after the other."""
    rng = random.Random(9)
    for _ in range(1 if quick else _RANDOM_TIMES):
        seconds, pause = rng.uniform(0, lab.seconds), rng.uniform(0, 0.05)
        name = f"SIGINT after {seconds:.3f} s and {pause:.3f} s later"
        yield Case(name, partial(_at_time, signal.SIGINT, seconds, pause))


def closed_outputs(_lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield commands whose output nobody takes."""
    cases = [
        Case(f"{command}, {what}", partial(_closed, arguments, redirection))
        for command, arguments in _COMMANDS.items()
        for what, redirection in _CLOSED.items()
    ]
    yield from some(cases, quick, 1)


def _at_call(number: signal.Signals, place: int, kit: Kit) -> list[str]:
    sent: list[Call] = []

    def verdict(call: Call) -> int:
        if sent or call.number != place:
            return 0
        sent.append(call)
        return number

    workspace = kit.workspace()
    outcome = kit.forked.run(*in_workspace(workspace, *SCORE), watched=workspace, verdict=verdict)
    codes = _SIGNALS[number] if sent else {ExitCode.OK}
    return after(kit, workspace, outcome, codes, kit.lab.old)


def _at_time(number: signal.Signals, seconds: float, pause: float | None, kit: Kit) -> list[str]:
    workspace = kit.workspace()
    running = kit.forked.start(*in_workspace(workspace, *SCORE))
    for wait in [seconds] if pause is None else [seconds, pause]:
        time.sleep(wait)
        with suppress(ProcessLookupError):
            os.kill(running.pid, number)
    outcome = kit.forked.wait(running)
    # Before the program has its handlers, and after its end, the signal is the kernel's matter.
    codes = _SIGNALS[number] | {ExitCode.OK, -number}
    return after(kit, workspace, outcome, codes, kit.lab.old)


def _closed(arguments: tuple[str, ...], redirection: str, kit: Kit) -> list[str]:
    workspace = kit.workspace()
    command = [sys.executable, "-m", "recsys_cli", *in_workspace(workspace, *arguments)]
    script = f'set -o pipefail; "$@" {redirection}'
    told = subprocess.run(
        ["bash", "-c", script, "bash", *command],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    outcome = Outcome(told.returncode, told.stdout, told.stderr)
    quiet = {ExitCode.OK} if "full" not in redirection else {ExitCode.OK, ExitCode.OUTPUT}
    return after(kit, workspace, outcome, quiet, kit.lab.old)


FAMILIES = (
    Family(
        "signals",
        "SIGINT or SIGTERM at every write, fsync, rename, removal",
        "130 or 143; old or new; the next run mends",
        at_every_call,
        cannot_watch,
    ),
    Family(
        "signal-times",
        "SIGINT and SIGTERM at random times",
        "130 or 143; old or new; the next run mends",
        at_random_times,
    ),
    Family(
        "signal-twice",
        "SIGINT twice at random times",
        "130 at once; old or new; the next run mends",
        twice,
    ),
    Family("closed-output", "stdout or stderr closed or full", "a quiet end; old or new", closed_outputs),
)

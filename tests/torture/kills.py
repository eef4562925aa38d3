"""kill -9: before every write, sync, rename and removal of a scoring run, one by one, and at random times."""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from tests.torture.case import Case, Family, some
from tests.torture.checks import after
from tests.torture.lab import SCORE, Kit, Lab, in_workspace
from tests.torture.syscalls import Call
from tests.torture.watched import cannot_watch, named

_RANDOM_TIMES = 50


def at_every_call(lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield a kill before each call that a recorded run makes in its workspace."""
    calls = lab.calls
    cases = [Case(f"kill before {named(call)}", partial(_killed_before, call.number)) for call in calls]
    yield from some(cases, quick, 2)


def at_random_times(lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield a kill at a time, evenly drawn over a run and a tenth more."""
    rng = random.Random(5)
    for _ in range(1 if quick else _RANDOM_TIMES):
        seconds = rng.uniform(0, lab.seconds * 1.1)
        yield Case(f"kill after {seconds:.3f} s", partial(_killed_after, seconds))


def _killed_before(number: int, kit: Kit) -> list[str]:
    def verdict(call: Call) -> int:
        return signal.SIGKILL if call.number == number else 0

    workspace = kit.workspace()
    outcome = kit.forked.run(*in_workspace(workspace, *SCORE), watched=workspace, verdict=verdict)
    was_reached = len(outcome.calls) >= number  # native writers do not always split their writes alike
    return after(kit, workspace, outcome, {-signal.SIGKILL if was_reached else 0}, kit.lab.old)


def _killed_after(seconds: float, kit: Kit) -> list[str]:
    workspace = kit.workspace()
    running = kit.forked.start(*in_workspace(workspace, *SCORE))
    time.sleep(seconds)
    with suppress(ProcessLookupError):
        os.kill(running.pid, signal.SIGKILL)
    outcome = kit.forked.wait(running)
    return after(kit, workspace, outcome, {-signal.SIGKILL, 0}, kit.lab.old)


FAMILIES = (
    Family(
        "kill-calls",
        "kill -9 at every write, fsync, rename, removal",
        "old or new; the next run mends",
        at_every_call,
        cannot_watch,
    ),
    Family("kill-times", "kill -9 at random times", "old or new; the next run mends", at_random_times),
)

"""kill -9 at random chunks: the next run resumes after what was finished, and its file is a clean run's."""

import random
import re
import signal
from collections.abc import Iterator
from functools import partial

from tests.torture.case import Case, Family, some
from tests.torture.checks import intact, recovered, spoken
from tests.torture.lab import PUBLISHED, SCORE, USERS, Kit, Lab, in_workspace

_KILLS = 25
_PART = 32  # chunks that are finished together
_UNDER_WAY = 3  # chunks at most that are ranked and not yet taken: one a thread, and one


def at_random_chunks(_lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield kills at chunks drawn from all of a run whose chunks are single users."""
    chunks = random.Random(11).sample(range(1, USERS + 1), _KILLS)
    cases = [Case(f"kill at chunk {chunk}", partial(_killed_at, chunk)) for chunk in chunks]
    yield from some(cases, quick, 2)


def _killed_at(chunk: int, kit: Kit) -> list[str]:
    workspace = kit.workspace()
    small = ("--set", "scoring.chunk_users=1", "--set", "runtime.threads=2")
    outcome = kit.forked.run(*in_workspace(workspace, *small, *SCORE), kill_at_chunk=chunk)
    problems = [*spoken(outcome, {-signal.SIGKILL}), *intact(workspace, kit.lab.old)]
    resumed = kit.in_place.run("-v", *in_workspace(workspace, *SCORE))
    problems += [f"resumed run: {problem}" for problem in spoken(resumed, {0})]
    if (workspace / PUBLISHED).read_bytes() != kit.lab.new:
        problems.append("resumed run: its file is not a clean run's")
    told = re.search(r"resuming after (\d+) users", resumed.err)
    behind, least = int(told.group(1)) if told else 0, (chunk - 1 - _UNDER_WAY) // _PART * _PART
    if not max(least, 0) <= behind < chunk:
        problems.append("resumed run: it does not go on behind the finished parts")
    return problems + recovered(kit, workspace)


FAMILIES = (
    Family(
        "resume",
        "kill -9 at random chunks",
        "the next run resumes after them; its file is a clean run's, byte for byte",
        at_random_chunks,
    ),
)

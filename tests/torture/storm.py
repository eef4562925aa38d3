"""All commands at once in random order, some of them killed: round after round."""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial

from recsys_cli.utils.errors import ExitCode
from tests.torture.case import Case, Family
from tests.torture.checks import spoken
from tests.torture.lab import DAY, NEXT_DAY, SCORE, Kit, Lab, in_workspace
from tests.torture.several import (
    FEATURES,
    REPAIR,
    ROLLBACK,
    SCORE_NEXT,
    TRAIN,
    base,
    promotion,
    said,
    settled,
    versions,
)

Command = tuple[str, ...]

_ROUNDS, _QUICK_ROUNDS = 100, 2
_COMMANDS = 5  # at once, of the ten
_PAUSE = 0.3  # seconds at most between two starts
_KILLED = 0.3  # share of the commands
_CODES: set[int] = {ExitCode.OK, ExitCode.LOCKED}
_BACKFILL = ("backfill", "--from", DAY, "--to", NEXT_DAY)
_READERS = (("explain", "--date", DAY), ("report",))
_READER_CODES: set[int] = {
    ExitCode.USAGE
}  # nothing whole is published as yet: their manifest is lost at first
_REPAIR_CODES: set[int] = {ExitCode.CHECK}  # it was killed between the manifest and _SUCCESS, or another was


def rounds(lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield rounds; each draws its commands, their order, their pauses and which of them are killed."""
    commands = [SCORE, SCORE_NEXT, FEATURES, _BACKFILL, REPAIR, ROLLBACK, TRAIN, *_READERS]
    commands.append(promotion(versions(lab.ready)[0]))
    for number in range(_QUICK_ROUNDS if quick else _ROUNDS):
        chosen = random.Random(number).sample(commands, _COMMANDS)
        yield Case(f"round {number}: {', '.join(map(said, chosen))}", partial(_round, number, chosen))


def _round(number: int, commands: list[Command], kit: Kit) -> list[str]:
    rng, workspace = random.Random(number), kit.workspace(base(kit.lab, kit.in_place))
    runs = []
    for command in commands:
        runs.append(kit.forked.start("-q", *in_workspace(workspace, *command)))
        time.sleep(rng.uniform(0, _PAUSE))
    victims = [run for run in runs if rng.random() < _KILLED]
    for victim in victims:
        time.sleep(rng.uniform(0, _PAUSE))
        with suppress(ProcessLookupError):
            os.kill(victim.pid, signal.SIGKILL)
    problems: list[str] = []
    for command, run in zip(commands, runs, strict=True):
        codes = _codes(command) | ({-signal.SIGKILL} if run in victims else set())
        problems += [f"{said(command)}: {one}" for one in spoken(kit.forked.wait(run), codes)]
    promote = promotion(versions(kit.lab.ready)[0])
    resumed = [one for one in (SCORE_NEXT, TRAIN, promote) if _is_left(one, commands)]
    return problems + settled(kit, workspace, *resumed)


def _is_left(command: Command, commands: list[Command]) -> bool:
    """Return whether a killed run of the round may have left what this command resumes."""
    other = ROLLBACK if command[0] == ROLLBACK[0] else _BACKFILL if command == SCORE_NEXT else command
    return command in commands or other in commands


def _codes(command: Command) -> set[int]:
    if command in _READERS:
        return _CODES | _READER_CODES
    return _CODES | _REPAIR_CODES if command == REPAIR else _CODES


FAMILIES = (
    Family(
        "storm",
        "train, score, features, backfill, repair, promote, rollback, explain, report at once; random kills",
        "no hang; a documented exit code; lists stay whole; the next run mends",
        rounds,
        waits=True,
    ),
)

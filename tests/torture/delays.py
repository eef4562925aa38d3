"""One run is held before each listing, stat, open and rename of its own, while another runs to its end."""

import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import cycle, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from recsys_cli.utils.errors import ExitCode
from tests.torture.case import Case, Family, some
from tests.torture.checks import spoken
from tests.torture.lab import DAY, SCORE, Kit, Lab, in_workspace
from tests.torture.program import Outcome, Program
from tests.torture.several import (
    FEATURES,
    FEATURES_NEXT,
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
from tests.torture.syscalls import LIST, LOOKS, RENAME, Call
from tests.torture.watched import cannot_watch, named

Command = tuple[str, ...]

_SCORE_AGAIN = (*SCORE, "--force")
_UNWATCHED = re.compile(  # nobody else writes there, or nothing is there
    rf"/workspace/(data|settings|models/{DAY}-\w+|runs/2[^/]*|recommendations/date=2026-0[56]-\d\d)(/|$)"
)
_OWN = re.compile(r"\.part(/|$)|/\.recommendations\.staged/|/runs/\.locks$")  # a run's own


@dataclass(frozen=True)
class _Held:
    """A command that is held, and those that run meanwhile, in turn."""

    command: Command
    beside: tuple[Command, ...]


def at_every_look(lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield each held command with each of its calls, and a command that then runs to its end."""
    pairs = _pairs(promotion(versions(lab.ready)[0]))
    if quick:
        pairs = pairs[:2]
    for held, calls in zip(pairs, _calls(lab, [held.command for held in pairs]), strict=True):
        cases = [
            Case(
                f"{said(held.command)} waits at {named(call)} for {said(other)}",
                partial(_delayed, held.command, call.number, other),
            )
            for call, other in _meetings(calls, held.beside)
        ]
        yield from some(cases, quick, 1)


def _meetings(calls: list[Call], beside: tuple[Command, ...]) -> Iterator[tuple[Call, Command]]:
    """Yield each call with the next of the commands; a call after a listing of what others write with all."""
    turns = cycle(beside)
    for before, call in pairwise([calls[0], *calls]):
        for other in list(dict.fromkeys(beside)) if _is_shared_list(before) else [next(turns)]:
            yield call, other


def _is_shared_list(call: Call) -> bool:
    return call.kind == LIST and not _OWN.search(call.path)


def _pairs(promote: Command) -> tuple[_Held, ...]:
    beside_score = (SCORE_NEXT, FEATURES_NEXT, REPAIR, promote, SCORE_NEXT, REPAIR, FEATURES_NEXT, TRAIN)
    return (
        _Held(SCORE, beside_score),
        _Held(REPAIR, (_SCORE_AGAIN, REPAIR)),
        _Held(FEATURES, (FEATURES_NEXT, SCORE_NEXT)),
        _Held(promote, (ROLLBACK, promote, SCORE_NEXT)),
    )


def _calls(lab: Lab, commands: list[Command]) -> Iterator[list[Call]]:
    """Yield the looks of each command that runs alone, where others may write."""
    with TemporaryDirectory(prefix="recsys-torture-looks-") as name:
        with closing(Program(Path(name) / "said", forks=True)) as program:
            for number, command in enumerate(commands):
                copy = Path(shutil.copytree(base(lab, program), Path(name) / f"{number}/workspace"))
                outcome = program.run(*in_workspace(copy, *command), watched=copy, calls=LOOKS)
                assert outcome.code == ExitCode.OK, outcome.err
                yield _distinct([call for call in outcome.calls if not _UNWATCHED.search(call.path)])


def _distinct(calls: list[Call]) -> list[Call]:
    """Return the calls without those that look, right after one another, at the same file."""
    pairs = pairwise([None, *calls])
    return [call for before, call in pairs if call and (before is None or _differ(before, call))]


def _differ(before: Call, call: Call) -> bool:
    return call.path != before.path or RENAME in (before.kind, call.kind) or LIST in (before.kind, call.kind)


def _delayed(command: Command, number: int, other: Command, kit: Kit) -> list[str]:
    beside: list[Outcome] = []

    def verdict(call: Call) -> int:
        if call.number == number:
            beside.append(kit.in_place.run(*in_workspace(workspace, *other)))
        return 0

    workspace = kit.workspace(base(kit.lab, kit.in_place))
    held = kit.forked.run(*in_workspace(workspace, *command), watched=workspace, calls=LOOKS, verdict=verdict)
    problems = [f"held: {one}" for one in spoken(held, {ExitCode.OK})]
    for outcome in beside:
        problems += [f"beside: {one}" for one in spoken(outcome, {ExitCode.OK, ExitCode.LOCKED})]
    return problems + settled(kit, workspace)


FAMILIES = (
    Family(
        "delays",
        "a run waits at every listing, stat, open, rename while another ends",
        "both end well, or the other exits 6; lists stay whole; the next run mends",
        at_every_look,
        cannot_watch,
    ),
)

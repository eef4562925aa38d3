"""A file system without locks, and a process that may open few files: the right culprit is named."""

import os
from collections.abc import Iterator
from errno import ENOLCK, ENOSYS, EOPNOTSUPP
from functools import partial

from recsys_cli.utils.errors import ExitCode
from tests.torture.case import Case, Family, some
from tests.torture.checks import after
from tests.torture.lab import DAY, SCORE, Kit, Lab, in_workspace
from tests.torture.watched import cannot_watch

_COMMANDS = (
    SCORE,
    ("features", "--date", DAY),
    ("batch", "--date", DAY),
    (*SCORE, "--plan"),
)
_OPEN_FILES = range(6, 46, 2)


def without_locks(_lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield commands that take a date's lock, with each error of a file system that has none."""
    cases = [
        Case(f"{' '.join(command)}: {os.strerror(error)}", partial(_without_locks, command, error))
        for error in (ENOSYS, ENOLCK, EOPNOTSUPP)
        for command in _COMMANDS
    ]
    yield from some(cases, quick, 2)


def few_open_files(_lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield limits on open files, from hardly any to enough."""
    cases = [Case(f"{limit} open files", partial(_with_few_files, limit)) for limit in _OPEN_FILES]
    yield from some(cases, quick, 2)


def _without_locks(command: tuple[str, ...], error: int, kit: Kit) -> list[str]:
    workspace = kit.workspace()
    outcome = kit.forked.wait(kit.forked.start(*in_workspace(workspace, *command), no_locks=error))
    is_named = f"the file system has no file locks: {os.strerror(error)}" in outcome.err
    problems = [] if is_named else ["the missing locks are not named"]
    return problems + after(kit, workspace, outcome, {ExitCode.OUTPUT}, kit.lab.old)


def _with_few_files(limit: int, kit: Kit) -> list[str]:
    workspace = kit.workspace()
    outcome = kit.forked.wait(kit.forked.start(*in_workspace(workspace, *SCORE), open_files=limit))
    is_named = outcome.code == ExitCode.OK or f"this process may open {limit}\n" in outcome.err
    problems = [] if is_named else ["the limit is not named"]
    return problems + after(kit, workspace, outcome, {ExitCode.OK, ExitCode.OUTPUT}, kit.lab.old)


FAMILIES = (
    Family(
        "no-locks",
        "a file system without locks",
        "exit 5 names it; old; the next run mends",
        without_locks,
        cannot_watch,
    ),
    Family(
        "open-files",
        "a limit of 6 to 44 open files",
        "exit 5 names it, or all goes well; the next run mends",
        few_open_files,
    ),
)

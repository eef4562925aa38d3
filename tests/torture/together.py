"""Runs at the same time: 20 of one date, and two dates at once."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from recsys_cli.utils.errors import ExitCode
from tests.torture.case import Case, Family
from tests.torture.checks import intact, recovered, spoken, whole
from tests.torture.lab import DAY, NEXT_DAY, PUBLISHED, SCORE, Kit, Lab, in_workspace
from tests.torture.program import Outcome

_RUNS = 20


def of_one_date(_lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield crowds of runs of one date, on features that are there and on some that must be built."""
    for like in ("stale",) if quick else ("stale", "ready"):
        count = 3 if quick else _RUNS
        yield Case(f"{count} runs, {like} features", partial(_crowd, like, count))


def of_two_dates(_lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield two dates at once, each of which must end well."""
    for attempt in range(1 if quick else 5):
        yield Case(f"two dates, attempt {attempt + 1}", _two_dates)


def _crowd(like: str, count: int, kit: Kit) -> list[str]:
    workspace = kit.workspace(getattr(kit.lab, like))
    runs = [kit.forked.start(*in_workspace(workspace, *SCORE)) for _ in range(count)]
    outcomes = [kit.forked.wait(run) for run in runs]
    problems = [
        problem for outcome in outcomes for problem in spoken(outcome, {ExitCode.OK, ExitCode.LOCKED})
    ]
    if not any(outcome.code == ExitCode.OK for outcome in outcomes):
        problems.append("no run ended well")
    locked = [outcome for outcome in outcomes if outcome.code == ExitCode.LOCKED]
    if any(": process " not in outcome.err for outcome in locked):
        problems.append("a refused run does not name the process that works")
    problems += intact(workspace, None, kit.lab.new)
    return sorted(set(problems)) + recovered(kit, workspace)


def _two_dates(kit: Kit) -> list[str]:
    workspace = kit.workspace()
    alone = kit.workspace(at=kit.scratch / "alone")
    expected = _scored(kit, alone, NEXT_DAY)
    runs = [kit.forked.start(*in_workspace(workspace, "score", "--date", day)) for day in (DAY, NEXT_DAY)]
    outcomes: list[Outcome] = [kit.forked.wait(run) for run in runs]
    problems = [problem for outcome in outcomes for problem in spoken(outcome, {ExitCode.OK})]
    problems += intact(workspace, None, kit.lab.new)
    other = _lists(workspace, NEXT_DAY)
    problems += whole(other)
    if other.read_bytes() != expected:
        problems.append("the lists of the second date are not those of a run alone")
    return problems


def _scored(kit: Kit, workspace: Path, day: str) -> bytes:
    outcome = kit.in_place.run("-q", *in_workspace(workspace, "score", "--date", day))
    assert outcome.code == ExitCode.OK, outcome
    return _lists(workspace, day).read_bytes()


def _lists(workspace: Path, day: str) -> Path:
    return workspace / PUBLISHED.as_posix().replace(DAY, day)


FAMILIES = (
    Family(
        "crowd",
        "20 runs of a date at once",
        "one works; the others exit 6 and name it",
        of_one_date,
        alone=True,
    ),
    Family("two-dates", "two dates at once", "both end well, as if alone", of_two_dates, alone=True),
)

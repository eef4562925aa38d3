"""`backfill`: the lists of several days."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from recsys_cli.pipelines.publication.recommendations_file import published_manifest
from recsys_cli.pipelines.score import ScoreReport
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.errors import RecsysError, UsageError

_MOST_DAYS = 3_660  # ten years


@dataclass(frozen=True)
class ScoredDay:
    """How scoring a day ended: with a report, or with an error that a user can put right."""

    day: date
    outcome: ScoreReport | RecsysError


def days_from(first: date, last: date) -> list[date]:
    """Return the days from the first to the last, both included.

    Raises: UsageError where the last is before the first, or they are so far apart that one is a slip.
    """
    if last < first:
        raise UsageError(
            f"the last date, {last}, is before the first, {first}", where="--from, --to", fix="swap them"
        )
    if (last - first).days >= _MOST_DAYS:
        raise UsageError(
            f"from {first} to {last} are more than {_MOST_DAYS:,} days",
            where="--from, --to",
            fix="correct the dates, or score the days in several runs",
        )
    return [first + timedelta(days=after) for after in range((last - first).days + 1)]


def days_without_lists(workspace: Workspace, days: Sequence[date]) -> list[date]:
    """Return those of the days that have no complete recommendations."""
    return [day for day in days if published_manifest(ScoringDay(workspace, day)) is None]


def score_days(days: Sequence[date], score: Callable[[date], ScoreReport]) -> Iterator[ScoredDay]:
    """Score day after day and yield how each ended; a day that fails does not stop the others."""
    for day in days:
        try:
            yield ScoredDay(day, score(day))
        except RecsysError as error:
            yield ScoredDay(day, error)

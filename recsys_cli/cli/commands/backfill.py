"""`recsys backfill`: the lists of several dates."""

from datetime import date, timedelta
from typing import Annotated, Any

import typer

from recsys_cli.cli.commands.score import scored
from recsys_cli.cli.recorded_run import open_workspace, running
from recsys_cli.cli.session import Session, session_of
from recsys_cli.utils.dates import parse_day
from recsys_cli.utils.errors import RecsysError, UsageError

From = Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="The first date.")]
To = Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="The last date.")]
Missing = Annotated[bool, typer.Option("--missing", help="Only dates that have no complete lists.")]


def backfill(ctx: typer.Context, first: From, last: To, missing: Missing = False) -> None:
    """Score every date from the first to the last; a date that cannot be scored stops none of the others.

    Example: recsys backfill --from 2026-07-01 --to 2026-07-07 --missing
    """
    session = session_of(ctx)
    days = _days(parse_day(first, "--from"), parse_day(last, "--to"))
    workspace = open_workspace(session)
    from recsys_cli.pipelines.publication.recommendations_file import published_manifest

    if missing:
        days = [day for day in days if published_manifest(workspace.recommendations(day)) is None]
    failures: list[RecsysError] = []
    told = [_told(session, day, failures) for day in days]
    if session.options.as_json:
        session.terminal.show_json({"schema_version": 1, "days": told})
    if not days:
        session.terminal.say("no date lacks its lists")
    if failures:
        raise failures[0]


def _told(session: Session, day: date, failures: list[RecsysError]) -> dict[str, Any]:
    """Score a day and tell how it went; an error that a user can mend is kept, and the last word on it."""
    try:
        report = _score(session, day)
    except RecsysError as error:
        failures.append(error)
        session.terminal.say(f"{day}: failed: {error.what}")
        return {"date": str(day), "error": error.what}
    how = "already complete" if report["already_complete"] else f"{report['users']:,} users"
    session.terminal.say(f"{day}: {how} → {report['path']}")
    return {"date": str(day), "users": report["users"], "path": report["path"], "sha256": report["sha256"]}


def _score(session: Session, day: date) -> dict[str, Any]:
    with running(session, "score", day) as under_way:
        from recsys_cli.pipelines.scoring.job import ScoreRequest

        under_way.facts.update(date=str(day))
        request = ScoreRequest(day, under_way.workspace.settings.scoring.top_k)
        return scored(under_way, request, session.terminal)


def _days(first: date, last: date) -> list[date]:
    if last < first:
        raise UsageError(
            f"the last date, {last}, is before the first, {first}", where="--from, --to", fix="swap them"
        )
    return [first + timedelta(days=after) for after in range((last - first).days + 1)]

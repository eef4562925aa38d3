"""`recsys backfill`: the lists of several dates."""

from datetime import date
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_cli.cli.commands.score import scored
from recsys_cli.cli.recorded_run import open_workspace, running
from recsys_cli.cli.session import Session, session_of
from recsys_cli.utils.dates import parse_day
from recsys_cli.utils.errors import RecsysError

if TYPE_CHECKING:
    from recsys_cli.pipelines.backfill import ScoredDay
    from recsys_cli.pipelines.score import ScoreReport

From = Annotated[str, typer.Option("--from", metavar="YYYY-MM-DD", help="The first date.")]
To = Annotated[str, typer.Option("--to", metavar="YYYY-MM-DD", help="The last date.")]
Missing = Annotated[bool, typer.Option("--missing", help="Only dates that have no complete lists.")]


def backfill(ctx: typer.Context, first: From, last: To, missing: Missing = False) -> None:
    """Score every date from the first to the last; a date that cannot be scored stops none of the others.

    Example: recsys backfill --from 2026-07-01 --to 2026-07-07 --missing
    """
    session = session_of(ctx)
    terminal = session.terminal
    bounds = parse_day(first, "--from"), parse_day(last, "--to")
    workspace = open_workspace(session)
    from recsys_cli.pipelines.backfill import days_from, days_without_lists, score_days

    days = days_from(*bounds)
    if missing:
        days = days_without_lists(workspace, days)
    ended = []
    for one in score_days(days, lambda day: _score(session, day)):
        terminal.say(_line(one))
        ended.append(one)
    if session.options.as_json:
        days_ended = terminal.secrets.hide_in([_result(one) for one in ended])
        terminal.show_json({"schema_version": 1, "days": days_ended})
    if not days:
        terminal.say("no date lacks its lists")
    for one in ended:
        if isinstance(one.outcome, RecsysError):
            raise one.outcome


def _score(session: Session, day: date) -> "ScoreReport":
    with running(session, "score", day) as under_way:
        from recsys_cli.pipelines.scoring.job import ScoreRequest

        under_way.facts.update(date=str(day))
        request = ScoreRequest(day, under_way.workspace.settings.scoring.top_k)
        return scored(under_way, request, session.terminal)


def _line(ended: "ScoredDay") -> str:
    report = ended.outcome
    if isinstance(report, RecsysError):
        return f"{ended.day}: failed: {report.what}"
    how = "already complete" if report.already_complete else f"{report.manifest.users:,} users"
    return f"{ended.day}: {how} → {report.path}"


def _result(ended: "ScoredDay") -> dict[str, object]:
    report = ended.outcome
    if isinstance(report, RecsysError):
        return {"date": str(ended.day), "error": report.what}
    manifest = report.manifest
    return {
        "date": str(ended.day),
        "users": manifest.users,
        "path": str(report.path),
        "sha256": manifest.sha256,
    }

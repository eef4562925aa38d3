"""`recsys score`: the nightly job."""

import os
from collections.abc import Sequence
from enum import StrEnum
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_cli.cli.display.safe_text import readable
from recsys_cli.cli.display.score_summary import show_plan, show_score
from recsys_cli.cli.display.stage_display import shown_stages
from recsys_cli.cli.display.terminal import Terminal
from recsys_cli.cli.recorded_run import Running, running, stage_rows
from recsys_cli.cli.session import Session, session_of
from recsys_cli.cli.shared_options import AcceptInputs, ScoringDate, chosen_day
from recsys_cli.utils.columns import LONGEST_LIST
from recsys_cli.utils.dates import parse_day, parse_duration
from recsys_cli.utils.errors import UsageError
from recsys_cli.utils.storage.regular_files import open_regular

if TYPE_CHECKING:
    from datetime import date as Day

    from recsys_cli.pipelines.score import ScoreReport
    from recsys_cli.pipelines.scoring.job import ScoreRequest

_USERS_BYTES = 2**30  # of a file of users: 50 million ids


class EngineName(StrEnum):
    LOCAL = "local"
    RAY = "ray"


Users = Annotated[
    str | None,
    typer.Option(
        "--users",
        metavar="IDS|FILE",
        help="Some users: ids separated by commas, or a file with one id per line.",
    ),
]
User = Annotated[
    list[str] | None,
    typer.Option(
        "--user", metavar="ID", help="One more user, by an id that may hold commas; may be repeated."
    ),
]
TopK = Annotated[
    int | None,
    typer.Option(
        "--top-k", min=1, max=LONGEST_LIST, help="Recommendations a user, instead of scoring.top_k."
    ),
]
Planned = Annotated[
    bool, typer.Option("--plan", help="Only predict the seconds, memory and disk that it will take.")
]
LockWait = Annotated[
    str | None,
    typer.Option(
        "--lock-wait", metavar="DURATION", help="Longest wait, such as 10m, for another run of the date."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Score again although the date is complete.")]
ChangedSince = Annotated[
    str | None,
    typer.Option(
        "--changed-since",
        metavar="YYYY-MM-DD",
        help="Rank only users whose inputs have changed since the published run of that day; the others "
        "keep its lists, if a sample of them is still what a full run gives.",
    ),
]
Engine = Annotated[
    EngineName, typer.Option("--engine", help="Where users are ranked: in this process, or on a Ray cluster.")
]
Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="ADDRESS",
        help="Address of the Ray cluster: host:port, ray://host:port, or auto, that of this machine.",
    ),
]


def score(
    ctx: typer.Context,
    date: ScoringDate = None,
    users: Users = None,
    user: User = None,
    top_k: TopK = None,
    force: Force = False,
    plan: Planned = False,
    lock_wait: LockWait = None,
    changed_since: ChangedSince = None,
    engine: Engine = EngineName.LOCAL,
    address: Address = None,
    accept_inputs: AcceptInputs = False,
) -> None:
    """Recommend items to every user and publish one parquet file.

    Example: recsys score --date 2026-07-01
    """
    session = session_of(ctx)
    day = chosen_day(session, date)
    asked = _asked_users(users, user or [])
    cluster = _cluster(engine, address, plan=plan)
    since = _since(changed_since, day, alone=asked is None and not plan)
    wait = 0 if lock_wait is None else parse_duration(lock_wait, "--lock-wait")
    with running(session, "score", day) as under_way:
        from recsys_cli.pipelines.scoring.job import ScoreRequest

        under_way.facts.update(date=str(day))
        top_k = top_k or under_way.workspace.settings.scoring.top_k
        request = ScoreRequest(day, top_k, asked, force, wait, cluster, since, accept_inputs)
        if plan:
            _plan(under_way, request, session)
            return
        report = scored(under_way, request, session.terminal)
    if session.options.as_json:
        session.terminal.show_json(report.as_json())
    elif report.already_complete:
        session.terminal.say(f"already complete: {report.published} (--force scores again)")
    elif not session.options.quiet:
        show_score(session.terminal, report, stage_rows(under_way))


def _since(text: str | None, day: "Day", *, alone: bool) -> "Day | None":
    """Return the day of --changed-since.

    Raises: UsageError for one that is not before the date, or options that do not go together.
    """
    if text is None:
        return None
    since = parse_day(text, "--changed-since")
    if since >= day:
        raise UsageError(f"{since} is not before {day}", where="--changed-since", fix="name an earlier day")
    if not alone:
        raise UsageError(
            "--changed-since chooses the users itself, and plans nothing",
            where="--changed-since",
            fix="leave out --users, --user and --plan, or --changed-since",
        )
    return since


def _cluster(engine: EngineName, address: str | None, *, plan: bool) -> str | None:
    """Return the address of the cluster that ranks; None: none does.

    Raises: UsageError for options that do not go together.
    """
    if engine is EngineName.LOCAL and address is not None:
        raise UsageError("--address needs a Ray cluster", where="--address", fix="add --engine ray")
    if engine is EngineName.RAY and plan:
        raise UsageError(
            "--plan predicts for this machine, not for a cluster",
            where="--plan --engine ray",
            fix="leave out --engine ray; recsys guide past-one-machine has the cost of a core",
        )
    return None if engine is EngineName.LOCAL else address or "auto"


def _plan(under_way: Running, request: "ScoreRequest", session: Session) -> None:
    from recsys_cli.pipelines.scoring.plan import plan_scoring

    stages = under_way.run.stages
    with shown_stages(session.terminal, "Planning", stages, line_every=10, summary=False):
        plan = plan_scoring(under_way.workspace, request, under_way.run)
    under_way.facts.update(plan=plan.as_json())
    if session.options.as_json:
        session.terminal.show_json({"schema_version": 1, "date": str(request.day), **plan.as_json()})
    else:
        show_plan(session.terminal, plan, request.day)


def scored(under_way: Running, request: "ScoreRequest", terminal: Terminal) -> "ScoreReport":
    """Score a date within a run, and put what was published into the run's record."""
    from recsys_cli.pipelines.score import score_users

    with shown_stages(
        terminal, "Scoring users", under_way.run.stages, line_every=10, units="users"
    ) as progress:
        report = score_users(under_way.workspace, request, under_way.run, progress)
    record_score(under_way, report)
    return report


def record_score(under_way: Running, report: "ScoreReport") -> None:
    """Put what was published, and what a plan had predicted, into the run's record."""
    from recsys_cli.pipelines.scoring.plan import stored_plan
    from recsys_cli.pipelines.workspace.plans import outcome_of

    under_way.facts.update(report.manifest.as_json(), already_complete=report.already_complete)
    plan = stored_plan(report.day, report.manifest.key)
    if plan is not None and not report.already_complete:
        under_way.facts.update(plan=outcome_of(plan).as_json())


def _asked_users(listed: str | None, single: Sequence[str]) -> list[str] | None:
    """Return the ids of both options; None where neither is given: everybody."""
    if listed is None and not single:
        return None
    ids = [readable(one, "--user") for one in single]
    if listed is not None:
        ids += _listed_users(readable(listed, "--users"))
    ids = [one for one in ids if one.strip()]
    if not ids:
        raise UsageError(
            "no user is named", where="--users", fix="give ids with commas, or a file with an id a line"
        )
    return ids


def _listed_users(text: str) -> list[str]:
    names_file = os.path.lexists(text) and not os.path.isdir(text)  # unlike Path's, they take long lists
    try:
        return _lines(Path(text)) if names_file else [one.strip() for one in text.split(",")]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the file of users cannot be read: {_reason(error)}", where=text, fix="give an id a line"
        ) from None


def _reason(error: Exception) -> str:
    return str(error.strerror if isinstance(error, OSError) else error)


def _lines(file: Path) -> list[str]:
    with TextIOWrapper(open_regular(file, _USERS_BYTES), encoding="utf-8") as opened:
        return [line.removesuffix("\r") for line in opened.read().split("\n")]

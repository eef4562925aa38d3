"""`recsys evaluate`: do the two stages earn their place?"""

from datetime import date as Day
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_cli.cli.running import Running, running, stage_rows
from recsys_cli.cli.session import session_of
from recsys_cli.cli.terminal import Terminal
from recsys_cli.utils.dates import parse_day

if TYPE_CHECKING:
    from recsys_cli.pipelines.evaluate import EvaluationReport

PastDate = Annotated[
    str,
    typer.Option(
        "--date",
        metavar="YYYY-MM-DD",
        help="Train on events before this day, judge by those from it on.",
    ),
]
Days = Annotated[
    int | None, typer.Option("--days", min=1, help="Length of the window, instead of evaluation.days.")
]
K = Annotated[int | None, typer.Option("--k", min=1, help="Length of the lists, instead of evaluation.k.")]


def evaluate(ctx: typer.Context, date: PastDate, days: Days = None, k: K = None) -> None:
    """Compare popularity, LightFM and the two stages on what users did after the date; nothing is kept."""
    session = session_of(ctx)
    terminal = session.terminal
    day = parse_day(date)
    with running(session, "evaluate") as under_way:
        report = _evaluated(under_way, terminal, day, days, k)
        under_way.facts.update(report.facts())
    if session.options.as_json:
        terminal.show_json(report.facts())
    elif not session.options.quiet:
        _show(terminal, report, stage_rows(under_way))


def _evaluated(
    under_way: Running, terminal: Terminal, day: Day, days: int | None, k: int | None
) -> "EvaluationReport":
    from recsys_cli.pipelines.evaluate import EvaluationRequest, judge, set_exam, train_for

    workspace, run = under_way.workspace, under_way.run
    defaults = workspace.settings.evaluation
    exam = set_exam(workspace, EvaluationRequest(day, days or defaults.days, k or defaults.k), run)
    with terminal.progress(f"Training on events before {day}", "steps") as progress:
        model = train_for(exam, workspace, run, progress)
    with terminal.progress("Ranking users") as progress:
        return judge(exam, model, workspace, run, progress)


def _show(terminal: Terminal, report: "EvaluationReport", stages: list[tuple[str, str, str]]) -> None:
    request = report.request
    rows = [
        (name, *(f"{value:.4f}" for value in measures.values())) for name, measures in report.measures.items()
    ]
    names = next(iter(report.measures.values()))
    terminal.show_table(
        f"Lists of {request.k} for {request.day}, judged by the next {request.days} days",
        ("model", *names),
        rows,
    )
    differences = [
        (one.metric, one.against, f"{one.difference:+.4f}", f"{one.low:+.4f} … {one.high:+.4f}")
        for one in report.comparisons
    ]
    terminal.show_table(
        "The two stages against the better of the others",
        ("measure", "against", "difference", "95 % interval"),
        differences,
    )
    facts = [
        ("users judged", f"{report.users:,}"),
        ("relevant pairs", f"{report.relevant_pairs:,}"),
        ("of these among the candidates", f"{report.candidate_recall:.1%}, the ceiling for the ranker"),
        ("days with data", f"{report.covered_days} of {request.days}"),
    ]
    terminal.show_table("The exam", ("what", "figure"), facts)
    terminal.show_table("Stages", ("stage", "seconds", "peak so far"), stages)

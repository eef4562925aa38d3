"""`recsys evaluate`: do the two stages earn their place?"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_cli.cli.display.evaluation_tables import show_budget, show_models
from recsys_cli.cli.display.stage_display import shown_stages
from recsys_cli.cli.display.terminal import Terminal
from recsys_cli.cli.recorded_run import Running, running, stage_rows
from recsys_cli.cli.session import Session, session_of
from recsys_cli.utils.dates import parse_day

if TYPE_CHECKING:
    from recsys_cli.pipelines.evaluate import EvaluationReport, EvaluationRequest

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


Cuts = Annotated[
    int,
    typer.Option(
        "--cuts", min=1, max=52, help="Judge this many consecutive windows, the last from --date on."
    ),
]
Without = Annotated[
    list[str] | None,
    typer.Option(
        "--without",
        metavar="NAMES",
        help="Leave out sources, by the names that evaluate prints, or groups of features; with commas or "
        "repeated.",
    ),
]


def evaluate(
    ctx: typer.Context,
    date: PastDate,
    days: Days = None,
    k: K = None,
    cuts: Cuts = 1,
    without: Without = None,
) -> None:
    """Compare each source, a blend and the two stages on what users did after the date; no model is kept.

    Example: recsys evaluate --date 2026-06-17 --days 14
    """
    session = session_of(ctx)
    terminal = session.terminal
    day = parse_day(date)
    with running(session, "evaluate", day) as under_way:
        from recsys_cli.pipelines.evaluate import EvaluationRequest, requests_back

        defaults = under_way.workspace.settings.evaluation
        request = EvaluationRequest(day, days or defaults.days, k or defaults.k)
        report = _evaluated(under_way, session, requests_back(request, cuts), _names(without))
        under_way.facts.update(report.as_json())
    if session.options.as_json:
        terminal.show_json(report.as_json())
    elif not session.options.quiet:
        _show(terminal, report, stage_rows(under_way))


def _names(options: Sequence[str] | None) -> list[str]:
    names = [name.strip() for option in options or () for name in option.split(",")]
    return list(dict.fromkeys(names))


def _evaluated(
    under_way: Running, session: Session, requests: Sequence["EvaluationRequest"], without: Sequence[str]
) -> "EvaluationReport":
    from recsys_cli.pipelines.evaluate import report_of, set_exams, sit_exam
    from recsys_cli.pipelines.evaluation.ablation import check_left_out, settings_without

    run, settings = under_way.run, under_way.workspace.settings
    workspace = replace(under_way.workspace, settings=settings_without(settings, without))
    show = partial(shown_stages, session.terminal, stages=run.stages, verbosity=session.options.verbosity)
    with show("Reading the tables", summary=False):
        exams = set_exams(workspace, requests, run)
    check_left_out(settings, without, exams[0].tables)
    verdicts = []
    for exam in exams:
        with show(f"Training on events before {exam.request.day}"):
            verdicts.append(sit_exam(exam, workspace, run))
    return report_of(exams, verdicts, without)


def _show(terminal: Terminal, report: "EvaluationReport", stages: list[tuple[str, str, str]]) -> None:
    request, facts = report.requests[0], report.facts
    show_models(
        terminal, facts, f"Lists of {request.k} for {request.day}, judged by the next {request.days} days"
    )
    show_budget(terminal, facts)
    rows = [
        ("users judged", f"{facts['users']:,} (and {facts['cold_users']:,} cold)"),
        ("days with data", f"{report.covered_days} of {request.days * len(report.requests)}"),
    ]
    terminal.show_table("The exam", ("what", "figure"), rows)
    terminal.show_table("Stages", ("stage", "seconds", "peak so far"), stages)

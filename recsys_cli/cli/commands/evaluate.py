"""`recsys evaluate`: are the two stages better than each source alone?"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_cli.cli.display.evaluation_tables import (
    show_budget,
    show_diversity,
    show_models,
    show_rules,
)
from recsys_cli.cli.display.stage_display import shown_stages
from recsys_cli.cli.display.terminal import Terminal
from recsys_cli.cli.recorded_run import Running, running, stage_rows
from recsys_cli.cli.session import Session, session_of
from recsys_cli.utils.columns import LONGEST_LIST
from recsys_cli.utils.dates import parse_day
from recsys_cli.utils.errors import UsageError

if TYPE_CHECKING:
    from recsys_cli.pipelines.evaluate import EvaluationReport, EvaluationRequest
    from recsys_cli.pipelines.evaluation.rules_evaluation import ListQuestions

PastDate = Annotated[
    str,
    typer.Option(
        "--date",
        metavar="YYYY-MM-DD",
        help="Train on events before this day, evaluate on those from it on.",
    ),
]
Days = Annotated[
    int | None,
    typer.Option("--days", min=1, max=36_500, help="Length of the window, instead of evaluation.days."),
]
K = Annotated[
    int | None,
    typer.Option("--k", min=1, max=LONGEST_LIST, help="Length of the lists, instead of evaluation.k."),
]


Cuts = Annotated[
    int,
    typer.Option(
        "--cuts", min=1, max=52, help="Evaluate on this many consecutive windows, the last from --date on."
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
Rules = Annotated[
    bool, typer.Option("--rules", help="Evaluate the lists with all rules, without any, and without each.")
]
Diversity = Annotated[
    str | None,
    typer.Option(
        "--diversity",
        metavar="VALUES",
        help="Evaluate the lists with these values of scoring.diversity, from 0 to 1, with commas.",
    ),
]


def evaluate(
    ctx: typer.Context,
    date: PastDate,
    days: Days = None,
    k: K = None,
    cuts: Cuts = 1,
    without: Without = None,
    rules: Rules = False,
    diversity: Diversity = None,
) -> None:
    """Compare each source, a blend and the two stages on what users did after the date; no model is kept.

    Example: recsys evaluate --date 2026-06-17 --days 14
    """
    session = session_of(ctx)
    terminal = session.terminal
    day, values = parse_day(date), _values(diversity)
    with running(session, "evaluate", day) as under_way:
        from recsys_cli.pipelines.evaluate import EvaluationRequest, requests_of_earlier_windows
        from recsys_cli.pipelines.evaluation.rules_evaluation import ListQuestions

        defaults = under_way.workspace.settings.evaluation
        request = EvaluationRequest(day, days or defaults.days, k or defaults.k)
        requests, asked = requests_of_earlier_windows(request, cuts), ListQuestions(rules, values)
        report = _evaluated(under_way, session, requests, _names(without), asked)
        under_way.facts.update(report.as_json())
    if session.options.as_json:
        terminal.show_json(report.as_json())
    elif not session.options.quiet:
        _show(terminal, report, stage_rows(under_way))


def _names(options: Sequence[str] | None) -> list[str]:
    names = [name.strip() for option in options or () for name in option.split(",")]
    return list(dict.fromkeys(names))


def _values(option: str | None) -> list[float]:
    """Return the values of --diversity, ascending. Raises: UsageError for what is none."""
    if option is None:
        return []
    try:
        values = sorted({float(text) for text in option.split(",")})
    except ValueError:
        values = [-1.0]
    if not all(0 <= value <= 1 for value in values):
        raise UsageError(
            f"{option!r} is no list of numbers from 0 to 1",
            where="--diversity",
            fix="write them with commas, such as 0,0.1,0.3,0.5",
        )
    return [value + 0.0 for value in values]  # -0 is 0


def _evaluated(
    under_way: Running,
    session: Session,
    requests: Sequence["EvaluationRequest"],
    without: Sequence[str],
    asked: "ListQuestions",
) -> "EvaluationReport":
    from recsys_cli.pipelines.evaluate import (
        ablated,
        measured_sources,
        read_holdouts,
        report_of,
        trained_on,
    )
    from recsys_cli.pipelines.evaluation.rules_evaluation import check_questions, evaluate_lists

    run, workspace = under_way.run, under_way.workspace
    check_questions(asked, workspace.settings)
    show = partial(shown_stages, session.terminal, stages=run.stages, verbosity=session.options.verbosity)
    with show("Reading the tables", summary=False):
        holdouts = read_holdouts(workspace, requests, run, without)
    used, results, lists = ablated(workspace, without), [], []
    for holdout in holdouts:
        with show(f"Training on events before {holdout.request.day}"):
            trained = trained_on(holdout, used, run)
            results.append(measured_sources(trained, used, run))
            lists.append(evaluate_lists(trained, asked, used, run))
    return report_of(holdouts, results, without, lists)


def _show(terminal: Terminal, report: "EvaluationReport", stages: list[tuple[str, str, str]]) -> None:
    request, summary = report.requests[0], report.summary
    title = f"Lists of {request.k} for {request.day}, evaluated on the next {request.days} days"
    show_models(terminal, summary, title)
    show_budget(terminal, summary)
    if report.rules is not None:
        show_rules(terminal, report.rules, request.k)
    if report.diversity is not None:
        show_diversity(terminal, report.diversity)
    rows = [
        ("users evaluated", f"{summary.users:,} (and {summary.cold_users:,} cold)"),
        ("days with data", f"{report.covered_days} of {request.days * len(report.requests)}"),
    ]
    terminal.show_table("The holdout", ("what", "figure"), rows)
    terminal.show_table("Stages", ("stage", "seconds", "peak so far"), stages)

"""`recsys tune`: better settings for both stages, found and evaluated on the past."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_cli.cli.display.terminal import Terminal
from recsys_cli.cli.recorded_run import Running, running
from recsys_cli.cli.session import session_of
from recsys_cli.cli.shared_options import ScoringDate, chosen_day
from recsys_cli.utils.dates import parse_duration

if TYPE_CHECKING:
    from recsys_cli.pipelines.tune import TuneReport
    from recsys_cli.pipelines.tuning.search import SearchProgress, TuneRequest, TuningPlan, Winner

Budget = Annotated[
    str, typer.Option("--budget", metavar="TIME", help="Time for this run, such as 90s, 30m or 2h.")
]
Windows = Annotated[
    int,
    typer.Option(
        "--windows",
        min=1,
        max=52,
        help="Evaluate each trial on this many label windows, and the winner on as many later ones.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of the values that are tried.")]


def tune(
    ctx: typer.Context, budget: Budget = "30m", date: ScoringDate = None, windows: Windows = 1, seed: Seed = 0
) -> None:
    """Search better settings for both stages on days before the date; the same command again resumes it.

    Example: recsys tune --date 2026-07-01 --budget 2h
    """
    session = session_of(ctx)
    seconds = parse_duration(budget, "--budget")
    day = chosen_day(session, date)
    with running(session, "tune", day) as under_way:
        from recsys_cli.pipelines.tuning.search import TuneRequest

        report = _tuned(under_way, session.terminal, TuneRequest(day, seconds, windows, seed))
        under_way.facts.update(report.as_json())
    if session.options.as_json:
        session.terminal.show_json(session.terminal.secrets.hide_in(report.as_json()))
    elif not session.options.quiet:
        _show(session.terminal, report)


def _tuned(under_way: Running, terminal: Terminal, request: "TuneRequest") -> "TuneReport":
    from recsys_cli.pipelines.tune import evaluate_winner
    from recsys_cli.pipelines.tuning.search import plan_tuning

    plan = plan_tuning(under_way.workspace, request, under_way.run)
    with _announcing_resumption(terminal):
        winner = _searched(plan, terminal)
        with terminal.progress("Evaluating on the untouched days", "trainings") as progress:
            return evaluate_winner(plan, winner, progress)


def _searched(plan: "TuningPlan", terminal: Terminal) -> "Winner":
    from recsys_cli.pipelines.tuning.search import search

    label = begun = f"Tuning on events before {plan.known[0].day}"

    def shown_label() -> str:
        return label

    with terminal.progress(shown_label, "trials") as progress:

        def observe(trials: "SearchProgress") -> None:
            nonlocal label
            if not trials.done and trials.earlier:
                terminal.say(f"resuming after {trials.earlier} trials in {plan.folder}")
            if trials.best is not None:
                label = f"{begun}, best {trials.best:.4f} (today's {trials.today:.4f})"
            progress(trials.done, trials.expected)

        return search(plan, observe)


@contextmanager
def _announcing_resumption(terminal: Terminal) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception):  # Ctrl-C, or SIGTERM
            terminal.say("the finished trials are kept: the same command resumes after them")
        raise


def _show(terminal: Terminal, report: "TuneReport") -> None:
    trials, winner, k = report.winner.progress, report.winner, report.plan.workspace.settings.evaluation.k
    rows = [
        (
            "trials",
            f"{trials.earlier + trials.done - trials.failed} ({trials.earlier} of earlier runs)",
        ),
        ("failed now", f"{trials.failed}"),
        (f"NDCG@{k}, today's settings", f"{trials.today:.4f}"),
        (f"NDCG@{k}, trial {winner.trial}, the winner", f"{trials.best:.4f}"),
    ]
    terminal.show_table(f"The search, on events before {report.plan.known[0].day}", ("what", "figure"), rows)
    changes = [(key, _short(today), _short(new)) for key, (today, new) in winner.changes().items()]
    if changes:
        terminal.show_table("What the winner changes", ("setting", "today", "winner"), changes)
    _show_evaluation(terminal, report)
    terminal.say(f"the winner → {winner.file}")
    terminal.say(f"next: {_advice(report)}")


def _show_evaluation(terminal: Terminal, report: "TuneReport") -> None:
    """Show both settings on the days that no trial has seen."""
    first = report.plan.holdouts[-1].request.day
    rows = [
        (
            one.metric,
            f"{report.today[one.metric]:.4f}",
            f"{report.winner_measures[one.metric]:.4f}",
            f"{one.difference:+.4f}",
            f"{one.low:+.4f} … {one.high:+.4f}",
        )
        for one in report.comparisons
    ]
    if rows:
        terminal.show_table(
            f"The untouched days from {first} on, {report.users:,} users",
            ("measure", "today", "winner", "difference", "95 % interval"),
            rows,
        )
    terminal.say(_CONCLUSIONS[report.better if rows else "same"])


_CONCLUSIONS = {
    "winner": "on the untouched days the winner is better than today's settings",
    "today": "on the untouched days the winner is WORSE than today's settings",
    "neither": "on the untouched days there is no significant difference to today's settings",
    "same": "no trial was better than today's settings",
}


def _advice(report: "TuneReport") -> str:
    adopt = f"copy the keys of {report.winner.file} into settings/settings.local.toml, then recsys train"
    if not report.comparisons:
        return "the same command continues the search"
    return {
        "winner": adopt,
        "today": "keep today's settings; the same command continues the search",
        "neither": f"the same command continues the search; to adopt the winner nevertheless, {adopt}",
    }[report.better]


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)

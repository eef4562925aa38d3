"""`recsys report`: how a night went, and how earlier lists have done."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_cli.cli.display.phrases import in_digits, item_label
from recsys_cli.cli.display.rule_tables import show_rules
from recsys_cli.cli.display.safe_text import readable
from recsys_cli.cli.display.stage_display import shown_work
from recsys_cli.cli.display.terminal import Terminal
from recsys_cli.cli.recorded_run import open_workspace
from recsys_cli.cli.session import session_of
from recsys_cli.cli.shared_options import refuse_target
from recsys_cli.utils.dates import parse_day

if TYPE_CHECKING:
    from recsys_cli.pipelines.monitoring.past_performance import Interval, PastPerformance
    from recsys_cli.pipelines.publication.manifest import PublicationManifest
    from recsys_cli.pipelines.report import Report

Date = Annotated[
    str | None, typer.Argument(metavar="DATE", help="The lists' day. Default: the last published.")
]
Page = Annotated[
    Path | None, typer.Option("--html", metavar="FILE", help="Write one HTML file that needs no other.")
]
Days = Annotated[
    int | None,
    typer.Option(
        "--days",
        min=1,
        max=3660,
        help="Earlier lists are evaluated on so many days. Default: evaluation.days.",
    ),
]
Most = Annotated[int, typer.Option("--past", min=1, max=366, help="Earlier lists to evaluate.")]
_SHOWN = 5


def report(
    ctx: typer.Context, date: Date = None, html: Page = None, days: Days = None, past: Most = 7
) -> None:
    """Show how the lists of a day came out, and how earlier ones did by what users then took.

    Example: recsys report 2026-07-01 --html report.html
    """
    session = session_of(ctx)
    day = parse_day(readable(date, "recsys report"), "DATE") if date is not None else None
    workspace = open_workspace(session)
    if html is not None:
        refuse_target(workspace, html, "--html")
    from recsys_cli.pipelines.monitoring.past_performance import Window
    from recsys_cli.pipelines.report import report as report_on

    window = Window(days or workspace.settings.evaluation.days, past)
    with shown_work(session.terminal, "Reporting"):
        found = _without_secrets(report_on(workspace, day, window), session.terminal)
    if html is not None:
        from recsys_cli.cli.display.report_html import write_page

        write_page(found, html)
        session.terminal.say(f"the report of {found.day} → {html}")
    if session.options.as_json:
        session.terminal.show_json(found.as_json())
    elif html is None:
        _show(session.terminal, found)


def _without_secrets(found: "Report", terminal: Terminal) -> "Report":
    """Return the report with secrets masked in the texts of errors."""
    hide = terminal.secrets.hide_in
    failed_runs = [replace(run, error=hide(run.error)) for run in found.failed_runs]
    return replace(found, failed_runs=failed_runs, past_problem=hide(found.past_problem))


def _show(terminal: Terminal, found: "Report") -> None:
    terminal.show_table(f"The lists of {found.day}", ("what", "figure"), _figures(found))
    gates = [(gate.setting, in_digits(gate.figure), in_digits(gate.bound)) for gate in found.gates]
    if gates:
        terminal.show_table("Publish gates, all passed", ("setting", "figure", "bound"), gates)
    show_rules(terminal, found.lists.lists)
    if found.failed_runs:
        runs = [
            (run.run_id, run.date, run.status, (run.error or "").partition("\n")[0])
            for run in found.failed_runs[:_SHOWN]
        ]
        columns = ("run", "for", "status", "error")
        terminal.show_table("Runs since that published nothing", columns, runs)
    items = [(item_label(one.item_id, one.title), f"{one.lists:,}") for one in found.top_items[:_SHOWN]]
    terminal.show_table("Most frequent items", ("item", "lists"), items)
    _show_drift(terminal, found)
    _show_past(terminal, found)
    terminal.say(f"next: recsys report {found.day} --html report.html, or --json for all of it")


def _figures(found: "Report") -> list[tuple[str, str]]:
    lists, run = found.lists, found.run
    figures = [
        ("model", lists.model_version),
        *_ages(lists),
        ("users", _users(lists)),
        ("lists that are short, empty", f"{lists.short_lists:,}, {lists.empty_lists:,}"),
        (
            "distinct items",
            f"{lists.items:,} of {lists.eligible_items:,} ({lists.catalogue_coverage:.1%})",
        ),
        ("rows of popularity alone", f"{lists.fallback_rows:,} of {lists.rows:,}"),
        ("scores", _spread(found.quantiles)),
    ]
    if run is None:
        return [*figures, ("run", "its record is gone")]
    slowest = sorted(run.stages, key=lambda stage: -stage.seconds)[:2]
    stages = ", ".join(f"{stage.name} {stage.seconds:.1f} s" for stage in slowest)
    memory = f", {run.peak_bytes / 1e9:.2f} GB" if run.peak_bytes else ""
    return [*figures, ("run", run.run_id), ("took", f"{run.seconds:.0f} s{memory}; {stages}")]


def _ages(lists: "PublicationManifest") -> list[tuple[str, str]]:
    event, model = lists.newest_event_age_days, lists.model_age_days
    if event is None or model is None:
        return []
    return [("age", f"newest event: {event:.1f} days, model: {model:,} days")]


def _users(lists: "PublicationManifest") -> str:
    some = "" if lists.all_users else ", chosen by --users"
    return f"{lists.users:,}: {lists.warm_users:,} warm, {lists.cold_users:,} cold{some}"


def _spread(quantiles: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in quantiles.items() if value is not None)


def _show_drift(terminal: Terminal, found: "Report") -> None:
    if found.drift:
        rows = [
            (one.table, one.name, f"{one.psi:.3f}", _figure(one.before), _figure(one.now))
            for one in found.drift[:_SHOWN]
        ]
        title = f"Drift since the lists of {found.drift_against}: the largest of {len(found.drift)} columns"
        terminal.show_table(title, ("table", "column", "psi", "before", "now"), rows)
    if found.drift_problem:
        terminal.show_line(f"Drift of features: {found.drift_problem}.")


def _show_past(terminal: Terminal, found: "Report") -> None:
    if found.past_problem:
        terminal.show_line(f"Report card of earlier lists: {found.past_problem}.")
        return
    rows = [
        (str(one.day), _covered(one), f"{one.users:,}", _interval(one.ndcg), *_rival(one))
        for one in found.past
    ]
    columns = ("lists of", "days", "users", found.past[0].ndcg_name, "popularity", "difference")
    terminal.show_table("How lists did: mean (95 % interval)", columns, rows)


def _covered(past: "PastPerformance") -> str:
    return str(past.days) if past.covered_days == past.days else f"{past.covered_days} of {past.days}"


def _interval(found: "Interval") -> str:
    return f"{found.mean:.4f} ({found.low:.4f} to {found.high:.4f})"


def _rival(past: "PastPerformance") -> tuple[str, str]:
    if past.popularity is None or past.difference is None:
        return "none", ""
    return f"{past.popularity.ndcg:.4f}", _interval(past.difference)


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:,.4g}"

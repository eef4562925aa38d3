"""`recsys report`: how a night went, and how earlier lists have done."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys_cli.cli.display.phrases import in_digits, named
from recsys_cli.cli.display.safe_text import readable
from recsys_cli.cli.display.stage_display import shown_work
from recsys_cli.cli.display.terminal import Terminal
from recsys_cli.cli.recorded_run import open_workspace
from recsys_cli.cli.session import session_of
from recsys_cli.cli.shared_options import refuse_target
from recsys_cli.utils.dates import parse_day

if TYPE_CHECKING:
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
        "--days", min=1, max=3660, help="Earlier lists are judged by so many days. Default: evaluation.days."
    ),
]
Most = Annotated[int, typer.Option("--past", min=1, max=366, help="Earlier lists to judge.")]
_SHOWN = 5


def report(
    ctx: typer.Context, date: Date = None, html: Page = None, days: Days = None, past: Most = 7
) -> None:
    """Tell how the lists of a day came out, and how earlier ones did by what users then took.

    Example: recsys report 2026-07-01 --html report.html
    """
    session = session_of(ctx)
    day = parse_day(readable(date, "recsys report"), "DATE") if date is not None else None
    workspace = open_workspace(session)
    if html is not None:
        refuse_target(workspace, html, "--html")
    from recsys_cli.pipelines.monitoring.past_performance import Window
    from recsys_cli.pipelines.report import report as tell

    with shown_work(session.terminal, "Reporting"):
        found = tell(workspace, day, Window(days or workspace.settings.evaluation.days, past))
    hide = session.terminal.secrets.hide_in
    told = replace(found, unfinished=hide(found.unfinished), cards_problem=hide(found.cards_problem))
    if html is not None:
        from recsys_cli.cli.display.report_html import write_page

        write_page(told.as_json(), html)
        session.terminal.say(f"the report of {told.day} → {html}")
    if session.options.as_json:
        session.terminal.show_json(told.as_json())
    elif html is None:
        _show(session.terminal, told)


def _show(terminal: Terminal, told: "Report") -> None:
    terminal.show_table(f"The lists of {told.day}", ("what", "figure"), _facts(told))
    gates = [(gate["setting"], in_digits(gate["figure"]), in_digits(gate["bound"])) for gate in told.gates]
    if gates:
        terminal.show_table("Publish gates, all held", ("setting", "figure", "bound"), gates)
    if told.unfinished:
        runs = [
            (run["run_id"], run["date"], run["status"], _first_line(run)) for run in told.unfinished[:_SHOWN]
        ]
        columns = ("run", "for", "status", "error")
        terminal.show_table("Runs since that published nothing", columns, runs)
    items = [(named(row), f"{row['lists']:,}") for row in told.top_items[:_SHOWN]]
    terminal.show_table("Most frequent items", ("item", "lists"), items)
    _show_drift(terminal, told)
    _show_cards(terminal, told)
    terminal.say(f"next: recsys report {told.day} --html report.html, or --json for all of it")


def _facts(told: "Report") -> list[tuple[str, str]]:
    lists, run = told.lists, told.run
    facts = [
        ("model", str(lists["model_version"])),
        ("users", _users(lists)),
        ("lists that are short, empty", f"{lists['short_lists']:,}, {lists['empty_lists']:,}"),
        (
            "distinct items",
            f"{lists['items']:,} of {lists['eligible_items']:,} ({lists['catalogue_coverage']:.1%})",
        ),
        ("rows of popularity alone", f"{lists['fallback_rows']:,} of {lists['rows']:,}"),
        ("scores", _spread(told.scores["quantiles"])),
    ]
    if run is None:
        return [*facts, ("run", "its record is gone")]
    slowest = sorted(run["stages"], key=lambda stage: -stage["seconds"])[:2]
    stages = ", ".join(f"{stage['name']} {stage['seconds']:.1f} s" for stage in slowest)
    memory = f", {run['peak_bytes'] / 1e9:.2f} GB" if run["peak_bytes"] else ""
    return [*facts, ("run", run["run_id"]), ("took", f"{run['seconds']:.0f} s{memory}; {stages}")]


def _users(lists: Mapping[str, Any]) -> str:
    some = "" if lists["all_users"] else ", chosen by --users"
    return f"{lists['users']:,}: {lists['warm_users']:,} warm, {lists['cold_users']:,} cold{some}"


def _spread(quantiles: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in quantiles.items() if value is not None)


def _show_drift(terminal: Terminal, told: "Report") -> None:
    if told.drift:
        rows = [
            (row["table"], row["name"], f"{row['psi']:.3f}", _figure(row["before"]), _figure(row["now"]))
            for row in told.drift[:_SHOWN]
        ]
        title = f"Drift since the lists of {told.drift_against}: the largest of {len(told.drift)} columns"
        terminal.show_table(title, ("table", "column", "psi", "before", "now"), rows)
    if told.drift_problem:
        terminal.show_line(f"Drift of features: {told.drift_problem}.")


def _show_cards(terminal: Terminal, told: "Report") -> None:
    if told.cards_problem:
        terminal.show_line(f"Report card of earlier lists: {told.cards_problem}.")
        return
    k = told.cards[0]["k"]
    rows = [
        (
            card["date"],
            _covered(card),
            f"{card['users']:,}",
            _interval(card["measures"][f"NDCG@{card['k']}"]),
            *_rival(card),
        )
        for card in told.cards
    ]
    columns = ("lists of", "days", "users", f"NDCG@{k}", "popularity", "difference")
    terminal.show_table("How lists did: mean (95 % interval)", columns, rows)


def _covered(card: Mapping[str, Any]) -> str:
    return (
        str(card["days"])
        if card["covered_days"] == card["days"]
        else f"{card['covered_days']} of {card['days']}"
    )


def _interval(told: Mapping[str, float]) -> str:
    return f"{told['mean']:.4f} ({told['low']:.4f} to {told['high']:.4f})"


def _rival(card: Mapping[str, Any]) -> tuple[str, str]:
    if card["popularity"] is None:
        return "none", ""
    measure = f"NDCG@{card['k']}"
    return f"{card['popularity'][measure]:.4f}", _interval(card["difference"])


def _first_line(run: Mapping[str, Any]) -> str:
    return (run["error"] or "").partition("\n")[0]


def _figure(value: float | None) -> str:
    return "none" if value is None else f"{value:,.4g}"

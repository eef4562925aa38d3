"""`recsys diff`: what differs between two publications."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys_cli.cli.display.phrases import named
from recsys_cli.cli.display.safe_text import readable
from recsys_cli.cli.display.stage_display import shown_work
from recsys_cli.cli.display.terminal import Terminal
from recsys_cli.cli.recorded_run import open_workspace
from recsys_cli.cli.session import session_of

if TYPE_CHECKING:
    from recsys_cli.pipelines.diff import Difference

Publication = Annotated[str, typer.Argument(metavar="DATE|RUN|PATH", help="A publication.")]
_SHOWN = 5
_WORDS = {
    "date": "another date",
    "all_users": "all users, or those of --users",
    "model_version": "another model",
    "features_content_hash": "other features: inputs, their settings or the date",
    "index": "another index",
    "shortlist": "another shortlist",
    "top_k": "lists of another length",
}


def diff(ctx: typer.Context, a: Publication, b: Publication) -> None:
    """Tell how the lists of two publications differ, and why.

    Example: recsys diff 2026-06-30 2026-07-01
    """
    session = session_of(ctx)
    workspace = open_workspace(session)
    from recsys_cli.pipelines.diff import diff as compare

    with shown_work(session.terminal, "Comparing"):
        told = compare(workspace, readable(a, "recsys diff"), readable(b, "recsys diff"))
    if session.options.as_json:
        plain = asdict(told) | {"a": str(told.a), "b": str(told.b)}
        session.terminal.show_json({"schema_version": 1, **plain})
    elif told.is_empty:
        session.terminal.show_line(
            f"No list differs: {told.users:,} users have the same items in the same order."
        )
    else:
        _show(session.terminal, told)


def _show(terminal: Terminal, told: "Difference") -> None:
    rows = [
        ("users with a list in both", f"{told.users:,}", f"{told.unchanged:,} of them with the same list"),
        ("users in A alone, in B alone", f"{told.only_a:,}, {told.only_b:,}", ""),
        _shares("overlap of items", told.overlap),
        _shares("rank-biased overlap", told.rbo),
        ("distinct items", f"{told.coverage['a']:,}, {told.coverage['b']:,}", "of A, of B"),
    ]
    terminal.show_line(f"A: {told.a}")
    terminal.show_line(f"B: {told.b}")
    terminal.show_table("Lists", ("what", "mean or number", "distribution"), rows)
    for title, items in (("Items that won most", told.won), ("Items that lost most", told.lost)):
        if items:
            counts = [(named(row), f"{row['a']:,}", f"{row['b']:,}") for row in items[:_SHOWN]]
            terminal.show_table(title, ("item", "lists of A", "of B"), counts)
    if told.most_changed:
        users = [
            (str(row["user_id"]), f"{row['overlap']:.2f}", f"{row['rbo']:.2f}") for row in told.most_changed
        ]
        terminal.show_table("Users that changed most", ("user", "overlap", "rbo"), users[:_SHOWN])
    _show_causes(terminal, told)


def _show_causes(terminal: Terminal, told: "Difference") -> None:
    rows = [(_WORDS[name], _short(a), _short(b)) for name, (a, b) in told.causes.items()]
    rows += [(key, _short(a), _short(b)) for key, (a, b) in told.settings.items()]
    if rows:
        terminal.show_table("Causes, as the runs recorded them", ("what", "A", "B"), rows)
    else:
        terminal.show_line("Causes: the files and their runs tell of none.")
    for file in told.without_settings:
        terminal.show_line(f"No record of its run is there, so that settings are not compared: {file}")


def _shares(name: str, told: dict[str, float | None]) -> tuple[str, str, str]:
    shares = {key: value for key, value in told.items() if value is not None}
    spread = ", ".join(f"{key} {value:.2f}" for key, value in shares.items() if key != "mean")
    return name, f"{shares['mean']:.3f}" if shares else "none", spread


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:23]}…"

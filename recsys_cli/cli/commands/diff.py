"""`recsys diff`: what differs between two publications."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys_cli.cli.display.phrases import item_label
from recsys_cli.cli.display.safe_text import readable
from recsys_cli.cli.display.stage_display import shown_work
from recsys_cli.cli.display.terminal import Terminal
from recsys_cli.cli.recorded_run import open_workspace
from recsys_cli.cli.session import session_of

if TYPE_CHECKING:
    from recsys_cli.pipelines.diff import Difference
    from recsys_cli.pipelines.publication.rule_changes import ChangedRule

Publication = Annotated[str, typer.Argument(metavar="DATE|RUN|PATH", help="A publication.")]
_SHOWN = 5
_CAUSES = {
    "date": "another date",
    "all_users": "all users, or those of --users",
    "model_version": "another model",
    "features_content_hash": "other features: inputs, their settings or the date",
    "index": "another index",
    "shortlist": "another shortlist",
    "top_k": "lists of another length",
    "rules": "other rules, or others of them hold; or other campaigns, variety or exploration",
    "shown": "other earlier lists that cooldowns looked at",
}


def diff(ctx: typer.Context, a: Publication, b: Publication) -> None:
    """Show how the lists of two publications differ, and why.

    Example: recsys diff 2026-06-30 2026-07-01
    """
    session = session_of(ctx)
    workspace = open_workspace(session)
    from recsys_cli.pipelines.diff import diff as compare

    with shown_work(session.terminal, "Comparing"):
        found = compare(workspace, readable(a, "recsys diff"), readable(b, "recsys diff"))
    if session.options.as_json:
        plain = asdict(found) | {"a": str(found.a), "b": str(found.b)}
        session.terminal.show_json({"schema_version": 1, **plain})
    elif found.is_empty:
        session.terminal.show_line(
            f"No list differs: {found.users:,} users have the same items in the same order."
        )
    else:
        _show(session.terminal, found)


def _show(terminal: Terminal, found: "Difference") -> None:
    rows = [
        ("users with a list in both", f"{found.users:,}", f"{found.unchanged:,} of them with the same list"),
        ("users only in A, only in B", f"{found.only_a:,}, {found.only_b:,}", ""),
        _shares("overlap of items", found.overlap),
        _shares("rank-biased overlap", found.rbo),
        ("distinct items", f"{found.coverage['a']:,}, {found.coverage['b']:,}", "of A, of B"),
    ]
    terminal.show_line(f"A: {found.a}")
    terminal.show_line(f"B: {found.b}")
    terminal.show_table("Lists", ("what", "mean or number", "distribution"), rows)
    for title, items in (("Items that won most", found.won), ("Items that lost most", found.lost)):
        if items:
            counts = [
                (item_label(one.item_id, one.title), f"{one.a:,}", f"{one.b:,}") for one in items[:_SHOWN]
            ]
            terminal.show_table(title, ("item", "lists of A", "of B"), counts)
    if found.most_changed:
        users = [(str(one.user_id), f"{one.overlap:.2f}", f"{one.rbo:.2f}") for one in found.most_changed]
        terminal.show_table("Users that changed most", ("user", "overlap", "rbo"), users[:_SHOWN])
    _show_causes(terminal, found)


def _show_causes(terminal: Terminal, found: "Difference") -> None:
    rows = [(_CAUSES[name], *map(_short, map(_files, pair))) for name, pair in found.causes.items()]
    rows += [(key, _short(a), _short(b)) for key, (a, b) in found.settings.items()]
    rows += [row for rule in found.rules for row in _rule_rows(rule)]
    if rows:
        terminal.show_table("Causes, as the runs recorded them", ("what", "A", "B"), rows)
    else:
        terminal.show_line("Causes: the files and their runs show none.")
    for file in found.without_settings:
        terminal.show_line(f"Settings are not compared, because the run of this file has no record: {file}")


def _shares(name: str, found: dict[str, float | None]) -> tuple[str, str, str]:
    shares = {key: value for key, value in found.items() if value is not None}
    spread = ", ".join(f"{key} {value:.2f}" for key, value in shares.items() if key != "mean")
    return name, f"{shares['mean']:.3f}" if shares else "none", spread


def _rule_rows(rule: "ChangedRule") -> list[tuple[str, str, str]]:
    """Return a row a value that differs; one alone for a rule that one of the runs has."""
    what = f"rule {rule.name!r}, {rule.change}"
    if rule.is_new_or_gone:
        from recsys_cli.configs.rule_sections import ACTIONS

        action = next((key for key in rule.values if key in ACTIONS), "")
        a, b = ("none" if value is None else action for value in rule.values.get(action, (None, None)))
        return [(what, a, b)]
    return [(f"{what}: {key}", _short(a), _short(b)) for key, (a, b) in rule.values.items()]


def _files(value: Any) -> Any:
    """Return files by date as text, and any other value as it is."""
    if not isinstance(value, dict):
        return value
    return ", ".join(f"{day} {sha256[:6]}" for day, sha256 in value.items()) or None


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 24 else f"{text[:23]}…"

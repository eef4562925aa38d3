"""`recsys explain`: why a list looks as it does."""

from collections.abc import Mapping
from datetime import date as Date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys_cli.cli.display.item_explanation import show_item
from recsys_cli.cli.display.phrases import explain_command, in_words, named, short
from recsys_cli.cli.display.safe_text import readable
from recsys_cli.cli.display.terminal import Entry, Terminal
from recsys_cli.cli.recorded_run import open_workspace
from recsys_cli.cli.session import Session, session_of
from recsys_cli.cli.shared_options import chosen_day
from recsys_cli.utils.dates import parse_day

if TYPE_CHECKING:
    from recsys_cli.pipelines.explain import Explanation
    from recsys_cli.pipelines.workspace.layout import Workspace

UserId = Annotated[
    str | None,
    typer.Argument(
        metavar="USER_ID", help="The id, as the tables have it. Default: an example of the published run."
    ),
]
PublishedDate = Annotated[
    str | None,
    typer.Option(
        "--date", metavar="YYYY-MM-DD", help="The list's day. Default: the last published, else today."
    ),
]
Item = Annotated[
    str | None,
    typer.Option("--item", metavar="ITEM_ID", help="Tell why this item is in the list, or why not."),
]
_REASONS = 3
_NEXT = 5
_SOURCES = 4


def explain(
    ctx: typer.Context, user_id: UserId = None, date: PublishedDate = None, item: Item = None
) -> None:
    """Tell why a user's list looks as it does.

    Example: recsys explain 1234 --date 2026-07-01 --item 42
    """
    session = session_of(ctx)
    asked_day = parse_day(date) if date is not None else None
    workspace = open_workspace(session)
    from recsys_cli.pipelines.explain import explain_user
    from recsys_cli.pipelines.publication.lookup import example_user

    day = asked_day or _default_day(session, workspace)
    asked = example_user(workspace, day) if user_id is None else readable(user_id, "recsys explain")
    explanation = explain_user(workspace, asked, day, None if item is None else readable(item, "--item"))
    if session.options.as_json:
        told = dict(vars(explanation))
        told["date"] = str(told.pop("day"))
        session.terminal.show_json({"schema_version": 2, **told})
    elif explanation.item is not None:
        show_item(session.terminal, explanation)
    else:
        _show(session.terminal, explanation)


def _default_day(session: Session, workspace: "Workspace") -> Date:
    from recsys_cli.pipelines.publication.lookup import last_published_day

    return last_published_day(workspace) or chosen_day(session, None)


def _show(terminal: Terminal, told: "Explanation") -> None:
    for difference in told.differences:
        terminal.warn(difference)
    kind = "warm" if told.user["warm"] else "cold"
    features = [(name, short(value)) for name, value in told.user["features"].items() if value is not None]
    terminal.show_table(f"User {told.user_id} on {told.day}: {kind}", ("feature", "value"), features)
    if told.events:
        latest = [(event["last_day"], named(event), str(event["events"])) for event in told.events]
        terminal.show_table("Latest items", ("last day", "item", "events"), latest)
    _show_candidates(terminal, told)
    if not told.candidates:
        terminal.show_line(_no_list(told))
        return
    _show_list(terminal, told)
    last = told.candidates[min(len(told.recommendations), len(told.candidates) - 1)]
    again = explain_command(told.user_id, told.day, last["item_id"])
    terminal.say(f"next: {again}, or --json for all candidates")


def _no_list(told: "Explanation") -> str:
    """Say why there is not one candidate."""
    warm, nobody = told.user["warm"], f"no source of model {told.model_version} proposes an item"
    lacking = "that is new to the user and may be recommended" if warm else "to a user without events"
    return f"User {told.user_id} has no list: {nobody} {lacking}."


def _show_candidates(terminal: Terminal, told: "Explanation") -> None:
    rows = [
        (name, counts["proposed"], counts["wanted"], counts["recommended"])
        for name, counts in told.sources.items()
    ]
    names = ("source", "proposed", "of at most", "in the list")
    terminal.show_table(f"Sources: {len(told.candidates)} candidates together", names, rows)
    viewed, unavailable, excluded = told.left_out.values()
    terminal.show_line(
        f"Left out before: {viewed:,} items that the user has had, {unavailable:,} not available on "
        f"{told.day}, {excluded:,} excluded by scoring.exclude."
    )


def _show_list(terminal: Terminal, told: "Explanation") -> None:
    proposed = {row["rank"]: row["sources"] for row in told.candidates}
    entries = [
        Entry(
            str(row["rank"]),
            named(row),
            f"{row['score']:.4f}",
            (_ranks(proposed[row["rank"]]), *_reasons(row)),
        )
        for row in told.recommendations
    ]
    run = f"run {told.run_id}" if told.run_id else "not published"
    if told.run_id and not told.differences:
        run += ", as in its file"
    terminal.show_entries(f"Recommendations of model {told.model_version}, {run}", entries)
    others = told.candidates[len(told.recommendations) :][:_NEXT]
    if others:
        after = [Entry(str(row["rank"]), named(row), _score(row), ()) for row in others]
        terminal.show_entries("Behind them", after)


def _score(row: Mapping[str, Any]) -> str:
    return "not shortlisted" if row["score"] is None else f"{row['score']:.4f}"


def _reasons(row: Mapping[str, Any]) -> list[str]:
    """Return what lifts an item most above the others of the list and those behind it."""
    strongest = sorted(row["against"].items(), key=lambda pair: -pair[1])[:_REASONS]
    return [f"+{value:.2f} {in_words(name, row['features'][name])}" for name, value in strongest if value > 0]


def _ranks(sources: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the sources that proposed an item, those that rank it best first; some of them."""
    ranks = sorted((told["rank"], name) for name, told in sources.items() if told["rank"] is not None)
    best = ", ".join(f"{name} {rank}" for rank, name in ranks[:_SOURCES])
    more = f", {len(ranks) - _SOURCES} more" if len(ranks) > _SOURCES else ""
    return f"proposed by {best}{more}"

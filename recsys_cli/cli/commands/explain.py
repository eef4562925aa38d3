"""`recsys explain`: why a list looks as it does."""

from collections.abc import Mapping
from datetime import date as Date
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_cli.cli.display.item_explanation import reason_of_place, show_item
from recsys_cli.cli.display.phrases import explain_command, in_words, item_label, short
from recsys_cli.cli.display.safe_text import readable
from recsys_cli.cli.display.terminal import Entry, Terminal
from recsys_cli.cli.recorded_run import open_workspace
from recsys_cli.cli.session import Session, session_of
from recsys_cli.cli.shared_options import chosen_day
from recsys_cli.utils.dates import parse_day

if TYPE_CHECKING:
    from recsys_cli.pipelines.explain import (
        Candidate,
        EarlierItem,
        Explanation,
        LatestItem,
        RecommendedItem,
        SourceRank,
    )
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
    typer.Option("--item", metavar="ITEM_ID", help="Explain why this item is in the list, or why not."),
]
_REASONS = 3
_NEXT = 5
_SOURCES = 4


def explain(
    ctx: typer.Context, user_id: UserId = None, date: PublishedDate = None, item: Item = None
) -> None:
    """Explain why a user's list looks as it does.

    Example: recsys explain 1234 --date 2026-07-01 --item 42
    """
    session = session_of(ctx)
    asked_day = parse_day(date) if date is not None else None
    workspace = open_workspace(session)
    from recsys_cli.pipelines.explain import explain_user
    from recsys_cli.pipelines.publication.lookup import example_user
    from recsys_cli.pipelines.workspace.scoring_day import ScoringDay

    day = asked_day or _default_day(session, workspace)
    asked = (
        example_user(ScoringDay(workspace, day)) if user_id is None else readable(user_id, "recsys explain")
    )
    explanation = explain_user(workspace, asked, day, None if item is None else readable(item, "--item"))
    if session.options.as_json:
        session.terminal.show_json(explanation.as_json())
    elif explanation.item is not None:
        show_item(session.terminal, explanation)
    else:
        _show(session.terminal, explanation)


def _default_day(session: Session, workspace: "Workspace") -> Date:
    from recsys_cli.pipelines.publication.lookup import last_published_day

    return last_published_day(workspace) or chosen_day(session, None)


def _show(terminal: Terminal, explanation: "Explanation") -> None:
    for difference in explanation.differences:
        terminal.warn(difference)
    kind = "warm" if explanation.user.warm else "cold"
    features = [
        (name, short(value)) for name, value in explanation.user.features.items() if value is not None
    ]
    terminal.show_table(
        f"User {explanation.user_id} on {explanation.day}: {kind}", ("feature", "value"), features
    )
    if explanation.events:
        latest = [
            (one.last_day, item_label(one.item_id, one.title), _events(one)) for one in explanation.events
        ]
        terminal.show_table("Latest items", ("last day", "item", "events"), latest)
    _show_candidates(terminal, explanation)
    if not explanation.candidates:
        terminal.show_line(_no_list(explanation))
        return
    _show_list(terminal, explanation)
    listed = {one.item_id for one in explanation.recommendations}
    last = next(
        (one for one in explanation.candidates if one.item_id not in listed), explanation.candidates[-1]
    )
    again = explain_command(explanation.user_id, explanation.day, last.item_id)
    terminal.say(f"next: {again}, or --json for all candidates")


def _events(item: "LatestItem") -> str:
    """Return how often the user had an item, by type where events have several."""
    return ", ".join(f"{name} {count}" for name, count in item.types.items()) or str(item.events)


def _no_list(explanation: "Explanation") -> str:
    """Say why the user has no candidate."""
    warm, nobody = explanation.user.warm, f"no source of model {explanation.model_version} proposes an item"
    lacking = "that is new to the user and may be recommended" if warm else "to a user without events"
    return f"User {explanation.user_id} has no list: {nobody} {lacking}."


def _show_candidates(terminal: Terminal, explanation: "Explanation") -> None:
    rows = [
        (name, counts.proposed, counts.wanted, counts.recommended)
        for name, counts in explanation.sources.items()
    ]
    names = ("source", "proposed", "of at most", "in the list")
    terminal.show_table(f"Sources: {len(explanation.candidates)} candidates together", names, rows)
    viewed, unlisted, unavailable, excluded = explanation.left_out.values()
    missing = f"{unlisted:,} not listed in the items table, " if unlisted else ""
    terminal.show_line(
        f"Left out before: {viewed:,} items that the user has had, {missing}{unavailable:,} not available on "
        f"{explanation.day}, {excluded:,} excluded by scoring.exclude."
    )


def _show_list(terminal: Terminal, explanation: "Explanation") -> None:
    proposed = {one.item_id: one.sources for one in explanation.candidates}
    entries = [
        Entry(
            str(one.rank),
            item_label(one.item_id, one.title),
            f"{one.score:.4f}",
            (_ranks(proposed[one.item_id]), *_why_here(one), *_reasons(one)),
        )
        for one in explanation.recommendations
    ]
    listed = {one.item_id for one in explanation.recommendations}
    run = f"run {explanation.run_id}" if explanation.run_id else "not published"
    if explanation.run_id and not explanation.differences:
        run += ", as in its file"
    terminal.show_entries(f"Recommendations of model {explanation.model_version}, {run}", entries)
    others = [one for one in explanation.candidates if one.item_id not in listed and not one.removed_by]
    if others:
        after = [
            Entry(str(one.rank), item_label(one.item_id, one.title), _score(one), ())
            for one in others[:_NEXT]
        ]
        terminal.show_entries("Behind them", after)
    _show_before(terminal, explanation)


def _why_here(item: "RecommendedItem") -> list[str]:
    if item.placed_by == "score":
        return []
    return [reason_of_place(item.placed_by, item.rule, item.propensity)]


def _show_before(terminal: Terminal, explanation: "Explanation") -> None:
    """Show the list that the ranker alone would give, where rules made another of it."""
    if all(one.now == one.rank for one in explanation.before):
        return
    rows = [
        (one.rank, item_label(one.item_id, one.title), f"{one.score:.4f}", _now(one))
        for one in explanation.before
    ]
    terminal.show_table("Before the rules", ("rank", "item", "score", "now"), rows)


def _now(item: "EarlierItem") -> str:
    if item.now is not None:
        return f"rank {item.now}"
    return f"left out by {item.rule!r}" if item.rule else "left out"


def _score(candidate: "Candidate") -> str:
    return "not shortlisted" if candidate.score is None else f"{candidate.score:.4f}"


def _reasons(item: "RecommendedItem") -> list[str]:
    """Return what lifts an item most above the others of the list and those behind it."""
    strongest = sorted(item.against.items(), key=lambda pair: -pair[1])[:_REASONS]
    return [f"+{value:.2f} {in_words(name, item.features[name])}" for name, value in strongest if value > 0]


def _ranks(sources: Mapping[str, "SourceRank"]) -> str:
    """Return the sources that proposed an item, those that rank it best first; some of them."""
    ranks = sorted((one.rank, name) for name, one in sources.items() if one.rank is not None)
    best = ", ".join(f"{name} {rank}" for rank, name in ranks[:_SOURCES])
    more = f", {len(ranks) - _SOURCES} more" if len(ranks) > _SOURCES else ""
    return f"proposed by {best}{more}"

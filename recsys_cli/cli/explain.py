"""`recsys explain`: why a list looks as it does."""

from dataclasses import asdict
from datetime import date as Date
from typing import TYPE_CHECKING, Annotated, Any

import typer

from recsys_cli.cli.arguments import chosen_day, readable
from recsys_cli.cli.running import open_workspace
from recsys_cli.cli.session import Session, session_of
from recsys_cli.cli.terminal import Terminal
from recsys_cli.utils.dates import parse_day

if TYPE_CHECKING:
    from recsys_cli.pipelines.explain import Explanation
    from recsys_cli.pipelines.workspace import Workspace

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
_REASONS = 3
_OTHER_CANDIDATES = 5
_SOURCES = 3


def explain(ctx: typer.Context, user_id: UserId = None, date: PublishedDate = None) -> None:
    """Tell why a user's list looks as it does."""
    session = session_of(ctx)
    named = parse_day(date) if date is not None else None
    workspace = open_workspace(session)
    from recsys_cli.pipelines.explain import example_user, explain_user

    day = named or _default_day(session, workspace)
    asked = example_user(workspace, day) if user_id is None else readable(user_id, "recsys explain")
    explanation = explain_user(workspace, asked, day)
    if session.options.as_json:
        told = asdict(explanation)
        told["date"] = str(told.pop("day"))
        session.terminal.show_json({"schema_version": 1, **told})
        return
    _show(session.terminal, explanation)


def _default_day(session: Session, workspace: "Workspace") -> Date:
    from recsys_cli.pipelines.explain import last_published

    return last_published(workspace) or chosen_day(session, None)


def _show(terminal: Terminal, told: "Explanation") -> None:
    if told.changed:
        terminal.warn("the inputs have changed since the run was published: the list is as they are now")
    kind = "warm" if told.user["warm"] else "cold"
    features = [(name, _short(value)) for name, value in told.user["features"].items() if value is not None]
    terminal.show_table(f"User {told.user_id} on {told.day}: {kind}", ("feature", "value"), features)
    if told.events:
        latest = [(event["last_day"], _name(event), str(event["events"])) for event in told.events]
        terminal.show_table("Latest items", ("last day", "item", "events"), latest)
    if not told.candidates:
        terminal.show_line(_no_list(told))
        return
    _show_list(terminal, told)
    _show_candidates(terminal, told)
    terminal.say(f"next: recsys explain {told.user_id} --date {told.day} --json")


def _no_list(told: "Explanation") -> str:
    """Say why there is not one candidate."""
    warm, nobody = told.user["warm"], f"no source of model {told.model_version} proposes an item"
    lacking = "that is new to the user and may be recommended" if warm else "to a user without events"
    return f"User {told.user_id} has no list: {nobody} {lacking}."


def _show_list(terminal: Terminal, told: "Explanation") -> None:
    run = told.run_id or "not published"
    columns = ("rank", "item", "score", "source: rank", "strongest reasons")
    proposed = {row["rank"]: row["sources"] for row in told.candidates}
    rows = [
        (str(row["rank"]), _name(row), f"{row['score']:.4f}", _ranks(proposed[row["rank"]]), _reasons(row))
        for row in told.recommendations
    ]
    terminal.show_table(f"Recommendations (model {told.model_version}, run {run})", columns, rows)


def _show_candidates(terminal: Terminal, told: "Explanation") -> None:
    others = told.candidates[len(told.recommendations) :][:_OTHER_CANDIDATES]
    rows = [
        (str(row["rank"]), _name(row), _score(row), _ranks(row["sources"]))
        for row in [*told.candidates[: len(told.recommendations)], *others]
    ]
    title = f"Candidates: the first {len(rows)} of {len(told.candidates)} (--json: all, with contributions)"
    terminal.show_table(title, ("rank", "item", "score", "source: rank"), rows)


def _score(row: dict[str, Any]) -> str:
    return "not shortlisted" if row["score"] is None else f"{row['score']:.4f}"


def _reasons(row: dict[str, Any]) -> str:
    strongest = sorted(row["contributions"].items(), key=lambda pair: -abs(pair[1]))[:_REASONS]
    return "; ".join(f"{name} {_short(row['features'][name])} ({value:+.2f})" for name, value in strongest)


def _ranks(sources: dict[str, dict[str, Any]]) -> str:
    """Return the sources that proposed an item, those that rank it best first; some of them."""
    ranks = sorted((told["rank"], name) for name, told in sources.items() if told["rank"] is not None)
    best = ", ".join(f"{name}: {rank}" for rank, name in ranks[:_SOURCES])
    return f"{best}, +{len(ranks) - _SOURCES}" if len(ranks) > _SOURCES else best


def _name(row: dict[str, Any]) -> str:
    return f"{row['title']} [{row['item_id']}]" if row["title"] is not None else str(row["item_id"])


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

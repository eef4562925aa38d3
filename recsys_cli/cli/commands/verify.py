"""`recsys verify`: check that published recommendations are complete and unchanged."""

from typing import TYPE_CHECKING, Annotated

import typer

from recsys_cli.cli.display.safe_text import readable
from recsys_cli.cli.display.stage_display import shown_work
from recsys_cli.cli.recorded_run import open_workspace
from recsys_cli.cli.session import session_of
from recsys_cli.utils.errors import CheckFailedError

if TYPE_CHECKING:
    from recsys_cli.pipelines.verify import Verification
    from recsys_cli.pipelines.workspace.layout import Workspace

What = Annotated[
    str | None,
    typer.Argument(metavar="[DATE|RUN|PATH]", help="Default: the last published date.", show_default=False),
]
Repair = Annotated[
    bool, typer.Option("--repair", help="Rebuild a lost or damaged manifest of an intact file.")
]


def verify(ctx: typer.Context, what: What = None, repair: Repair = False) -> None:
    """Hash and read published recommendations again and check all that they promise.

    Example: recsys verify 2026-07-01
    """
    session = session_of(ctx)
    workspace = open_workspace(session)
    from recsys_cli.pipelines import verify as pipeline
    from recsys_cli.pipelines.publication.lookup import published_file

    file = published_file(workspace, None if what is None else readable(what, "recsys verify"))
    published = workspace.published
    if published.folder in file.parents:
        published.reread(file.parent.name)
    with shown_work(session.terminal, "Verifying"):
        found = pipeline.verify(file)
    if repair:
        found = pipeline.repair(workspace, found)
    if session.options.as_json:
        session.terminal.show_json(found.as_json())
    wrong = [*found.problems, *found.sidecars]
    if wrong:
        raise CheckFailedError(
            f"the recommendations are not what was published: {'; '.join(wrong)}",
            where=str(file),
            fix=_fix(found, workspace),
        )
    if not session.options.as_json and found.facts is not None:
        facts = found.facts
        session.terminal.say(
            f"verified: {facts.users - facts.empty_lists:,} lists, {facts.rows:,} rows of {facts.day}, model "
            f"{facts.model_version}, sha256 {str(found.sha256)[:16]}…"
        )


def _fix(found: "Verification", workspace: "Workspace") -> str:
    if not found.problems:
        return "run `recsys verify --repair`"
    is_published = workspace.published.folder.resolve() in found.file.resolve().parents
    return "run `recsys score --force`" if is_published else "name a file that `recsys score` has written"

"""Arguments that several commands take."""

import os
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_cli.cli.display.safe_text import readable
from recsys_cli.cli.session import Session
from recsys_cli.utils.dates import parse_day
from recsys_cli.utils.errors import UsageError
from recsys_cli.utils.storage.uris import COPIES

if TYPE_CHECKING:
    from recsys_cli.pipelines.workspace.layout import Workspace

ScoringDate = Annotated[
    str | None,
    typer.Option(
        "--date", metavar="YYYY-MM-DD", help="Scoring day: only events before it count. Default: today."
    ),
]

AcceptInputs = Annotated[
    bool,
    typer.Option(
        "--accept-inputs",
        help="Let this run use inputs that are too old or too different from those of the last runs.",
    ),
]


def chosen_day(session: Session, text: str | None) -> date:
    """Return the day of `--date`; without it, show and return today in the workspace's time zone."""
    if text is not None:
        return parse_day(text)
    settings = session.loaded.settings
    today = settings.today()
    session.terminal.say(f"date: {today} (today in {settings.timezone})")
    return today


def refuse_target(workspace: "Workspace", path: Path, where: str) -> None:
    """Refuse to write a result where it would replace what is no file, or is one of the workspace's own.

    Raises: UsageError.
    """
    readable(str(path), where)
    results = workspace.published, workspace.models, workspace.partitions
    own = (workspace.runs, workspace.root / COPIES, *(one.folder for one in results))
    above = Path(os.path.realpath(path)).parents  # unlike Path.resolve, it takes a link to itself
    inside = any(folder.resolve() in above for folder in own)
    if not path.name or inside or (path.exists() and not path.is_file()):
        raise UsageError(
            f"{str(path)!a} is no place for a file of yours",
            where=where,
            fix="name a file outside the folders of models, runs, features and recommendations",
        )

"""`recsys train`: a new model version."""

from typing import Annotated

import typer

from recsys_cli.cli.arguments import ScoringDate, chosen_day
from recsys_cli.cli.running import running, stage_rows
from recsys_cli.cli.session import session_of

Promote = Annotated[
    bool, typer.Option("--promote/--no-promote", help="Let the new version score from now on.")
]


def train(ctx: typer.Context, date: ScoringDate = None, promote: Promote = True) -> None:
    """Train both stages on everything before the date: a new model version."""
    session = session_of(ctx)
    terminal = session.terminal
    day = chosen_day(session, date)
    with running(session, "train") as under_way:
        from recsys_cli.pipelines.train import train_model

        with terminal.progress(f"Training on events before {day}", "steps") as progress:
            report = train_model(under_way.workspace, day, under_way.run, promoted=promote, progress=progress)
        under_way.facts.update(model_version=report.version, date=str(day))
    if session.options.as_json:
        told = {**report.manifest, "promoted": report.promoted, "path": str(report.folder)}
        terminal.show_json(terminal.secrets.hide_in(told))
        return
    if session.options.quiet:
        return
    windows = [(str(w.cut), f"{w.users:,}", f"{w.rows:,}", f"{w.positives:,}") for w in report.windows]
    terminal.show_table("Label windows", ("from", "users", "rows", "positives"), windows)
    terminal.show_table("Stages", ("stage", "seconds", "peak so far"), stage_rows(under_way))
    terminal.say(f"model {report.version} → {report.folder}{' (promoted)' if report.promoted else ''}")
    terminal.say(f"next: recsys score --date {day}")

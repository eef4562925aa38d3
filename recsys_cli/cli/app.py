"""The program `recsys`: its commands, its global options and its exit code."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from recsys_cli.cli.commands.backfill import backfill
from recsys_cli.cli.commands.batch import batch
from recsys_cli.cli.commands.check import check
from recsys_cli.cli.commands.config import show_config
from recsys_cli.cli.commands.diff import diff
from recsys_cli.cli.commands.doctor import doctor
from recsys_cli.cli.commands.evaluate import evaluate
from recsys_cli.cli.commands.explain import explain
from recsys_cli.cli.commands.features import features
from recsys_cli.cli.commands.guide import guide
from recsys_cli.cli.commands.init import init
from recsys_cli.cli.commands.models import models
from recsys_cli.cli.commands.report import report
from recsys_cli.cli.commands.runs import runs
from recsys_cli.cli.commands.score import score
from recsys_cli.cli.commands.train import train
from recsys_cli.cli.commands.tune import tune
from recsys_cli.cli.commands.verify import verify
from recsys_cli.cli.display.logs import log_to_terminal
from recsys_cli.cli.exit_status import Outcome
from recsys_cli.cli.global_options import (
    AsJson,
    Directory,
    Environment,
    GlobalOptions,
    HoistingGroup,
    Overrides,
    Quiet,
    Verbose,
)
from recsys_cli.cli.session import Session, session_of
from recsys_cli.utils.thread_variables import check_thread_variables

app = typer.Typer(
    name="recsys",
    cls=HoistingGroup,
    help="Nightly batch recommendations: candidates, features, reranking, one file.",
    epilog="The options above may stand before or after the command.",
    pretty_exceptions_enable=False,
)
app.command("init")(init)
app.command("check")(check)
app.command("features")(features)
app.command("train")(train)
app.command("score")(score)
app.command("batch")(batch)
app.command("verify")(verify)
app.command("explain")(explain)
app.command("diff")(diff)
app.command("report")(report)
app.command("backfill")(backfill)
app.command("evaluate")(evaluate)
app.command("tune")(tune)
app.add_typer(models, name="models")
app.add_typer(runs, name="runs")
app.command("config")(show_config)
app.command("doctor")(doctor)
app.command("guide")(guide)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"recsys {version('recsys-cli')}")
        raise typer.Exit


@app.callback()
def begin(
    ctx: typer.Context,
    directory: Directory = None,
    env: Environment = None,
    overrides: Overrides = None,
    quiet: Quiet = False,
    verbose: Verbose = 0,
    as_json: AsJson = False,
    show_version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Store the global options for the command, and set up the log."""
    del show_version  # its callback has done the work
    check_thread_variables(os.environ)
    session = session_of(ctx)
    session.begin(GlobalOptions(directory, env, tuple(overrides or ()), quiet, verbose, as_json))
    log_to_terminal(session.terminal, verbose)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `recsys` with `argv`, or the process's own arguments, and return the exit code."""
    args = sys.argv[1:] if argv is None else list(argv)
    session = Session()
    with Outcome(session) as outcome:
        code = app(args or ["--help"], prog_name="recsys", obj=session, standalone_mode=False)
        outcome.code = code or 0
    return outcome.code

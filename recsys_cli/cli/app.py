"""The program `recsys`: its commands, its global options and its exit code."""

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from recsys_cli.cli.backfill import backfill
from recsys_cli.cli.check import check
from recsys_cli.cli.config import show_config
from recsys_cli.cli.diff import diff
from recsys_cli.cli.doctor import doctor
from recsys_cli.cli.evaluate import evaluate
from recsys_cli.cli.explain import explain
from recsys_cli.cli.features import features
from recsys_cli.cli.init import init
from recsys_cli.cli.logs import log_to_terminal
from recsys_cli.cli.models import models
from recsys_cli.cli.options import (
    AsJson,
    Directory,
    Environment,
    GlobalOptions,
    HoistingGroup,
    Overrides,
    Quiet,
    Verbose,
)
from recsys_cli.cli.outcome import Outcome
from recsys_cli.cli.report import report
from recsys_cli.cli.runs import runs
from recsys_cli.cli.score import score
from recsys_cli.cli.session import Session, session_of
from recsys_cli.cli.train import train
from recsys_cli.cli.tune import tune
from recsys_cli.cli.verify import verify

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
    """Keep the global options for the command, and direct the log."""
    del show_version  # its callback has done the work
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

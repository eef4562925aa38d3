"""`recsys runs`: what ran, when, how it ended."""

from pathlib import Path
from typing import Annotated, Any

import typer

from recsys_cli.cli.display.safe_text import readable
from recsys_cli.cli.recorded_run import open_workspace
from recsys_cli.cli.session import session_of
from recsys_cli.cli.shared_options import refuse_target

_APART = ("stages", "settings", "libraries", "schema_version")  # not among the figures of a run
runs = typer.Typer(help="List and show the records of runs.")
RunId = Annotated[str, typer.Argument(metavar="RUN_ID", help="A run of recsys runs list.")]
Target = Annotated[
    Path | None,
    typer.Option("--to", metavar="FILE", help="Write all of them, as parquet, for DuckDB or polars."),
]
Most = Annotated[int, typer.Option("--most", min=1, max=1_000_000, help="Runs to show, the newest first.")]


@runs.command("list")
def list_runs(ctx: typer.Context, most: Most = 20, to: Target = None) -> None:
    """List the runs, the newest first.

    Example: recsys runs list --to runs.parquet
    """
    session = session_of(ctx)
    workspace = open_workspace(session)
    from recsys_cli.pipelines.workspace.run_history import read_runs, write_runs

    found = read_runs(workspace)
    if to is not None:
        refuse_target(workspace, to, "--to")
        write_runs(found, to)
        session.terminal.say(f"{len(found):,} runs → {to}")
    if session.options.as_json:
        plain = [{name: _plain(value) for name, value in row.items()} for row in found.to_dicts()]
        session.terminal.show_json(
            {"schema_version": 1, "runs": session.terminal.secrets.hide_in({"runs": plain})["runs"]}
        )
    elif to is None:
        columns = ("run", "status", "date", "seconds", "users")
        rows = [
            (row["run_id"], row["status"], row["date"] or "", _seconds(row), _count(row))
            for row in found.head(most).to_dicts()
        ]
        session.terminal.show_table(f"Runs: {len(rows)} of {len(found)}", columns, rows)


@runs.command("show")
def show_run(ctx: typer.Context, run_id: RunId) -> None:
    """Show the record of a run: stages, figures, settings; --json: as stored.

    Example: recsys runs show 20261125T030000-score-2f32ee
    """
    session = session_of(ctx)
    workspace = open_workspace(session)
    from recsys_cli.configs.dotted_keys import flat
    from recsys_cli.pipelines.workspace.run_history import read_run

    record = read_run(workspace, readable(run_id, "recsys runs show"))
    shown = session.terminal.secrets.hide_in(record.as_stored())
    if session.options.as_json:
        session.terminal.show_json(shown)
        return
    figures = {name: value for name, value in shown.items() if name not in _APART}
    rows = [(name, str(value)) for name, value in flat(figures).items()]
    session.terminal.show_table(f"Run {record.run_id}", ("what", "value"), rows)
    stages = [
        (stage.name, f"{stage.seconds:.2f} s", f"{stage.peak_bytes / 1e9:.2f} GB") for stage in record.stages
    ]
    if stages:
        session.terminal.show_table("Stages", ("stage", "seconds", "peak so far"), stages)
    session.terminal.say("--json: settings and library versions, too")


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, str | int | float) else value.isoformat()


def _seconds(row: dict[str, Any]) -> str:
    return "" if row["seconds"] is None else f"{row['seconds']:,.0f}"


def _count(row: dict[str, Any]) -> str:
    return "" if row["users"] is None else f"{row['users']:,}"

"""`recsys check`: all problems at once."""

from typing import TYPE_CHECKING

import typer

from recsys_cli.cli.display.stage_display import shown_work
from recsys_cli.cli.display.terminal import Terminal
from recsys_cli.cli.recorded_run import open_workspace
from recsys_cli.cli.session import session_of
from recsys_cli.cli.shared_options import AcceptInputs, ScoringDate, chosen_day
from recsys_cli.utils.errors import CheckFailedError

if TYPE_CHECKING:
    from recsys_cli.pipelines.check import CheckReport


def check(ctx: typer.Context, date: ScoringDate = None, accept_inputs: AcceptInputs = False) -> None:
    """List all that would stop or spoil a run: inputs, their age, the model, the folders; writes nothing.

    Example: recsys check --date 2026-07-01
    """
    session = session_of(ctx)
    terminal = session.terminal
    day = chosen_day(session, date)
    workspace = open_workspace(session)
    from recsys_cli.pipelines.check import check_workspace
    from recsys_cli.pipelines.workspace.scoring_day import ScoringDay

    with shown_work(terminal, f"Checking {day}"):
        report = check_workspace(ScoringDay(workspace, day), accept_inputs=accept_inputs)
    if session.options.as_json:
        terminal.show_json(terminal.secrets.hide_in(report.facts()))
    elif not session.options.quiet:
        _show_figures(terminal, report)
    if report.problems and not session.options.as_json:
        rows = [(one.severity, one.where, one.what, one.fix) for one in report.problems]
        columns = ("severity", "where", "what", "fix")
        terminal.show_table(f"Problems on {day}", columns, terminal.secrets.hide_in(rows))
    count = f"errors: {report.errors:,}, warnings: {report.warnings:,}"
    if report.errors:
        raise CheckFailedError(
            f"the check found {count}", where=str(workspace.root), fix="put right what the list says"
        )
    terminal.say(f"check of {day}: {count if report.errors + report.warnings else 'no problems'}")


def _show_figures(terminal: Terminal, report: "CheckReport") -> None:
    """Show the figures of the inputs beside what is usual."""
    if report.inputs is None or not report.inputs.gates:
        return
    from recsys_cli.pipelines.monitoring.input_gate import in_digits

    rows = [
        (one.what, in_digits(one.usual), in_digits(one.today), one.bound, f"data.gates.{one.setting}")
        for one in report.inputs.gates
    ]
    usual = report.inputs.past.described() or "the weeks before"
    columns = ("figure", usual, "today", "bound", "setting")
    terminal.show_table(f"The inputs of {report.day}", columns, terminal.secrets.hide_in(rows))

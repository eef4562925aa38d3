"""`recsys batch`: the whole night in one process."""

import typer

from recsys_cli.cli.commands.features import features_line, features_result
from recsys_cli.cli.commands.score import record_score
from recsys_cli.cli.display.score_summary import show_score
from recsys_cli.cli.display.stage_display import shown_stages
from recsys_cli.cli.recorded_run import running, stage_rows
from recsys_cli.cli.session import session_of
from recsys_cli.cli.shared_options import AcceptInputs, ScoringDate, chosen_day


def batch(ctx: typer.Context, date: ScoringDate = None, accept_inputs: AcceptInputs = False) -> None:
    """Do all of a night's work: check the inputs, write the features, score and publish.

    With -q it is silent where all went well and nothing new is warned of. Exit codes are those of the steps.

    Example: recsys batch --date 2026-07-01
    """
    session = session_of(ctx)
    terminal = session.terminal
    day = chosen_day(session, date)
    with running(session, "batch", day) as under_way:
        from recsys_cli.pipelines.batch import run_batch
        from recsys_cli.pipelines.scoring.job import ScoreRequest

        workspace = under_way.workspace
        under_way.facts.update(date=str(day))
        request = ScoreRequest(day, workspace.settings.scoring.top_k, accept_inputs=accept_inputs)
        with shown_stages(
            terminal, "Scoring users", under_way.run.stages, line_every=10, units="users"
        ) as progress:
            report = run_batch(workspace, request, under_way.run, progress)
        record_score(under_way, report.score)
        under_way.facts.update(features=features_result(report.features))
    if session.options.as_json:
        terminal.show_json({**report.score.as_json(), "features": features_result(report.features)})
        return
    terminal.say(features_line(report.features))
    if report.score.already_complete:
        terminal.say(f"already complete: {report.score.published} (recsys score --force scores again)")
    elif not session.options.quiet:
        show_score(terminal, report.score, stage_rows(under_way))

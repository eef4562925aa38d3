"""`recsys train`: a new model version."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_cli.cli.commands.score import Planned
from recsys_cli.cli.display.evaluation_tables import show_budget, show_models
from recsys_cli.cli.display.score_summary import show_training_plan
from recsys_cli.cli.display.stage_display import shown_stages
from recsys_cli.cli.display.terminal import Terminal
from recsys_cli.cli.recorded_run import Running, running, stage_rows
from recsys_cli.cli.session import Session, session_of
from recsys_cli.cli.shared_options import AcceptInputs, ScoringDate, chosen_day
from recsys_cli.utils.errors import CheckFailedError, UsageError

if TYPE_CHECKING:
    from datetime import date as Day

    from recsys_cli.pipelines.train import TrainReport

_FEATURES = 12  # shown of the most important ones

Promote = Annotated[
    bool, typer.Option("--promote/--no-promote", help="Let the new version score from now on.")
]

WarmStart = Annotated[
    bool,
    typer.Option(
        "--warm-start", help="Continue from the promoted model with newer events: seconds, not minutes."
    ),
]


def train(
    ctx: typer.Context,
    date: ScoringDate = None,
    promote: Promote = True,
    warm_start: WarmStart = False,
    plan: Planned = False,
    accept_inputs: AcceptInputs = False,
) -> None:
    """Train both stages on everything before the date: a new model version.

    Example: recsys train --date 2026-07-01
    """
    session = session_of(ctx)
    day = chosen_day(session, date)
    if plan and warm_start:
        raise UsageError(
            "--plan predicts a full training; a warm start takes seconds",
            where="--plan --warm-start",
            fix="leave out one of them",
        )
    with running(session, "train", day) as under_way:
        if plan:
            _plan(session, under_way, day)
            return
        wanted = {"promoted": promote, "warm": warm_start, "accept_inputs": accept_inputs}
        report = _trained(session, under_way, day, wanted)
    if session.options.as_json:
        found = {**report.manifest.as_stored(), "promoted": report.promoted, "path": str(report.folder)}
        session.terminal.show_json(session.terminal.secrets.hide_in(found))
    elif not session.options.quiet:
        _show(session.terminal, report, stage_rows(under_way))
        if not report.shortfall:
            version = report.version
            command = f"score --date {day}" if report.promoted else f"models promote {version}"
            session.terminal.say(f"next: recsys {command}")
    if report.shortfall:
        raise CheckFailedError(
            f"model {report.version} is stored but not promoted: {report.shortfall}",
            where=f"{report.place}/manifest.json",
            fix=f"improve data or settings, train again, or `recsys models promote {report.version} --force`",
        )


def _plan(session: Session, under_way: Running, day: "Day") -> None:
    from recsys_cli.pipelines.training.plan import plan_training

    run, title = under_way.run, f"Planning a training on events before {day}"
    with shown_stages(session.terminal, title, run.stages, verbosity=session.options.verbosity):
        plan = plan_training(under_way.workspace, day, run)
    under_way.facts.update(date=str(day), plan=plan.as_json())
    if session.options.as_json:
        session.terminal.show_json({"schema_version": 1, "date": str(day), **plan.as_json()})
    else:
        show_training_plan(session.terminal, plan, day)


def _trained(session: Session, under_way: Running, day: "Day", wanted: Mapping[str, bool]) -> "TrainReport":
    """Train within a run as wanted, and compare what it took with its plan, where there is one."""
    from recsys_cli.pipelines.train import train_model
    from recsys_cli.pipelines.training.plan import stored_training_plan
    from recsys_cli.pipelines.workspace.plans import outcome_of
    from recsys_cli.pipelines.workspace.scoring_day import ScoringDay

    workspace, run = under_way.workspace, under_way.run
    title = f"Training on events before {day}"
    with shown_stages(session.terminal, title, run.stages, verbosity=session.options.verbosity):
        report = train_model(ScoringDay(workspace, day), run, **wanted)
    under_way.facts.update(model_version=report.version, date=str(day))
    plan = stored_training_plan(ScoringDay(workspace, day), report.key)
    if plan is not None:
        under_way.facts.update(plan=outcome_of(plan).as_json())
    return report


def _show(terminal: Terminal, report: "TrainReport", stages: list[tuple[str, str, str]]) -> None:
    windows = [(str(w.first_day), f"{w.users:,}", f"{w.rows:,}", f"{w.positives:,}") for w in report.windows]
    terminal.show_table("Label windows", ("from", "users", "rows", "positives"), windows)
    manifest = report.manifest
    holdout, full = manifest.holdout, manifest.full_training
    title = f"Holdout: trained before {holdout.first_day}, evaluated on the days from it on"
    show_models(terminal, holdout, title)
    show_budget(terminal, holdout)
    strongest = sorted(manifest.feature_importance.items(), key=lambda pair: -pair[1])[:_FEATURES]
    terminal.show_table(
        "The ranker's strongest features",
        ("feature", "share"),
        [(name, f"{v:.1f}%") for name, v in strongest],
    )
    terminal.show_table("Stages", ("stage", "seconds", "peak so far"), stages)
    if full is not None:
        seconds, measure = sum(manifest.seconds.values()), f"NDCG@{holdout.k}"
        terminal.say(
            f"warm start: {seconds:.1f} s; full training of {full.version}: {full.seconds:.1f} s "
            f"and had {measure} {full.holdout[measure]:.4f} in its holdout"
        )
    terminal.say(f"model {report.version} → {report.place}{' (promoted)' if report.promoted else ''}")

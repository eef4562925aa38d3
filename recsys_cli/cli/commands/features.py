"""`recsys features`: the feature store's partition of a day."""

from typing import TYPE_CHECKING

import typer

from recsys_cli.cli.display.stage_display import shown_stages
from recsys_cli.cli.recorded_run import running
from recsys_cli.cli.session import session_of
from recsys_cli.cli.shared_options import AcceptInputs, ScoringDate, chosen_day

if TYPE_CHECKING:
    from recsys_cli.pipelines.workspace.feature_store import Partition


def features(ctx: typer.Context, date: ScoringDate = None, accept_inputs: AcceptInputs = False) -> None:
    """Write the feature store's partition of the date from the events before it.

    Example: recsys features --date 2026-07-01
    """
    session = session_of(ctx)
    day = chosen_day(session, date)
    with running(session, "features", day) as under_way:
        from recsys_cli.pipelines.features import write_features
        from recsys_cli.pipelines.workspace.promoted_model import has_model_for
        from recsys_cli.pipelines.workspace.scoring_day import ScoringDay

        workspace, run = under_way.workspace, under_way.run
        with shown_stages(session.terminal, f"Features of {day}", run.stages, line_every=10, summary=False):
            partition = write_features(ScoringDay(workspace, day), run, accept_inputs=accept_inputs)
        can_score = has_model_for(ScoringDay(workspace, day))
        under_way.facts.update(schema_version=1, date=str(day), **features_result(partition))
    if session.options.as_json:
        session.terminal.show_json(under_way.facts)
        return
    session.terminal.say(features_line(partition))
    session.terminal.say(f"→ {workspace.partitions.location_of(partition.folder.name)}")
    session.terminal.say(f"next: recsys {'score' if can_score else 'train'} --date {day}")


def features_result(partition: "Partition") -> dict[str, object]:
    """Return what a partition holds, as its run's record has it."""
    return {
        "path": str(partition.folder),
        "users": len(partition.features.user_ids),
        "items": len(partition.features.items),
        "events": partition.events,
        "content_hash": partition.content_hash,
        "reused": partition.reused,
    }


def features_line(partition: "Partition") -> str:
    """Return a sentence that says what a partition holds."""
    users, items = len(partition.features.user_ids), len(partition.features.items)
    counts = f"{users:,} users, {items:,} items, {partition.events:,} events before {partition.features.day}"
    return f"features: {counts}{' (unchanged, reused)' if partition.reused else ''}"

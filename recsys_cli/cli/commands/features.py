"""`recsys features`: the feature store's partition of a day."""

import typer

from recsys_cli.cli.recorded_run import running
from recsys_cli.cli.session import session_of
from recsys_cli.cli.shared_options import ScoringDate, chosen_day


def features(ctx: typer.Context, date: ScoringDate = None) -> None:
    """Write the feature store's partition of the date from the events before it.

    Example: recsys features --date 2026-07-01
    """
    session = session_of(ctx)
    day = chosen_day(session, date)
    with running(session, "features", day) as under_way:
        from recsys_cli.pipelines.workspace.feature_store import open_features
        from recsys_cli.utils.storage.locks import locked

        workspace = under_way.workspace
        with (
            locked(workspace.lock(f"date={day}"), f"the features of {day}"),
            under_way.run.stages.stage("features"),
        ):
            partition = open_features(workspace, day)
        tables = partition.features
        under_way.facts.update(
            schema_version=1,
            date=str(day),
            path=str(partition.folder),
            users=len(tables.user_ids),
            items=len(tables.items),
            events=partition.events,
            content_hash=partition.content_hash,
            reused=partition.reused,
        )
    if session.options.as_json:
        session.terminal.show_json(under_way.facts)
        return
    users, items = len(tables.user_ids), len(tables.items)
    counts = f"{users:,} users, {items:,} items, {partition.events:,} events before {day}"
    session.terminal.say(f"features: {counts}{' (unchanged, kept)' if partition.reused else ''}")
    session.terminal.say(f"→ {workspace.partitions.location_of(partition.folder.name)}")
    session.terminal.say(f"next: recsys score --date {day}")

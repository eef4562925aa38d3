"""`recsys models`: the versions, and which of them scores."""

from typing import Annotated

import typer

from recsys_cli.cli.recorded_run import open_workspace
from recsys_cli.cli.session import session_of

models = typer.Typer(help="List, show, promote and roll back model versions.")
Version = Annotated[str, typer.Argument(help="A version of recsys models list.")]
ShownVersion = Annotated[
    str | None, typer.Argument(help="A version of recsys models list.", show_default="the promoted one")
]
Force = Annotated[
    bool, typer.Option("--force", help="Promote although it does not beat recent popularity; recorded.")
]


@models.command("list")
def list_models(ctx: typer.Context) -> None:
    """List the model versions, the newest first.

    Example: recsys models list
    """
    session = session_of(ctx)
    workspace = open_workspace(session)
    from recsys_cli.models.versions.registry import model_versions

    versions, damaged = model_versions(workspace.models)
    if session.options.as_json:
        hide = session.terminal.secrets.hide_in  # a manifest has settings
        found = [
            {"version": v.version, "promoted": v.promoted, "manifest": hide(v.manifest.as_stored())}
            for v in versions
        ]
        refused = [{"version": one.version, "error": one.error.what} for one in damaged]
        session.terminal.show_json({"schema_version": 1, "models": found, "damaged": refused})
        return
    rows = [
        (v.version, str(v.trained_through), str(v.manifest.events), "promoted" if v.promoted else "")
        for v in versions
    ]
    rows += [(one.version, "", "", "damaged") for one in damaged]
    session.terminal.show_table("Models", ("version", "trained through", "events", ""), rows)
    for one in damaged:
        session.terminal.say(f"{one.version}: {one.error.what} ({one.error.where})")
    if not rows:
        session.terminal.say("none yet; next: recsys train --date D")


@models.command("show")
def show_model(ctx: typer.Context, version: ShownVersion = None) -> None:
    """Show what a version is, what it learnt from and how it did in its holdout; --json: its manifest.

    Example: recsys models show 2026-07-01-0123abcd
    """
    session = session_of(ctx)
    workspace = open_workspace(session)
    from recsys_cli.models.versions.registry import model_folder, own_manifest, promoted_version, status_of

    folder = model_folder(workspace.models, version or promoted_version(workspace.models))
    manifest = own_manifest(folder)
    if session.options.as_json:
        session.terminal.show_json(session.terminal.secrets.hide_in(manifest.as_stored()))
        return
    from recsys_cli.cli.display.model_card import show_model_card

    show_model_card(session.terminal, manifest, status_of(workspace.models, folder.name))


@models.command("promote")
def promote_model(ctx: typer.Context, version: Version, force: Force = False) -> None:
    """Let a version score from now on; it must beat recent popularity in its holdout.

    Example: recsys models promote 2026-07-01-0123abcd
    """
    session = session_of(ctx)
    workspace = open_workspace(session)
    from recsys_cli.pipelines.models import promote_version

    before = promote_version(workspace, version, force=force)
    if session.options.as_json:
        session.terminal.show_json({"schema_version": 1, "promoted": version, "before": before})
        return
    session.terminal.say(f"promoted: {version} (before: {before or 'none'})")


@models.command("rollback")
def rollback_model(ctx: typer.Context) -> None:
    """Promote again the version before the last promotion.

    Example: recsys models rollback
    """
    session = session_of(ctx)
    workspace = open_workspace(session)
    from recsys_cli.pipelines.models import rollback_promotion

    version = rollback_promotion(workspace)
    if session.options.as_json:
        session.terminal.show_json({"schema_version": 1, "promoted": version})
        return
    session.terminal.say(f"promoted: {version}")

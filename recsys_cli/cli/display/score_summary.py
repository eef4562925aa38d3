"""What `recsys score` shows of a run on a terminal, and what it and `recsys train` show of a plan."""

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING

from recsys_cli.cli.display.phrases import explain_command
from recsys_cli.cli.display.rule_tables import show_rules
from recsys_cli.cli.display.terminal import Terminal

if TYPE_CHECKING:
    from recsys_cli.pipelines.publication.manifest import PublicationManifest
    from recsys_cli.pipelines.score import ScoreReport
    from recsys_cli.pipelines.scoring.plan import ScoringPlan
    from recsys_cli.pipelines.training.plan import TrainingPlan

Rows = list[tuple[str, str]]


def show_score(terminal: Terminal, report: "ScoreReport", stages: list[tuple[str, str, str]]) -> None:
    """Show what a run did and how long its stages took."""
    manifest = report.manifest
    shares = ", ".join(f"{name} {share:.0%}" for name, share in manifest.share_by_source.items())
    rows = [
        ("model", manifest.model_version),
        *_age_row(manifest),
        ("users", f"{manifest.users:,} ({manifest.warm_users:,} warm, {manifest.cold_users:,} cold)"),
        ("candidates", f"{manifest.candidates:,}"),
        ("recommendations", f"{manifest.rows:,}"),
        ("share by source", f"{shares} (a row may have several)"),
        ("catalogue coverage", f"{manifest.catalogue_coverage:.1%} ({manifest.items:,} items)"),
        *_unlisted_row(manifest),
        *_index_row(manifest),
        *_reuse_row(manifest),
        ("publish gates", _gates(manifest.gates)),
        ("short lists", f"{manifest.short_lists:,} users, {manifest.empty_lists:,} of them without any item"),
    ]
    terminal.show_table(f"Recommendations of {manifest.day}", ("what", "figure"), rows)
    show_rules(terminal, manifest.lists)
    terminal.show_table("Stages", ("stage", "seconds", "peak so far"), stages)
    terminal.say(f"→ {report.published}")
    if manifest.example_user is not None:
        terminal.say(f"next: {explain_command(manifest.example_user, manifest.day)}")


def _age_row(manifest: "PublicationManifest") -> Rows:
    event, model = manifest.newest_event_age_days, manifest.model_age_days
    if event is None or model is None:
        return []
    return [("age", f"newest event: {event:.1f} days, model: {model:,} days")]


def _reuse_row(manifest: "PublicationManifest") -> Rows:
    since = manifest.changed_since
    if since is None:
        return []
    if since.all_ranked_because:
        return [(f"since {since.day}", f"all users are ranked: {since.all_ranked_because}")]
    sample, changed = since.sample, since.changed
    assert sample is not None and changed is not None
    ranked = f"{changed:,} users are ranked, {manifest.users - changed:,} keep their lists"
    differing = f"of {sample.users:,} of these {sample.differing:.1%} differ from a full run's"
    return [(f"since {since.day}", f"{ranked}; {differing}, overlap {sample.overlap:.3f}")]


def show_plan(terminal: Terminal, plan: "ScoringPlan", day: date) -> None:
    """Show what a run will take."""
    rows = [
        ("users", f"{plan.users:,}"),
        *_needs(plan),
        ("users a chunk", f"{plan.chunk_users:,}"),
        ("sampled", f"{plan.sampled_users:,} users"),
    ]
    terminal.show_table(f"Plan of {day}: nothing was published", ("what", "figure"), rows)
    terminal.say(f"next: recsys score --date {day}")


def show_training_plan(terminal: Terminal, plan: "TrainingPlan", day: date) -> None:
    """Show what a training will take."""
    rows = [
        ("users", f"{plan.users:,}"),
        *_needs(plan),
        ("ranker rows", f"{plan.rows:,}"),
        ("ranker iterations", f"{plan.iterations:,}, of all members"),
        ("LightFM fits side by side", f"{plan.lightfm_fits}"),
        ("sampled", f"{plan.sampled_users:,} users"),
    ]
    terminal.show_table(f"Plan of {day}: nothing was trained", ("what", "figure"), rows)
    terminal.say(f"next: recsys train --date {day}")


def _needs(plan: "ScoringPlan | TrainingPlan") -> Rows:
    return [
        ("seconds", f"{plan.seconds:.1f}"),
        ("peak memory", f"{plan.peak_bytes / 1e9:.2f} GB"),
        ("disk", f"{plan.disk_bytes / 1e6:.1f} MB"),
    ]


def _gates(figures: Mapping[str, int | float]) -> str:
    """Return the figures that the publish gates checked, as text."""
    named = {name.partition("_")[2].replace("_", " "): figure for name, figure in figures.items()}
    return "hold: " + ", ".join(f"{name} {figure:,.10g}" for name, figure in named.items())


def _unlisted_row(manifest: "PublicationManifest") -> Rows:
    if not manifest.unlisted_items:
        return []
    return [
        ("unlisted items", f"{manifest.unlisted_items:,} of the events, not in the items table: left out")
    ]


def _index_row(manifest: "PublicationManifest") -> Rows:
    if manifest.index_recall is None:
        return []
    return [("recall of the index", f"{manifest.index_recall:.4f} of the exact lists")]

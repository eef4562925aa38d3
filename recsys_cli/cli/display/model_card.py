"""A model version on a page of 80 columns: what it is, what it learnt from and how it did in its holdout."""

from collections.abc import Mapping
from typing import Any, Final

from recsys_cli.cli.display.evaluation_tables import show_comparisons, show_measures
from recsys_cli.cli.display.terminal import Terminal
from recsys_cli.configs.dotted_keys import flat
from recsys_cli.configs.secrets import shown
from recsys_cli.models.evaluation.evaluation_summary import HoldoutSummary
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.models.versions.manifest_schema import ModelManifest

_MEASURES: Final = ("NDCG", "MAP", "Recall", "HitRate", "CatalogCoverage")
_FEATURES: Final = 10  # shown of the most important ones


def show_model_card(terminal: Terminal, manifest: ModelManifest, status: str) -> None:
    """Show a version's manifest.

    Args:
        status: whether it scores.
    """
    terminal.show_table(f"Model {manifest.version}", ("what", "value"), _identity(manifest, status))
    windows = [
        (str(one.first_day), f"{one.users:,}", f"{one.rows:,}", f"{one.positives:,}")
        for one in manifest.label_windows
    ]
    terminal.show_table("Label windows", ("from", "users", "rows", "positives"), windows)
    _show_holdout(terminal, manifest.holdout)
    importance = sorted(manifest.feature_importance.items(), key=lambda pair: -pair[1])[:_FEATURES]
    strongest = [(name, f"{share:.1f}%") for name, share in importance]
    terminal.show_table("The ranker's strongest features", ("feature", "share"), strongest)
    _show_settings(terminal, manifest.settings.as_stored())
    terminal.say(
        f"next: recsys models show {manifest.version} --json    everything, with the hash of each file"
    )


def _identity(manifest: ModelManifest, status: str) -> list[tuple[str, str]]:
    base = manifest.warm_start_of
    return [
        ("status", status),
        ("learnt from", f"{manifest.events:,} events before {manifest.trained_through}"),
        ("newest event", f"{manifest.stage.newest_event.isoformat()} UTC"),
        ("made", f"{manifest.created} in {sum(manifest.seconds.values()):.0f} s"),
        ("run", manifest.run_id),
        *([("warm start of", base)] if base else []),
        ("sources", f"{len(manifest.holdout.budget.by_source)}"),
        ("ranker", f"{manifest.trees:,} trees over {len(manifest.ranker.columns)} features"),
        ("score", manifest.ranker.score),
    ]


def _show_holdout(terminal: Terminal, holdout: HoldoutSummary) -> None:
    title = f"Holdout: {holdout.users:,} users, lists of {holdout.k} for {holdout.first_day}"
    show_measures(terminal, holdout.models, holdout.k, title, _MEASURES)
    duel = holdout.against_popularity
    comparisons = [*holdout.comparisons, *([duel] if duel and duel not in holdout.comparisons else [])]
    show_comparisons(terminal, comparisons, "The two stages against the best others and popularity")


def _show_settings(terminal: Terminal, settings: Mapping[str, Any]) -> None:
    """Show the settings of the training that are not today's built-in ones."""
    defaults = flat(settings_tree()().model_dump(mode="json"))
    rows = [
        (key, shown(value, secret=False), shown(defaults[key], secret=False) if key in defaults else "–")
        for key, value in flat(settings).items()
        if key not in defaults or defaults[key] != value
    ]
    if rows:
        terminal.show_table(
            "Settings that differ from the defaults",
            ("key", "value", "default"),
            terminal.secrets.hide_in(rows),
        )

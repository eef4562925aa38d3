"""`report`: what a night published, how it went, what is other than before, how earlier lists have done."""

from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from recsys_cli.pipelines.monitoring.drift import drift_of, feature_drift
from recsys_cli.pipelines.monitoring.past_performance import Window, report_cards
from recsys_cli.pipelines.publication.lookup import publications, run_settings, titles_on
from recsys_cli.pipelines.publication.statistics import (
    item_counts,
    popularity_curve,
    read_scores,
    score_histogram,
)
from recsys_cli.pipelines.workspace.feature_store import stored_partition
from recsys_cli.pipelines.workspace.layout import RECOMMENDATIONS, Workspace
from recsys_cli.pipelines.workspace.run_history import KILLED, read_runs
from recsys_cli.utils.columns import ITEM_ID, SCORE, TITLE
from recsys_cli.utils.dates import parse_instant
from recsys_cli.utils.errors import RecsysError, UsageError
from recsys_cli.utils.storage.json_files import read_json

_Publications = dict[date, dict[str, Any]]
_TOP_ITEMS = 10
_HISTORY = 14  # publications
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_FACTS = (
    "model_version",
    "all_users",
    "users",
    "warm_users",
    "cold_users",
    "rows",
    "top_k",
    "short_lists",
    "empty_lists",
    "fallback_rows",
    "candidates",
    "items",
    "eligible_items",
    "catalogue_coverage",
    "top_item_lists",
)


@dataclass(frozen=True)
class Report:
    """What is told of the lists of a day; every part is plain data, ready for JSON.

    Attributes:
        lists: figures of the published lists.
        run: what published them: run_id, started, seconds, peak_bytes, stages; None: its record is gone.
        unfinished: runs for the day, begun after the one that published, and for later days, that failed.
        gates: of each gate, its setting, figure and bound.
        sources: share of the rows that each source proposed.
        top_items: item_id, title, lists.
        popularity_curve: points: a share of the items, the most frequent first, and that of their rows.
        scores: quantiles, and a histogram beside that of the lists before.
        history: a row a publication up to the day, the earliest first.
        drift: of the features and the scores since the lists before, the largest first.
        drift_against: their day; None where there is nothing to compare with, for `drift_problem`.
        cards: how earlier lists did; none for `cards_problem`.
    """

    day: date
    path: Path
    lists: dict[str, Any]
    run: dict[str, Any] | None
    unfinished: list[dict[str, Any]]
    gates: list[dict[str, Any]]
    sources: dict[str, float]
    top_items: list[dict[str, Any]]
    popularity_curve: list[dict[str, float]]
    scores: dict[str, Any]
    history: list[dict[str, Any]]
    drift: list[dict[str, Any]]
    drift_against: date | None
    drift_problem: str | None
    cards: list[dict[str, Any]]
    cards_problem: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        against = None if self.drift_against is None else str(self.drift_against)
        plain = {**asdict(self), "path": str(self.path), "drift_against": against}
        del plain["day"]
        return {"schema_version": 1, "date": str(self.day), **plain}


def report(workspace: Workspace, day: date | None, window: Window) -> Report:
    """Tell of the lists of a day, by default the last ones.

    Raises: UsageError where nothing is published for it.
    """
    published = publications(workspace, day or date.max, max(_HISTORY, window.days + window.most))
    chosen = next(reversed(published), None) if day is None else day
    if chosen is None or chosen not in published:
        raise UsageError(
            "nothing is published" if chosen is None else f"nothing is published for {chosen}",
            where=str(workspace.published),
            fix="run `recsys score` first, name another day, or look at it with `recsys verify`",
        )
    manifest, file = published[chosen], workspace.recommendations(chosen) / RECOMMENDATIONS
    earlier = [one for one in published if one < chosen]
    counts, titles, scores = item_counts(file), titles_on(workspace, chosen), read_scores(file)
    before = read_scores(workspace.recommendations(earlier[-1]) / RECOMMENDATIONS) if earlier else None
    drift, drift_problem = _drift(workspace, published, before, scores)
    cards, cards_problem = _cards(workspace, published, window)
    return Report(
        day=chosen,
        path=file,
        lists={name: manifest.get(name) for name in _FACTS},
        run=_run(workspace, manifest),
        unfinished=_unfinished(workspace, chosen, str(manifest["run_id"])),
        gates=_gates(workspace, manifest),
        sources=dict(manifest["share_by_source"]),
        top_items=[
            {ITEM_ID: row[ITEM_ID], TITLE: titles.get(row[ITEM_ID]), "lists": row["lists"]}
            for row in counts.head(_TOP_ITEMS).to_dicts()
        ],
        popularity_curve=popularity_curve(counts, int(manifest["eligible_items"])),
        scores={"quantiles": _quantiles(scores), **score_histogram(scores, before)},
        history=[_of_history(workspace, *one) for one in list(published.items())[-_HISTORY:]],
        drift=drift,
        drift_against=earlier[-1] if earlier else None,
        drift_problem=drift_problem,
        cards=cards,
        cards_problem=cards_problem,
    )


def _drift(
    workspace: Workspace, published: _Publications, before: pl.Series | None, scores: pl.Series
) -> tuple[list[dict[str, Any]], str | None]:
    """Return the drift between the last two publications, or why there is none of the features."""
    if before is None:
        return [], "there are no earlier lists"
    of_scores = asdict(drift_of("scores", SCORE, before, scores))
    days = list(published)[-2:]
    then, now = (stored_partition(workspace, day, published[day]["features_content_hash"]) for day in days)
    if then is None or now is None:
        gone = days[0] if then is None else days[1]
        return [of_scores], f"the features that the lists of {gone} were made of are gone"
    features = [asdict(one) for one in feature_drift(then.features, now.features)]
    return sorted([of_scores, *features], key=lambda one: -one["psi"]), None


def _cards(
    workspace: Workspace, published: _Publications, window: Window
) -> tuple[list[dict[str, Any]], str | None]:
    """Return the report card, or why there is none."""
    try:
        cards = [card.as_json() for card in report_cards(workspace, published, window)]
    except RecsysError as error:
        return [], " ".join(f"{error.what}: {error.where}".split())
    return cards, None if cards else "no known user has had an event since lists of all users were made"


def _run(workspace: Workspace, manifest: dict[str, Any]) -> dict[str, Any] | None:
    try:
        record = read_json(workspace.runs / str(manifest["run_id"]) / "run.json")
        started, ended = (parse_instant(record[name]) for name in ("started", "ended"))
        stages = [dict(stage) for stage in record["stages"]]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if started is None or ended is None:
        return None
    return {
        "run_id": manifest["run_id"],
        "started": record["started"],
        "seconds": (ended - started).total_seconds(),
        "peak_bytes": max((stage["peak_bytes"] for stage in stages), default=None),
        "stages": stages,
    }


def _unfinished(workspace: Workspace, day: date, published: str) -> list[dict[str, Any]]:
    is_later = (pl.col("date") > str(day)) | ((pl.col("date") == str(day)) & (pl.col("run_id") > published))
    has_failed = pl.col("command").is_in(["score", "batch"]) & pl.col("status").is_in(["failed", KILLED])
    runs = read_runs(workspace).filter(has_failed & is_later)
    return runs.select("run_id", "status", "date", "error").to_dicts()


def _gates(workspace: Workspace, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    then = run_settings(workspace, manifest)
    return [
        {
            "setting": name,
            "figure": figure,
            "bound": then.get(f"gates.{name}", getattr(workspace.settings.gates, name)),
        }
        for name, figure in manifest.get("gates", {}).items()
    ]


def _of_history(workspace: Workspace, day: date, manifest: dict[str, Any]) -> dict[str, Any]:
    run = _run(workspace, manifest) or {}
    scores = read_scores(workspace.recommendations(day) / RECOMMENDATIONS)
    users = manifest["users"]
    return {
        "date": str(day),
        "model_version": manifest["model_version"],
        "users": users,
        "all_users": manifest["all_users"],
        "rows": manifest["rows"],
        "full_lists": (users - manifest["short_lists"]) / users if users else None,
        "catalogue_coverage": manifest["catalogue_coverage"],
        "overlap": manifest.get("gates", {}).get("min_overlap"),
        "median_score": scores.median(),
        "seconds": run.get("seconds"),
        "peak_bytes": run.get("peak_bytes"),
    }


def _quantiles(scores: pl.Series) -> dict[str, float | None]:
    return {f"p{100 * share:.0f}": scores.quantile(share) for share in _QUANTILES}

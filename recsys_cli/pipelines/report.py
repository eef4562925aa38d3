"""`report`: what a night published, how the run went, what has changed, and how earlier lists have done."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import polars as pl

from recsys_cli.pipelines.monitoring.drift import Drift, drift_of, feature_drift
from recsys_cli.pipelines.monitoring.evaluated_diversity import EvaluatedDiversity, newest_diversity
from recsys_cli.pipelines.monitoring.past_performance import PastPerformance, Window, past_performance
from recsys_cli.pipelines.publication.lookup import Publications, publications, run_settings, titles_on
from recsys_cli.pipelines.publication.manifest import PublicationManifest
from recsys_cli.pipelines.publication.statistics import (
    CurvePoint,
    ScoreHistogram,
    item_counts,
    popularity_curve,
    read_scores,
    score_histogram,
)
from recsys_cli.pipelines.workspace.feature_store import stored_partition
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_history import KILLED, read_runs
from recsys_cli.pipelines.workspace.run_record import RunRecord, StageFacts, read_record, run_file
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import ITEM_ID, SCORE
from recsys_cli.utils.errors import RecsysError, UsageError

_TOP_ITEMS = 10
_HISTORY = 14  # publications
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_LIST_FIGURES = (
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
    "newest_event_age_days",
    "model_age_days",
)


@dataclass(frozen=True)
class FailedRun:
    """A run that published nothing."""

    run_id: str
    status: str
    date: str
    error: str | None


@dataclass(frozen=True)
class GateFigure:
    """A publish gate: its setting, the figure of the lists, and the bound."""

    setting: str
    figure: float
    bound: float


@dataclass(frozen=True)
class TopItem:
    """An item, and how many lists hold it."""

    item_id: int | str
    title: str | None
    lists: int


@dataclass(frozen=True)
class HistoryRow:
    """A publication, with figures of the run that made it, if its record still exists."""

    date: str
    model_version: str
    users: int
    all_users: bool
    rows: int
    full_lists: float | None
    catalogue_coverage: float
    overlap: float | None
    median_score: float | None
    seconds: float | None
    peak_bytes: int | None


@dataclass(frozen=True)
class Report:
    """What is shown of the lists of a day.

    Attributes:
        lists: the manifest of the published lists.
        run: what published them; None: its record is gone.
        failed_runs: runs for the day, begun after the one that published, and for later days, that failed.
        sources: share of the rows that each source proposed.
        quantiles: of the scores, by name; scores: their histogram beside that of the lists before.
        history: one row per publication up to the day, the earliest first.
        drift: of the features and the scores since the lists before, the largest first.
        drift_against: their day; None if there are none, as `drift_problem` says.
        past: how earlier lists did; empty if there is a `past_problem`.
        diversity: what the newest evaluation by diversity found; None: there is none.
    """

    day: date
    path: Path
    lists: PublicationManifest
    run: RunRecord | None
    failed_runs: Sequence[FailedRun]
    gates: Sequence[GateFigure]
    top_items: Sequence[TopItem]
    popularity_curve: Sequence[CurvePoint]
    quantiles: dict[str, float | None]
    scores: ScoreHistogram
    history: Sequence[HistoryRow]
    drift: Sequence[Drift]
    drift_against: date | None
    drift_problem: str | None
    past: Sequence[PastPerformance]
    past_problem: str | None
    diversity: EvaluatedDiversity | None = None

    @property
    def sources(self) -> dict[str, float]:
        """Share of the rows that each source proposed."""
        return self.lists.share_by_source

    @property
    def stages(self) -> list[StageFacts]:
        """The stages of the run."""
        return [] if self.run is None else self.run.stages

    def as_json(self) -> dict[str, object]:
        """Return the report as a JSON object."""
        lists = self.lists.as_json()
        return {
            "schema_version": 1,
            "date": str(self.day),
            "path": str(self.path),
            "lists": {name: lists.get(name) for name in _LIST_FIGURES},
            "run": None if self.run is None else _run_as_json(self.run),
            "unfinished": [asdict(one) for one in self.failed_runs],
            "gates": [asdict(one) for one in self.gates],
            "rules": None if self.lists.lists is None else self.lists.lists.as_json(),
            "sources": self.sources,
            "top_items": [asdict(one) for one in self.top_items],
            "popularity_curve": [asdict(one) for one in self.popularity_curve],
            "scores": {"quantiles": self.quantiles, **asdict(self.scores)},
            "history": [asdict(one) for one in self.history],
            "drift": [asdict(one) for one in self.drift],
            "drift_against": None if self.drift_against is None else str(self.drift_against),
            "drift_problem": self.drift_problem,
            "cards": [one.as_json() for one in self.past],
            "cards_problem": self.past_problem,
            "diversity": None if self.diversity is None else self.diversity.as_json(),
        }


def report(workspace: Workspace, day: date | None, window: Window) -> Report:
    """Report on the lists of a day, by default the last ones.

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
    manifest, shown = published[chosen], ScoringDay(workspace, chosen)
    earlier = [ScoringDay(workspace, one) for one in published if one < chosen]
    counts, scores = item_counts(shown.file), read_scores(shown.file)
    before = read_scores(earlier[-1].file) if earlier else None
    drift, drift_problem = _drift(workspace, published, before, scores)
    past, past_problem = _past(workspace, published, window)
    return Report(
        day=chosen,
        path=shown.file,
        lists=manifest,
        run=_run(workspace, manifest),
        failed_runs=_failed_runs(workspace, chosen, str(manifest.run_id)),
        gates=_gates(workspace, manifest),
        top_items=_top_items(counts, shown),
        popularity_curve=popularity_curve(counts, manifest.eligible_items),
        quantiles={f"p{100 * share:.0f}": scores.quantile(share) for share in _QUANTILES},
        scores=score_histogram(scores, before),
        history=[_history_row(workspace, *one) for one in list(published.items())[-_HISTORY:]],
        drift=drift,
        drift_against=earlier[-1].date if earlier else None,
        drift_problem=drift_problem,
        past=past,
        past_problem=past_problem,
        diversity=newest_diversity(workspace),
    )


def _top_items(counts: pl.DataFrame, day: ScoringDay) -> list[TopItem]:
    titles = titles_on(day)
    most = counts.head(_TOP_ITEMS).select(ITEM_ID, "lists")
    return [TopItem(item_id, titles.get(item_id), lists) for item_id, lists in most.iter_rows()]


def _drift(
    workspace: Workspace, published: Publications, before: pl.Series | None, scores: pl.Series
) -> tuple[list[Drift], str | None]:
    """Return the drift between the last two publications, or why there is none of the features."""
    if before is None:
        return [], "there are no earlier lists"
    of_scores = drift_of("scores", SCORE, before, scores)
    days = [ScoringDay(workspace, one) for one in list(published)[-2:]]
    then, now = (stored_partition(day, published[day.date].features_content_hash) for day in days)
    if then is None or now is None:
        gone = days[0] if then is None else days[1]
        return [of_scores], f"the features that the lists of {gone} were made of are gone"
    features = feature_drift(then.features, now.features)
    return sorted([of_scores, *features], key=lambda one: -one.psi), None


def _past(
    workspace: Workspace, published: Publications, window: Window
) -> tuple[list[PastPerformance], str | None]:
    """Return how earlier lists did, or why that is not known."""
    try:
        past = past_performance(workspace, published, window)
    except RecsysError as error:
        return [], " ".join(f"{error.what}: {error.where}".split())
    return past, None if past else "no known user has had an event since lists of all users were made"


def _run(workspace: Workspace, manifest: PublicationManifest) -> RunRecord | None:
    """Return the record of the run that published lists; None where it is gone, or the run has not ended."""
    if manifest.run_id is None:
        return None
    try:
        record = read_record(run_file(workspace, manifest.run_id))
    except (OSError, ValueError):
        return None
    return None if record.ended is None else record


def _run_as_json(run: RunRecord) -> dict[str, object]:
    return {
        "run_id": run.run_id,
        "started": run.started.isoformat(),
        "seconds": run.seconds,
        "peak_bytes": run.peak_bytes,
        "stages": [stage.as_stored() for stage in run.stages],
    }


def _failed_runs(workspace: Workspace, day: date, published: str) -> list[FailedRun]:
    is_later = (pl.col("date") > str(day)) | ((pl.col("date") == str(day)) & (pl.col("run_id") > published))
    has_failed = pl.col("command").is_in(["score", "batch"]) & pl.col("status").is_in(["failed", KILLED])
    runs = read_runs(workspace).filter(has_failed & is_later)
    return [FailedRun(*row) for row in runs.select("run_id", "status", "date", "error").iter_rows()]


def _gates(workspace: Workspace, manifest: PublicationManifest) -> list[GateFigure]:
    then, today = run_settings(workspace, manifest.run_id), workspace.settings.gates
    bounds = {name: then.get(f"gates.{name}", bound) for name, bound in today.model_dump().items()}
    return [
        GateFigure(name, figure, bound)
        for name, figure in manifest.gates.items()
        if isinstance(bound := bounds.get(name), int | float)
    ]


def _history_row(workspace: Workspace, day: date, manifest: PublicationManifest) -> HistoryRow:
    run, users = _run(workspace, manifest), manifest.users
    scores = read_scores(ScoringDay(workspace, day).file)
    return HistoryRow(
        date=str(day),
        model_version=manifest.model_version,
        users=users,
        all_users=manifest.all_users,
        rows=manifest.rows,
        full_lists=(users - manifest.short_lists) / users if users else None,
        catalogue_coverage=manifest.catalogue_coverage,
        overlap=manifest.gates.get("min_overlap"),
        median_score=scores.median(),  # type: ignore[arg-type]
        seconds=None if run is None else run.seconds,
        peak_bytes=None if run is None else run.peak_bytes,
    )

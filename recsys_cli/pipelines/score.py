"""`score`: candidates → seen filter → features → ranker → top k for every user, published as one file."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from loguru import logger

from recsys_cli.models.bundle import Bundle
from recsys_cli.models.candidates.merge import source_counts
from recsys_cli.models.two_stage import ServingDay, rank_users
from recsys_cli.pipelines.feature_store import Partition, open_features
from recsys_cli.pipelines.publication import RecommendationsWriter, publish, published_manifest
from recsys_cli.pipelines.run_record import Run
from recsys_cli.pipelines.serving import open_bundle, open_serving_day
from recsys_cli.pipelines.workspace import RECOMMENDATIONS, Workspace
from recsys_cli.utils.columns import ITEM, ITEM_ID, RANK, SCORE, SOURCES, USER, USER_ID
from recsys_cli.utils.errors import OutputError, UnknownUserError
from recsys_cli.utils.files import sha256_of_json
from recsys_cli.utils.locks import locked
from recsys_cli.utils.progress import Progress, silent


@dataclass(frozen=True)
class ScoreRequest:
    """What is asked of a scoring run; `user_ids` None: everybody."""

    day: date
    user_ids: Sequence[str] | None = None
    top_k: int | None = None
    force: bool = False


@dataclass
class Counts:
    """What a scoring run did, added up over its chunks."""

    users: int = 0
    warm: int = 0
    candidates: int = 0
    recommendations: int = 0
    short_lists: int = 0
    by_source: dict[str, int] = field(default_factory=dict)
    items: set[int] = field(default_factory=set)
    eligible_items: int = 0

    def facts(self) -> dict[str, Any]:
        """Return the figures for the manifest and the summary."""
        rows = max(self.recommendations, 1)
        return {
            "users": self.users,
            "warm_users": self.warm,
            "cold_users": self.users - self.warm,
            "candidates": self.candidates,
            "recommendations": self.recommendations,
            "short_lists": self.short_lists,
            "share_by_source": {name: round(count / rows, 4) for name, count in self.by_source.items()},
            "items": len(self.items),
            "catalogue_coverage": round(len(self.items) / max(self.eligible_items, 1), 4),
        }


@dataclass(frozen=True)
class ScoreReport:
    """A published, or already complete, scoring run."""

    day: date
    path: Path
    manifest: dict[str, Any]
    already_complete: bool


def score_users(
    workspace: Workspace, request: ScoreRequest, run: Run, progress: Progress = silent
) -> ScoreReport:
    """Recommend items to the users and publish the file of the day, whole or not at all.

    Raises: ModelError, InputError, OutputError, LockedError; the old file then stays as it was.
    """
    with locked(workspace.lock(f"date={request.day}"), f"the recommendations of {request.day}"):
        with run.stages.stage("load model"):
            bundle = open_bundle(workspace, request.day)
        with run.stages.stage("features"):
            partition = open_features(workspace, request.day)
        key = _key(workspace, request, bundle, partition)
        folder = workspace.recommendations(request.day)
        before = published_manifest(folder)
        if before is not None and before["key"] == key and not request.force:
            logger.info("the recommendations of {} are complete", request.day)
            return ScoreReport(request.day, folder / RECOMMENDATIONS, before, already_complete=True)
        users = _users(partition, request, before)
        with run.stages.stage("open day"):
            day = open_serving_day(workspace, bundle, partition)
        staged = run.folder / RECOMMENDATIONS
        metadata = {
            "recsys.date": str(request.day),
            "recsys.model_version": bundle.version,
            "recsys.key": key,
        }
        try:
            counts = _score_chunks(
                workspace, request, run, bundle, partition, day, users, staged, metadata, progress
            )
            with run.stages.stage("publish"):
                manifest = _manifest(request, run, bundle, partition, key, counts)
                publish(staged, folder, manifest)
        finally:
            staged.unlink(missing_ok=True)
    return ScoreReport(request.day, folder / RECOMMENDATIONS, manifest, already_complete=False)


def _score_chunks(
    workspace: Workspace,
    request: ScoreRequest,
    run: Run,
    bundle: Bundle,
    partition: Partition,
    day: ServingDay,
    users: np.ndarray,
    staged: Path,
    metadata: dict[str, str],
    progress: Progress,
) -> Counts:
    features, settings = partition.features, workspace.settings
    top_k = request.top_k or settings.scoring.top_k
    counts = Counts(eligible_items=int(features.items["eligible"].sum()))
    with RecommendationsWriter(staged, features.users[USER_ID], features.items[ITEM_ID], metadata) as writer:
        progress(0, len(users))
        for start in range(0, len(users), settings.scoring.chunk_users):
            chunk = users[start : start + settings.scoring.chunk_users]
            with run.stages.stage("rank"):
                ranked = rank_users(chunk, day, bundle.model.ranker, workspace.threads)
                top = ranked.filter(pl.col(RANK) <= top_k).select(USER, ITEM, RANK, SCORE, SOURCES)
            with run.stages.stage("write"):
                writer.write(top)
                _count(counts, chunk, ranked.height, top, day, top_k)
            progress(counts.users, len(users))
    return counts


def _count(
    counts: Counts, chunk: np.ndarray, candidates: int, top: pl.DataFrame, day: ServingDay, top_k: int
) -> None:
    counts.users += len(chunk)
    counts.warm += int((np.diff(day.history[chunk].indptr) > 0).sum())
    counts.candidates += candidates
    counts.recommendations += len(top)
    counts.short_lists += len(chunk) - int((top[RANK] == top_k).sum())
    for name, rows in source_counts(top, day.generators).items():
        counts.by_source[name] = counts.by_source.get(name, 0) + rows
    counts.items.update(top[ITEM].unique().to_list())


def _key(workspace: Workspace, request: ScoreRequest, bundle: Bundle, partition: Partition) -> str:
    """Return a hash of all that decides the bytes of the file."""
    settings = workspace.settings
    asked = sorted(request.user_ids) if request.user_ids is not None else None
    parts = [str(request.day), bundle.version, partition.content_hash, settings.scoring.filter_viewed]
    return sha256_of_json([*parts, request.top_k or settings.scoring.top_k, asked])


def _users(partition: Partition, request: ScoreRequest, before: dict[str, Any] | None) -> np.ndarray:
    ids = partition.features.users[USER_ID]
    if request.user_ids is None:
        return np.arange(len(ids), dtype=np.uint32)
    if before is not None and before["all_users"] and not request.force:
        raise OutputError(
            f"the lists of all users are published for {request.day}; those of some would replace them",
            where=f"date={request.day}",
            fix="look at one user with `recsys explain USER_ID`, or give --force to replace the file",
        )
    asked = pl.Series("asked", sorted(set(request.user_ids)), dtype=pl.String)
    places = pl.DataFrame({"asked": ids.cast(pl.String)}).with_row_index(USER)
    found = asked.to_frame().join(places, on="asked", how="left")
    unknown = found.filter(pl.col(USER).is_null())["asked"].to_list()
    if unknown:
        raise UnknownUserError(
            f"{len(unknown):,} of {len(asked):,} users are unknown before {request.day}: {', '.join(unknown[:5])}",
            where="--users",
            fix="give ids of the users table or of the interactions before the date",
        )
    return found[USER].sort().to_numpy()


def _manifest(
    request: ScoreRequest, run: Run, bundle: Bundle, partition: Partition, key: str, counts: Counts
) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "date": str(request.day),
        "key": key,
        "run_id": run.run_id,
        "started": run.started.isoformat(timespec="seconds"),
        "model_version": bundle.version,
        "features_content_hash": partition.content_hash,
        "all_users": request.user_ids is None,
        "rows": counts.recommendations,
        **counts.facts(),
    }

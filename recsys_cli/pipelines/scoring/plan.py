"""`score --plan`: what a scoring run will take, predicted from real chunks before any of it is done."""

from collections import deque

import numpy as np
import polars as pl

from recsys_cli.models.candidates.registry import popularity_sources
from recsys_cli.models.postprocessing.rule_tables import NO_RULE, PlacedBy
from recsys_cli.pipelines.scoring.batches import RankedBatch, batch_of
from recsys_cli.pipelines.scoring.job import Job, ScoreRequest, open_job
from recsys_cli.pipelines.scoring.local_engine import SPAN, Chunk, Ranking, some_spans
from recsys_cli.pipelines.scoring.rule_figures import sampled_effects
from recsys_cli.pipelines.scoring.statistics import ScoreCounts
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.plans import read_plan
from recsys_cli.pipelines.workspace.promoted_model import without_unused_deliveries
from recsys_cli.pipelines.workspace.run_record import Run
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import MARKS, PLACED_BY, RANK, RULE, SCORE, SOURCES, USER
from recsys_cli.utils.json_record import Count, JsonRecord, Seconds, Word
from recsys_cli.utils.stage_timer import peak_bytes, process_seconds
from recsys_cli.utils.storage.folder_checks import check_writable
from recsys_cli.utils.storage.folder_exchange import check_replaceable
from recsys_cli.utils.storage.json_files import write_sealed_json
from recsys_cli.utils.storage.locks import locked

_SPANS, _CHUNKS = 3, 8  # that are tried: spans of users, and chunks of each


class ScoringPlan(JsonRecord):
    """What scoring will take.

    Attributes:
        key: of the run that it is made for, as in a manifest.
        seconds: of the whole process.
        peak_bytes: of memory; disk_bytes: of the published file.
        chunk_users: users ranked at a time, by a thread.
        sampled_users: whose ranking the prediction comes from.
    """

    key: Word
    users: Count
    seconds: Seconds
    peak_bytes: Count
    disk_bytes: Count
    chunk_users: Count
    sampled_users: Count


def plan_scoring(workspace: Workspace, request: ScoreRequest, run: Run) -> ScoringPlan:
    """Rank some chunks of users, publish nothing, and predict what all of them will take; store the plan.

    Raises: as `score_users` does: it works under the same lock.
    """
    day = without_unused_deliveries(ScoringDay(workspace, request.day))
    check_writable(day.recommendations)
    check_replaceable(day.recommendations)
    with locked(day.lock, f"the recommendations of {day}"):
        job = open_job(day, request, run)
        users, ranking = job.users(), job.open()
        with run.stages.stage("calibration"):
            plan = _calibrated(job, users, ranking)
    write_sealed_json(day.plan, plan.as_json())
    return plan


def stored_plan(day: ScoringDay, key: str) -> ScoringPlan | None:
    """Return the plan that was made for a run, None where there is none."""
    plan = read_plan(day.plan, ScoringPlan)
    return plan if plan is not None and plan.key == key else None


def _calibrated(job: Job, users: np.ndarray, ranking: Ranking) -> ScoringPlan:
    staged = job.day.plan.with_suffix(".parquet")
    staged.parent.mkdir(parents=True, exist_ok=True)
    counts = ScoreCounts(job.request.top_k, popularity_sources(job.bundle.model.stage.settings))
    spans = _tried_spans(users)
    try:
        with job.writer(staged) as writer:
            warm = users[: ranking.threads * ranking.limits.chunk_users]
            deque(
                ranking.ranked(ranking.chunks(warm)), maxlen=0
            )  # loads what is compiled, and fills the memory
            if ranking.items.lists is not None:
                sampled_effects(ranking, users)  # takes as long, however many users there are
            opened = process_seconds()
            chunks = [chunk for span in spans for chunk in _tried_chunks(span, ranking)]
            read = process_seconds()
            # Together: as in a run, the threads wait for each other once, not behind each span.
            batch = _as_lists(batch_of(list(ranking.ranked(chunks))), job.request.top_k)
            writer.write(batch.top)
            counts.add(batch)
            ranked = process_seconds()
        size = staged.stat().st_size
    finally:
        staged.unlink(missing_ok=True)
    per_user = (read - opened) / max(sum(map(len, spans)), 1) + (ranked - read) / max(counts.users, 1)
    return ScoringPlan(
        key=job.key,
        users=len(users),
        seconds=round(opened + per_user * len(users), 2),
        peak_bytes=peak_bytes(),
        disk_bytes=round(size / max(counts.users, 1) * len(users)),
        chunk_users=ranking.limits.chunk_users,
        sampled_users=counts.users,
    )


def _as_lists(batch: RankedBatch, top_k: int) -> RankedBatch:
    """Return the batch with each user's first pairs as its lists, where quotas are still to choose them."""
    if MARKS not in batch.top.columns:
        return batch
    order = pl.col(SCORE).rank("ordinal", descending=True).over(USER).cast(pl.UInt16)
    first = batch.top.with_columns(order.alias(RANK)).filter(pl.col(RANK) <= top_k).sort(USER, RANK)
    named = first.with_columns(
        pl.col(SOURCES).cast(pl.String),
        pl.lit(NO_RULE, dtype=pl.Int8).alias(RULE),
        pl.lit(int(PlacedBy.SCORE), dtype=pl.UInt8).alias(PLACED_BY),
    )
    return RankedBatch(batch.figures, named)


def _tried_spans(users: np.ndarray) -> list[np.ndarray]:
    """Return the users of some spans, spread over all of them."""
    return [users[users // SPAN == span] for span in some_spans(users, _SPANS)]


def _tried_chunks(span: np.ndarray, ranking: Ranking) -> list[Chunk]:
    """Return some chunks of a span, its first and last ones among them."""
    size = ranking.limits.chunk_users
    starts = np.unique(np.linspace(0, max(len(span) - size, 0), _CHUNKS).astype(int))
    numbers = np.unique(np.concatenate([np.arange(s, min(s + size, len(span))) for s in starts]))
    return list(ranking.chunks(span[numbers]))

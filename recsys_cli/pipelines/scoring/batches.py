"""Ranked batches of a scoring run: the lists of consecutive users, and what ranking them gave."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import polars as pl
from pydantic import Field

from recsys_cli.configs.sections import ScoringSettings
from recsys_cli.models.candidates.definition import EXACT
from recsys_cli.models.evaluation.index_recall import checked_recall
from recsys_cli.pipelines.scoring.local_engine import RankedChunk, Ranking
from recsys_cli.utils.columns import RAW_SCORE
from recsys_cli.utils.json_record import Count, JsonRecord, Share
from recsys_cli.utils.progress import Progress
from recsys_cli.utils.stage_timer import StageTimer

_CHUNKS, _SECONDS = 32, 5.0  # a batch ends once it has as many chunks, or took as long

Result = TypeVar("Result")


class BatchFigures(JsonRecord):
    """What ranking some users gave beside their lists.

    Attributes:
        example: index of the user to show in `explain`; fitness: how good an example it is.
        index_recall: share of the exact lists that the index finds; None where all items are looked at.
        unmet: users for whom each rule could not be met, by its number; empty where there are no rules.
    """

    users: Count
    warm: Count
    candidates: Count
    example: Count
    fitness: int
    index_recall: Share | None
    unmet: list[Count] = Field(default_factory=list)


@dataclass(frozen=True)
class RankedBatch:
    """The lists of consecutive users by internal index: user, item, rank, score, sources.

    With rules also rule i8 (its number), placed_by u8 (a code of `PlacedBy`) and, where it is on, propensity.
    """

    figures: BatchFigures
    top: pl.DataFrame


def ranked_batches(
    ranking: Ranking, users: np.ndarray, settings: ScoringSettings, stages: StageTimer, progress: Progress
) -> Iterator[RankedBatch]:
    """Rank users and yield batches, some chunks of a span each: a killed run loses little.

    Raises: CheckFailedError where the index finds too little of the exact lists.
    """
    recall, ranked = None, 0
    done: list[RankedChunk] = []
    began = time.monotonic()
    for chunk in _timed(stages, ranking.ranked(ranking.chunks(users))):
        if settings.index != EXACT and recall is None:
            with stages.stage("index recall"):
                recall = checked_recall(chunk.chunk.day, settings)
        progress(ranked, len(users))
        ranked += len(chunk.chunk.users)
        if done and done[0].chunk.first != chunk.chunk.first:
            yield batch_of(done, recall)
            done, began = [], time.monotonic()
        done.append(chunk)
        if len(done) == _CHUNKS or time.monotonic() - began > _SECONDS:
            yield batch_of(done, recall)
            done, began = [], time.monotonic()
    if done:
        yield batch_of(done, recall)
    progress(len(users), len(users))


def batch_of(chunks: Sequence[RankedChunk], recall: float | None = None) -> RankedBatch:
    """Return the chunks' lists and figures together."""
    fitness, example = max((one.example for one in chunks), key=lambda pair: pair[0])
    figures = BatchFigures(
        users=sum(len(one.chunk.users) for one in chunks),
        warm=sum(int((one.chunk.viewed > 0).sum()) for one in chunks),
        candidates=sum(one.candidates for one in chunks),
        example=example,
        fitness=fitness,
        index_recall=recall,
        unmet=np.sum([one.unmet for one in chunks], axis=0).tolist(),
    )
    return RankedBatch(figures, pl.concat(one.top for one in chunks).drop(RAW_SCORE, strict=False))


def _timed(stages: StageTimer, results: Iterator[Result]) -> Iterator[Result]:
    """Yield the results; the time spent waiting for each counts as ranking."""
    while True:
        with stages.stage("rank"):
            result = next(results, None)
        if result is None:
            return
        yield result

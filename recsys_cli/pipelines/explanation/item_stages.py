"""Why an item is in a user's list, or why not: the stage that decided, and by how much."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from recsys_cli.data_preparation.features.day_features import DAYS_AGO, EVENTS, FeatureTables, available
from recsys_cli.data_preparation.tables.ids import close_ids, index_of
from recsys_cli.models.candidates.protocol import CandidateGenerator, Pairs
from recsys_cli.models.reranking.ranker import Ranker
from recsys_cli.models.two_stage import BoundDay
from recsys_cli.utils.columns import (
    AVAILABLE_FROM,
    AVAILABLE_UNTIL,
    ELIGIBLE,
    EXCLUDED,
    ITEM,
    ITEM_ID,
    RANK,
    RAW_SCORE,
    SCORE,
    TITLE,
)
from recsys_cli.utils.errors import UnknownItemError

ALONE = np.zeros(1, dtype=np.uint32)  # the only user's internal index


class Stage(StrEnum):
    """Where it was decided whether an item is in a list, in the order of the stages."""

    VIEWED = "viewed"
    UNAVAILABLE = "unavailable"
    EXCLUDED = "excluded"
    NOT_PROPOSED = "not proposed"
    NOT_SHORTLISTED = "not shortlisted"
    RERANKED = "reranked"
    RECOMMENDED = "recommended"


@dataclass(frozen=True)
class RankedUser:
    """A user's candidates in the ranker's order, with every feature; the first `top_k` are the list."""

    frame: pl.DataFrame
    top_k: int
    ranker: Ranker

    @cached_property
    def contributions(self) -> np.ndarray:
        """SHAP values of the list and of as many candidates behind it, (rows, columns + 1), the base last."""
        return self.ranker.contributions(self.frame.head(2 * self.top_k))

    def place(self, item: int) -> int | None:
        """Return the row of an item, None where it is no candidate."""
        found = (self.frame[ITEM] == item).arg_true()
        return int(found[0]) if len(found) else None


def explain_item(
    item_id: str, features: FeatureTables, serving: BoundDay, ranked: RankedUser
) -> dict[str, Any]:
    """Return the stage that decided about an item, and what it decided by; plain data.

    Args:
        features, serving: of the user alone.

    Returns: `stage`, `blocked_by` (all of the first three that hold), `sources` (rank and score that each
        gives the item among all that may be proposed, the rank that it needed, and whether it proposed the
        item) and, of a candidate, `rank`, `score`, `raw_score`, `base_value`, `contributions` and `against`:
        by feature, the contribution less that of the last recommended item.

    Raises: UnknownItemError with close matches.
    """
    item = _find(item_id, features)
    row = features.items.row(item, named=True)
    viewed = _viewed(item, features) if serving.filter_viewed else None
    blocked = _blocked_by(row, features.day, is_viewed=viewed is not None)
    place = ranked.place(item)
    return {
        ITEM_ID: row[ITEM_ID],
        TITLE: row[TITLE],
        "stage": str(_stage(blocked, place, ranked)),
        "blocked_by": [str(stage) for stage in blocked],
        "viewed": viewed,
        AVAILABLE_FROM: _text(row[AVAILABLE_FROM]),
        AVAILABLE_UNTIL: _text(row[AVAILABLE_UNTIL]),
        "sources": {source.name: _source(source, item, serving, features) for source in serving.generators},
        **({} if place is None else _ranked(place, ranked)),
    }


def left_out(features: FeatureTables, serving: BoundDay) -> dict[str, int]:
    """Return how many items each of the first stages keeps from the user; each item counts at the first."""
    items, day = features.items, features.day
    viewed = pl.Series(values=np.zeros(len(items), dtype=bool))
    if serving.filter_viewed:
        viewed = pl.Series(values=np.isin(np.arange(len(items)), features.pairs[ITEM].to_numpy()))
    unavailable = items.select(~available(day)).to_series() & ~viewed
    excluded = items[EXCLUDED].fill_null(False) & ~viewed & ~unavailable
    counts = (viewed.sum(), unavailable.sum(), excluded.sum())
    stages = (Stage.VIEWED, Stage.UNAVAILABLE, Stage.EXCLUDED)
    return {str(stage): int(count) for stage, count in zip(stages, counts, strict=True)}


def _find(item_id: str, features: FeatureTables) -> int:
    ids = features.items[ITEM_ID]
    place = index_of(ids, item_id)
    if place is not None:
        return place
    raise UnknownItemError(
        f"item {item_id!r} is unknown before {features.day}",
        where="--item",
        fix=f"close ids: {', '.join(close_ids(ids, item_id))}",
    )


def _viewed(item: int, features: FeatureTables) -> dict[str, Any] | None:
    own = features.pairs.filter(pl.col(ITEM) == item)
    if own.is_empty():
        return None
    row = own.row(0, named=True)
    return {"events": row[EVENTS], "days_ago": round(row[DAYS_AGO], 2)}


def _blocked_by(row: dict[str, Any], day: date, *, is_viewed: bool) -> list[Stage]:
    item = pl.DataFrame([row], schema_overrides={AVAILABLE_FROM: pl.Date, AVAILABLE_UNTIL: pl.Date})
    is_available = item.select(available(day)).item()
    holds = {
        Stage.VIEWED: is_viewed,
        Stage.UNAVAILABLE: not is_available,
        Stage.EXCLUDED: bool(row[EXCLUDED]),
    }
    return [stage for stage, does in holds.items() if does]


def _stage(blocked: list[Stage], place: int | None, ranked: RankedUser) -> Stage:
    if blocked:
        return blocked[0]
    if place is None:
        return Stage.NOT_PROPOSED
    if place < ranked.top_k:
        return Stage.RECOMMENDED
    return Stage.NOT_SHORTLISTED if ranked.frame[RAW_SCORE][place] is None else Stage.RERANKED


def _source(
    source: CandidateGenerator, item: int, serving: BoundDay, features: FeatureTables
) -> dict[str, Any]:
    """Return the place that a source gives an item among all that it may propose to the user."""
    chunk, size = serving.chunk(ALONE), len(features.items)
    told = source.score(chunk)
    everything = Pairs(np.array([0, size], dtype=np.int64), np.arange(size, dtype=np.int32))
    scores = told.of_pairs(everything)
    rivals = features.items[ELIGIBLE].to_numpy().copy()
    rivals[chunk.viewed.indices] = False
    score = float(scores[item])
    knows = np.isfinite(score) and (source.floor_is_last or score > 0)
    return {
        "proposed": bool((told.lists[0] == item).any()),
        RANK: 1 + int((scores[rivals] > score).sum()) if knows else None,
        SCORE: score if np.isfinite(score) else None,
        "needed": int(told.lists.shape[1]),
    }


def _ranked(place: int, ranked: RankedUser) -> dict[str, Any]:
    row = ranked.frame.row(place, named=True)
    last = min(ranked.top_k, len(ranked.frame)) - 1
    pair = ranked.ranker.contributions(ranked.frame[[place, last]])
    names = ranked.ranker.columns
    return {
        RANK: row[RANK],
        SCORE: row[SCORE],
        RAW_SCORE: row[RAW_SCORE],
        "candidates": len(ranked.frame),
        "base_value": float(pair[0, -1]),
        "contributions": dict(zip(names, pair[0, :-1].tolist(), strict=True)),
        "features": plain({name: row[name] for name in names}),
        "against": dict(zip(names, (pair[0, :-1] - pair[1, :-1]).tolist(), strict=True)),
    }


def plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values that JSON has: no NaN."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in values.items()
    }


def _text(value: date | None) -> str | None:
    return None if value is None else str(value)

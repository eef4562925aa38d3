"""A user's own history as a source, where lists may hold what the user has had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from recsys_cli.configs.source_sections import SourceSettings
from recsys_cli.data_preparation.features.feature_tables import (
    ACTIVE_DAYS,
    DAYS_AGO,
    STRENGTH,
    FeatureTables,
)
from recsys_cli.models.candidates.definition import BoundSource, SourceDay, SourceDefinition
from recsys_cli.models.candidates.protocol import ChunkScores, Pairs, UserChunk
from recsys_cli.utils.columns import ELIGIBLE, ITEM, RANK, SEEN, USER

if TYPE_CHECKING:
    from scipy import sparse


class HistorySettings(SourceSettings):
    """The user's own items, where lists may hold them."""

    def is_on(self, *, filter_viewed: bool) -> bool:
        """Return whether the source proposes items: only where a list may hold what the user already has."""
        return not filter_viewed and super().is_on(filter_viewed=filter_viewed)


@dataclass(frozen=True)
class HistoryGenerator:
    """The user's own items, by the days on which they were taken, then by the last of these.

    Attributes:
        scores: (users, items) days with an event, or its events' weight, plus less than one for recency.
        ranks: the same cells, the user's own order from 1; ineligible items have none.
    """

    scores: sparse.csr_matrix
    ranks: sparse.csr_matrix
    num_candidates: int
    name: str = "history"
    floor_is_last: bool = False

    def score(self, chunk: UserChunk) -> ChunkScores:
        """Return each user's own items."""
        ranks = self.ranks[chunk.users].tocoo()
        keep = np.flatnonzero(ranks.data <= self.num_candidates)
        lists = np.full((len(chunk), min(self.num_candidates, chunk.size)), -1, dtype=np.int32)
        lists[ranks.row[keep], ranks.data[keep].astype(np.int64) - 1] = ranks.col[keep]
        return _HistoryScores(lists, self.scores[chunk.users])


@dataclass(frozen=True)
class _HistoryScores:
    lists: np.ndarray
    scores: sparse.csr_matrix

    def of_pairs(self, pairs: Pairs) -> np.ndarray:
        if len(pairs) == 0:
            return np.empty(0, dtype=np.float32)
        return np.asarray(self.scores[pairs.rows, pairs.items], dtype=np.float32).ravel()


def history_generator(
    features: FeatureTables, settings: HistorySettings, *, filter_viewed: bool = False
) -> HistoryGenerator:
    """Order each user's own eligible items.

    Args:
        filter_viewed: whether items that the user has seen are left out.
    """
    days = STRENGTH if STRENGTH in features.pairs.columns else ACTIVE_DAYS
    score = pl.col(days).cast(pl.Float32) + 1 / (2 + pl.col(DAYS_AGO))
    eligible = features.items.select(pl.col(ELIGIBLE)).with_row_index(ITEM).filter(ELIGIBLE)
    own = features.pairs.select(USER, ITEM, score.cast(pl.Float32).alias("score"), "^seen$")
    open_pairs = own.filter(~pl.col(SEEN)) if filter_viewed and SEEN in own.columns else own
    ranked = open_pairs.join(eligible.select(ITEM), on=ITEM, how="semi").sort(
        USER, "score", ITEM, descending=[False, True, False]
    )
    ranked = ranked.with_columns(pl.int_range(1, pl.len() + 1).over(USER).alias(RANK))
    shape = (len(features.users), len(features.items))
    return HistoryGenerator(
        _matrix(own, "score", shape), _matrix(ranked, RANK, shape), settings.num_candidates
    )


def _matrix(pairs: pl.DataFrame, column: str, shape: tuple[int, int]) -> sparse.csr_matrix:
    from scipy import sparse

    cells = pairs[column].cast(pl.Float32).to_numpy()
    return sparse.csr_matrix((cells, (pairs[USER].to_numpy(), pairs[ITEM].to_numpy())), shape=shape)


def _bind(day: SourceDay[HistorySettings]) -> BoundSource:
    return lambda users: history_generator(users.features, day.settings, filter_viewed=users.filter_viewed)


HISTORY = SourceDefinition(
    name="history",
    summary="the user's own items, where lists may hold them",
    settings=HistorySettings,
    bind=_bind,
)
SOURCES = (HISTORY,)

"""Recent popularity: the same order for everybody, without what a user already has."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl

from recsys_cli.data_preparation.features import FeatureTables
from recsys_cli.models.candidates.protocol import UserChunk
from recsys_cli.models.candidates.unseen import fetch_sizes, first_unseen
from recsys_cli.utils.columns import ELIGIBLE, ITEM


@dataclass(frozen=True)
class PopularGenerator:
    """Items in order of their events in the recent window.

    Attributes:
        order: internal item indices, the most popular eligible item first.
        share: each item's share of the window's events, by internal index.
    """

    name: ClassVar[str] = "popular"
    order: np.ndarray
    share: np.ndarray
    num_candidates: int

    def propose(self, chunk: UserChunk) -> pl.DataFrame:
        """Return the most popular items that each user has not viewed."""
        parts = []
        for rows, size in fetch_sizes(chunk, self.num_candidates, len(self.order)):
            items = np.broadcast_to(self.order[:size], (len(rows), size))
            parts.append(first_unseen(chunk, rows, items, self.share[items], self.num_candidates))
        return pl.concat(parts)

    def score_pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return the items' shares of the window's events."""
        del users
        return np.asarray(self.share[items])


def popular_generator(features: FeatureTables, window_days: int, num_candidates: int) -> PopularGenerator:
    """Order the eligible items by events in the last `window_days`, then by all events, then by index."""
    recent = features.items[f"item_events_{window_days}d"]
    ranked = (
        features.items.with_columns(recent.alias("recent"))
        .with_row_index(ITEM)
        .filter(ELIGIBLE)
        .sort("recent", "item_events", ITEM, descending=[True, True, False])
    )
    share = recent.to_numpy() / max(float(recent.sum()), 1.0)
    return PopularGenerator(
        ranked[ITEM].to_numpy().astype(np.int64), share.astype(np.float32), num_candidates
    )

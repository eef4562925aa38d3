"""Recent popularity among everybody, without what a user already has."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl
from pydantic import Field

from recsys_cli.configs.fields import Days
from recsys_cli.configs.source_sections import SourceSettings
from recsys_cli.data_preparation.features.feature_tables import DayFeatures, FeatureTables
from recsys_cli.data_preparation.features.type_features import item_amount
from recsys_cli.models.candidates.definition import Between, BoundSource, SourceDay, SourceDefinition
from recsys_cli.models.candidates.protocol import ChunkScores, Pairs, UserChunk
from recsys_cli.utils.columns import ELIGIBLE


class PopularSettings(SourceSettings):
    """A source for each window, of the events of the last days."""

    windows_days: list[Days] = Field(
        [7, 14, 30], min_length=1, description="each one of features.windows_days"
    )

    def names(self, section: str) -> tuple[str, ...]:
        """Return the name of the source of each window."""
        del section
        return tuple(map(popular_name, self.windows_days))

    def without(self, names: Collection[str]) -> Self:
        """Return the section without the windows of these sources."""
        kept = [days for days in self.windows_days if popular_name(days) not in names]
        return self.model_copy(update={"windows_days": kept} if kept else {"num_candidates": 0})

    @property
    def feature_windows(self) -> Sequence[int]:
        """The windows of `features.windows_days` that the source reads, in days."""
        return self.windows_days


@dataclass(frozen=True)
class PopularGenerator:
    """Items in order of their share of recent events.

    Attributes:
        segments: each user's segment, by internal index.
        orders: (segments, eligible items) internal item indices, the most popular first.
        shares: (segments, items) f32, each item's share of the segment's recent events.
    """

    name: str
    segments: np.ndarray
    orders: np.ndarray
    shares: np.ndarray
    num_candidates: int
    floor_is_last: bool = False

    def score(self, chunk: UserChunk) -> ChunkScores:
        """Return the most popular items that each user has not viewed."""
        from recsys_cli.models.kernels.top_k import first_unviewed

        segments, viewed = self.segments[chunk.users], chunk.viewed
        wanted = min(self.num_candidates, chunk.size)
        lists = first_unviewed(self.orders, segments, viewed.indptr, viewed.indices, chunk.size, wanted)
        return _PopularScores(lists, segments, self.shares)


@dataclass(frozen=True)
class _PopularScores:
    lists: np.ndarray
    segments: np.ndarray
    shares: np.ndarray

    def of_pairs(self, pairs: Pairs) -> np.ndarray:
        from recsys_cli.models.kernels.pair_scores import cells_of_pairs

        return np.asarray(cells_of_pairs(self.shares, self.segments, pairs.indptr, pairs.items))


@dataclass(frozen=True)
class PopularLists:
    """The orders of a day's items; a user's is that of a value of its column `feature`, or the only one.

    Attributes:
        values: the value of each order; users of any other see that of None.
    """

    name: str
    feature: str | None
    values: tuple[str | None, ...]
    orders: np.ndarray
    shares: np.ndarray
    num_candidates: int

    def of_users(self, features: FeatureTables) -> PopularGenerator:
        """Return the source for these users."""
        return PopularGenerator(
            self.name, self._segments(features), self.orders, self.shares, self.num_candidates
        )

    def _segments(self, features: FeatureTables) -> np.ndarray:
        if self.feature is None:
            return np.zeros(len(features.users), dtype=np.int32)
        codes = [pl.lit(len(self.values) - 1, dtype=pl.Int32)]
        known = pl.Enum([value for value in self.values if value is not None])
        found = pl.col(self.feature).cast(known, strict=False).to_physical().cast(pl.Int32)
        return features.users.select(pl.coalesce(found, *codes)).to_series().to_numpy()


def popular_name(days: int) -> str:
    """Return the name of the source that counts the events of the last `days`."""
    return f"popular_{days}d"


def popular_lists(features: DayFeatures, days: int, num_candidates: int) -> PopularLists:
    """Return eligible items by the events of a window or their weights, then by all events and index."""
    events = features.items[item_amount(features.items.columns, days)].to_numpy()
    shares = (events / max(float(events.sum()), 1.0)).astype(np.float32)[None, :]
    orders = orders_of(shares, features)
    return PopularLists(popular_name(days), None, (None,), orders, shares, num_candidates)


def orders_of(shares: np.ndarray, features: DayFeatures) -> np.ndarray:
    """Return (segments, eligible items) item indices by share, then by all events, then by index."""
    eligible = np.flatnonzero(features.items[ELIGIBLE].to_numpy())
    everywhere = features.items[item_amount(features.items.columns)].to_numpy()[eligible]
    by_events = eligible[np.argsort(-everywhere, kind="stable")]
    return by_events[np.argsort(-shares[:, by_events], axis=1, kind="stable")].astype(np.int32)


def _bind(day: SourceDay[PopularSettings]) -> BoundSource:
    windows = {popular_name(days): days for days in day.settings.windows_days}
    lists = popular_lists(day.features, windows[day.name], day.settings.num_candidates)
    return lambda users: lists.of_users(users.features)


POPULAR = SourceDefinition(
    name="popular",
    summary="items with the most events of the last days: a source for each window",
    settings=PopularSettings,
    bind=_bind,
    is_popularity=True,
    bounds={"num_candidates": Between(40, 200)},
)
SOURCES = (POPULAR,)

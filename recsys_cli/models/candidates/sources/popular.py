"""Recent popularity, of everybody or of the user's own segment, without what a user already has."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys_cli.configs.candidate_sections import PopularSettings, SegmentSettings
from recsys_cli.configs.source_names import SEGMENT, popular_name
from recsys_cli.data_preparation.features.day_features import DAYS_AGO, DayFeatures, FeatureTables
from recsys_cli.models.candidates.protocol import ChunkScores, Pairs, UserChunk
from recsys_cli.models.kernels.pair_scores import cells_of_pairs
from recsys_cli.models.kernels.top_k import first_unviewed
from recsys_cli.utils.columns import ELIGIBLE, ITEM, USER
from recsys_cli.utils.errors import SettingsError

_PRIOR = 50.0  # events that a segment borrows from everybody
_MOST_SEGMENTS = 200  # users with another value see everybody's popularity


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


def popular_lists(features: DayFeatures, settings: PopularSettings) -> list[PopularLists]:
    """Return the lists of each window: eligible items by events in it, then by all events, then by index."""
    lists = []
    for days in settings.windows_days:
        events = features.items[f"item_events_{days}d"].to_numpy()
        shares = (events / max(float(events.sum()), 1.0)).astype(np.float32)[None, :]
        orders, wanted = _orders(shares, features), settings.num_candidates
        lists.append(PopularLists(popular_name(days), None, (None,), orders, shares, wanted))
    return lists


def segment_lists(features: DayFeatures, settings: SegmentSettings) -> PopularLists | None:
    """Return popularity among the users who share a value of a categorical feature; None without one.

    A segment's shares are shrunk towards everybody's. Users without the value see everybody's.

    Raises: SettingsError for a named feature that is not there or makes no segments.
    """
    names = segment_features(features)
    if settings.feature and settings.feature not in names:
        raise SettingsError(
            f"{settings.feature!r} is no text feature of the users",
            where="candidates.segment.feature",
            fix=f"name one of: {', '.join(names) or 'there is none'}; or leave it empty",
        )
    name = settings.feature or next(iter(names), None)
    if name is None:
        return None
    values = _frequent(features, name)
    known = pl.when(pl.col(name).is_in(values.to_list())).then(name)
    users = features.lazy("users").select(known).with_row_index(USER)
    recent = features.lazy("pairs").filter(pl.col(DAYS_AGO) <= settings.window_days)
    pairs = recent.join(users, on=USER).group_by(name, ITEM).len().collect()
    rows = pairs[name].cast(pl.Enum(values)).to_physical().fill_null(len(values)).to_numpy()
    counts = np.zeros((len(values) + 1, len(features.items)))
    counts[rows, pairs[ITEM].to_numpy()] = pairs["len"].to_numpy()
    everybody = counts.sum(axis=0) / max(counts.sum(), 1.0)
    counts[-1] = 0.0
    shares = ((counts + _PRIOR * everybody) / (counts.sum(axis=1, keepdims=True) + _PRIOR)).astype(np.float32)
    return PopularLists(
        SEGMENT,
        name,
        (*values.to_list(), None),
        _orders(shares, features),
        shares,
        settings.num_candidates,
    )


def _frequent(features: DayFeatures, name: str) -> pl.Series:
    """Return the values that most users have, ascending: each is a row as wide as the catalogue."""
    counts = features.lazy("users").select(pl.col(name).drop_nulls().value_counts()).unnest(name)
    order = counts.sort("count", name, descending=[True, False]).head(_MOST_SEGMENTS)
    return order.select(pl.col(name).sort()).collect()[name]


def segment_features(features: DayFeatures) -> list[str]:
    """Return the declared features of users that can make segments: text of one value."""
    return [name for name in features.user_features if features.user_schema[name] == pl.String]


def _orders(shares: np.ndarray, features: DayFeatures) -> np.ndarray:
    eligible = np.flatnonzero(features.items[ELIGIBLE].to_numpy())
    everywhere = features.items["item_events"].to_numpy()[eligible]
    by_events = eligible[np.argsort(-everywhere, kind="stable")]
    return by_events[np.argsort(-shares[:, by_events], axis=1, kind="stable")].astype(np.int32)

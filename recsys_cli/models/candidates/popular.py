"""Recent popularity, of everybody or of the user's own segment, without what a user already has."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys_cli.configs.sections import PopularSettings, SegmentSettings
from recsys_cli.data_preparation.features import DAYS_AGO, FeatureTables
from recsys_cli.models.candidates.loops import cells_of_pairs, first_unviewed
from recsys_cli.models.candidates.protocol import ChunkScores, Pairs, UserChunk
from recsys_cli.utils.columns import ELIGIBLE, ITEM, USER

_PRIOR = 50.0  # events that a segment borrows from everybody
_OTHERS = "\0"  # the segment of users whose value is missing


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


def popular_generators(features: FeatureTables, settings: PopularSettings) -> list[PopularGenerator]:
    """Return a generator a window: eligible items by events in it, then by all events, then by index."""
    everybody = np.zeros(len(features.users), dtype=np.int32)
    generators = []
    for days in settings.windows_days:
        events = features.items[f"item_events_{days}d"].to_numpy()
        shares = (events / max(float(events.sum()), 1.0)).astype(np.float32)[None, :]
        generators.append(
            PopularGenerator(
                popular_name(days), everybody, _orders(shares, features), shares, settings.num_candidates
            )
        )
    return generators


def popular_name(days: int) -> str:
    """Return the name of the source that counts the events of the last `days`."""
    return f"popular_{days}d"


def segment_generator(features: FeatureTables, settings: SegmentSettings) -> PopularGenerator | None:
    """Return popularity among the users who share a value of a categorical feature; None without one.

    A segment's shares are shrunk towards everybody's. Users without the value see everybody's.
    """
    name = settings.feature or next(iter(segment_features(features)), "")
    if name not in features.user_features:
        return None
    values = features.users[name].fill_null(_OTHERS)
    kind = pl.Enum(values.unique().sort())
    segments = values.cast(kind).to_physical().to_numpy().astype(np.int32)
    recent = features.pairs.filter(pl.col(DAYS_AGO) <= settings.window_days)
    counts = np.zeros((len(kind.categories), len(features.items)))
    np.add.at(counts, (segments[recent[USER].to_numpy()], recent[ITEM].to_numpy()), 1.0)
    everybody = counts.sum(axis=0) / max(counts.sum(), 1.0)
    counts[kind.categories.to_numpy() == _OTHERS] = 0.0
    shares = ((counts + _PRIOR * everybody) / (counts.sum(axis=1, keepdims=True) + _PRIOR)).astype(np.float32)
    return PopularGenerator(
        "popular_segment", segments, _orders(shares, features), shares, settings.num_candidates
    )


def segment_features(features: FeatureTables) -> list[str]:
    """Return the declared features of users that can make segments: text of one value."""
    return [name for name in features.user_features if features.users.schema[name] == pl.String]


def _orders(shares: np.ndarray, features: FeatureTables) -> np.ndarray:
    eligible = features.items[ELIGIBLE].to_numpy()
    everywhere = features.items["item_events"].to_numpy()
    orders = []
    for share in shares:
        order = np.lexsort((np.arange(len(share)), -everywhere, -share))
        orders.append(order[eligible[order]])
    return np.stack(orders).astype(np.int32)

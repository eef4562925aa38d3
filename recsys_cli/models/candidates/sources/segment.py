"""Recent popularity among the users who share a value of a text feature."""

import numpy as np
import polars as pl
from pydantic import Field

from recsys_cli.configs.fields import Days
from recsys_cli.configs.source_sections import SourceSettings
from recsys_cli.data_preparation.features.day_features import declared
from recsys_cli.data_preparation.features.feature_tables import (
    DAYS_AGO,
    STRENGTH,
    DayFeatures,
    ordered_sum,
)
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.definition import BoundSource, SourceDay, SourceDefinition
from recsys_cli.models.candidates.sources.popular import PopularLists, orders_of
from recsys_cli.utils.columns import ITEM, USER
from recsys_cli.utils.errors import SettingsError

_SOURCE = "popular_segment"
_PRIOR = 50.0  # events that a segment borrows from everybody
_COUNT = "count"
_LEAST = 1e-9  # of weights: so that nothing is divided by 0
_MOST_SEGMENTS = 200  # users with another value see everybody's popularity


class SegmentSettings(SourceSettings):
    """Popularity among the users who share a value."""

    feature: str = Field("", description="a text feature of users; empty: the first declared one")
    window_days: Days = Field(30, description="pairs with an event in the last days count")

    def names(self, section: str) -> tuple[str, ...]:
        """Return the name of the source."""
        del section
        return (_SOURCE,)


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
    weighted = STRENGTH in recent.collect_schema()
    count = ordered_sum(pl.col(STRENGTH)) if weighted else pl.len()
    pairs = recent.join(users, on=USER).group_by(name, ITEM).agg(count.alias(_COUNT)).collect()
    rows = pairs[name].cast(pl.Enum(values)).to_physical().fill_null(len(values)).to_numpy()
    counts = np.zeros((len(values) + 1, len(features.items)))
    counts[rows, pairs[ITEM].to_numpy()] = pairs[_COUNT].to_numpy()
    everybody = counts.sum(axis=0) / max(counts.sum(), _LEAST if weighted else 1.0)
    prior = _PRIOR * _usual_weight(recent) if weighted else _PRIOR
    counts[-1] = 0.0
    shares = ((counts + prior * everybody) / (counts.sum(axis=1, keepdims=True) + prior)).astype(np.float32)
    return PopularLists(
        _SOURCE,
        name,
        (*values.to_list(), None),
        orders_of(shares, features),
        shares,
        settings.num_candidates,
    )


def _usual_weight(pairs: pl.LazyFrame) -> float:
    """Return the mean weight of a pair: what an event is where events have weights."""
    return float(pairs.select(ordered_sum(pl.col(STRENGTH)) / pl.len()).collect().item() or _LEAST)


def _frequent(features: DayFeatures, name: str) -> pl.Series:
    """Return the values that most users have, ascending: each is a row as wide as the catalogue."""
    counts = features.lazy("users").select(pl.col(name).drop_nulls().value_counts()).unnest(name)
    order = counts.sort("count", name, descending=[True, False]).head(_MOST_SEGMENTS)
    return order.select(pl.col(name).sort()).collect()[name]


def segment_features(features: DayFeatures) -> list[str]:
    """Return the declared features of users that can make segments: text of one value."""
    return [name for name in features.user_features if features.user_schema[name] == pl.String]


def _bind(day: SourceDay[SegmentSettings]) -> BoundSource | None:
    lists = segment_lists(day.features, day.settings)
    if lists is None:
        return None
    return lambda users: lists.of_users(users.features)


def _no_data(tables: Tables, _settings: SegmentSettings) -> str:
    texts = [name for name in declared(tables.users) if tables.users.schema[name] == pl.String]
    return "" if texts else "no text column is among data.users.features"


def _why_no_proposals(features: DayFeatures, _settings: SegmentSettings) -> str:
    return "" if segment_features(features) else "no feature of the users is text"


SEGMENT = SourceDefinition(
    name="segment",
    summary="items with the most recent events among users with the same value of a text feature",
    settings=SegmentSettings,
    bind=_bind,
    is_popularity=True,
    no_data=_no_data,
    why_no_proposals=_why_no_proposals,
)
SOURCES = (SEGMENT,)

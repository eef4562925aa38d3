"""What a day's features look like, in memory or on disk, and the names of their columns."""

from dataclasses import dataclass
from datetime import date
from typing import Protocol

import polars as pl

from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.utils.columns import ITEM, SEEN, TIMESTAMP, USER, USER_ID

DAYS_AGO = "days_ago"
FIRST_DAYS_AGO = "first_days_ago"
ACTIVE_DAYS = "active_days"
RECENCY = "recency"
EVENTS = "events"
FEATURE = "feature"
VALUE = "value"
SHARE = "share"
STRENGTH = "strength"  # only where events have weights
_EVENTS_OF_TYPE = "_events"
_MICROSECONDS_A_DAY = 86_400_000_000


class DayFeatures(Protocol):
    """A day's features, in memory or on disk: the interface that does not load every user.

    Attributes:
        items: one row per internal item index; columns as in `FeatureTables`.
        user_schema: the columns of the users table.
        user_ids: external ids by internal user index.
        with_external: whether there are external candidates.
    """

    @property
    def day(self) -> date: ...
    @property
    def user_features(self) -> tuple[str, ...]: ...
    @property
    def item_features(self) -> tuple[str, ...]: ...
    @property
    def items(self) -> pl.DataFrame: ...
    @property
    def user_schema(self) -> pl.Schema: ...
    @property
    def user_ids(self) -> pl.Series: ...
    @property
    def with_external(self) -> bool: ...

    def lazy(self, table: str) -> pl.LazyFrame:
        """Return one of the tables "users", "items", "pairs", "affinity" as a lazy frame."""


@dataclass(frozen=True)
class FeatureTables:
    """All features of one day, in memory; only events before that day were used.

    Attributes:
        day: the scoring day.
        user_features, item_features: names of the declared columns.
        users: one row per internal user index: user_id, declared features, aggregates (f32, null: no event).
        items: one row per internal item index: item_id, title, availability, declared features, aggregates.
        pairs: user, item, events u32, active_days u32, days_ago and first_days_ago f32 (since the last and
            the first event), recency f32 (sum over events of 0.5^(age / half-life)); sorted by user and item.
            Where events have weights: strength f32 (their sum), seen bool (may not be in a list, where it
            depends on the events), and for each of several types NAME_events u32 and NAME_days_ago f32.
        affinity: user, feature, value, share f32: share of the user's events in a category of items.
        external: user, item, score f32: external candidates made for the day, sorted by user, best first;
            None if the source is off.
        first: the index, among all users of the day, of the one whose internal index is 0.
    """

    day: date
    user_features: tuple[str, ...]
    item_features: tuple[str, ...]
    users: pl.DataFrame
    items: pl.DataFrame
    pairs: pl.DataFrame
    affinity: pl.DataFrame
    external: pl.DataFrame | None = None
    first: int = 0

    @property
    def user_schema(self) -> pl.Schema:
        """The columns of the users table."""
        return self.users.schema

    @property
    def user_ids(self) -> pl.Series:
        """External ids by internal user index."""
        return self.users[USER_ID]

    @property
    def with_external(self) -> bool:
        """Whether there are external candidates."""
        return self.external is not None

    def lazy(self, table: str) -> pl.LazyFrame:
        """Return one of the tables as a lazy frame."""
        frame: pl.DataFrame = getattr(self, table)
        return frame.lazy()


@dataclass(frozen=True)
class SampleFeatures(FeatureTables):
    """Features of a sample of a day's users; `lazy` still covers all users where that matters.

    Attributes:
        everybody: the tables of all users, as of the day; their internal indices are not those of the sample.
    """

    everybody: Tables | None = None

    def lazy(self, table: str) -> pl.LazyFrame:
        """Return a table as a lazy frame: "users" and "pairs" cover all users, with fewer columns."""
        tables = self.everybody
        if tables is None or table not in ("users", "pairs"):
            return super().lazy(table)
        if table == "users":
            return tables.users.lazy()
        strength = ordered_sum(tables.strength()).cast(pl.Float32).alias(STRENGTH)
        columns = [event_age(tables).min(), *([strength] if tables.rules else [])]
        return tables.events.lazy().group_by(USER, ITEM).agg(columns)


def event_age(tables: Tables) -> pl.Expr:
    """Return each event's age at the cut, in days, f32."""
    age = (pl.lit(tables.cut) - pl.col(TIMESTAMP)).dt.total_microseconds() / _MICROSECONDS_A_DAY
    return age.cast(pl.Float32).alias(DAYS_AGO)


def ordered_sum(values: pl.Expr) -> pl.Expr:
    """Return a sum, f64, whose last digits do not depend on the order of the rows."""
    return values.cast(pl.Float64).sort().sum()


def amount(pairs: pl.Schema) -> pl.Expr:
    """Return how much each pair counts: the weights of its events, or their number where they have none."""
    return pl.col(STRENGTH if STRENGTH in pairs else EVENTS)


def types_of(pairs: pl.Schema) -> list[str]:
    """Return the types of events that have columns of their own."""
    return [name.removesuffix(_EVENTS_OF_TYPE) for name in pairs if name.endswith(_EVENTS_OF_TYPE)]


def events_of_type(name: str) -> str:
    """Return the name of a pair's number of events of a type."""
    return f"{name}{_EVENTS_OF_TYPE}"


def days_ago_of_type(name: str) -> str:
    """Return the name of the days since a pair's last event of a type."""
    return f"{name}_{DAYS_AGO}"


def seen_pairs(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the pairs that scoring.filter_viewed leaves out of the lists."""
    return pairs.filter(SEEN) if SEEN in pairs.columns else pairs

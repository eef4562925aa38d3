"""A day's features: declared columns and point-in-time aggregates of users, items and their pairs."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import polars as pl

from recsys_cli.configs.sections import FeaturesSettings
from recsys_cli.data_preparation.features.definition import with_plugin_columns
from recsys_cli.data_preparation.features.eligibility import eligible
from recsys_cli.data_preparation.features.feature_tables import (
    ACTIVE_DAYS,
    DAYS_AGO,
    EVENTS,
    FEATURE,
    FIRST_DAYS_AGO,
    RECENCY,
    SHARE,
    STRENGTH,
    VALUE,
    FeatureTables,
    SampleFeatures,
    amount,
    event_age,
    ordered_sum,
)
from recsys_cli.data_preparation.features.type_features import (
    aged_weights,
    counts_of_types,
    item_amount,
    pair_columns,
    windows_of_types,
)
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.utils.columns import AVAILABLE_FROM, ELIGIBLE, FOR_RULES, ITEM, USER, WEIGHT, is_for_models
from recsys_cli.utils.errors import SettingsError

_FIRST, _SECOND = "first", "second"


def build_features(tables: Tables, settings: FeaturesSettings, sample: Tables | None = None) -> FeatureTables:
    """Build the features of `tables.day` from the events before it.

    Args:
        sample: the same tables of some users only, as of the same day: features of users and pairs are then
            only theirs; those of items still come from the events of all users.

    Raises: SettingsError for declared features with the name of an aggregate; KeyError if external candidates
        are on but those of the day were not read.
    """
    _refuse_clashes(tables, settings)
    some = tables if sample is None else sample
    items = with_plugin_columns(ITEM, _items(tables, settings), tables, settings)
    events = _aged(some, settings.half_life_days)
    pairs = _pairs(events, some, settings.half_life_days)
    return SampleFeatures(
        day=tables.day,
        user_features=declared(tables.users),
        item_features=declared(tables.items),
        users=with_plugin_columns(USER, _users(some, events, pairs, settings), some, settings),
        items=items,
        pairs=pairs,
        affinity=_affinity(pairs, tables.items, settings.max_categories),
        external=None if some.external is None else some.external[tables.day],
        everybody=None if some is tables else tables,
    )


def _aged(tables: Tables, half_life_days: float) -> pl.DataFrame:
    return tables.events.select(USER, ITEM, WEIGHT, event_age(tables), *aged_weights(tables, half_life_days))


def features_without_rows(tables: Tables, settings: FeaturesSettings) -> FeatureTables:
    """Return the day's features with their columns but no rows: enough to check whether a model fits."""
    empty = replace(
        tables,
        events=tables.events.clear(),
        users=tables.users.clear(),
        items=tables.items.clear(),
        external=None if tables.external is None else {tables.day: pl.DataFrame()},
    )
    return build_features(empty, settings)


def declared(entities: pl.DataFrame) -> tuple[str, ...]:
    """Return the names of the declared features of a users or items table."""
    return tuple(name for name in entities.columns if is_for_models(name))


def _for_rules(entities: pl.DataFrame) -> list[str]:
    """Return the names of the columns that are for rules alone."""
    return [name.removeprefix(FOR_RULES) for name in entities.columns if name.startswith(FOR_RULES)]


def _refuse_clashes(tables: Tables, settings: FeaturesSettings) -> None:
    """Raise: SettingsError for declared names that an aggregate of the same side or a key column has."""
    numbers = [f"user_mean_{name}" for name in _numeric(tables.items)]
    clashes = [
        f"{name} of {side}s"
        for side, entities, more in ((USER, tables.users, numbers), (ITEM, tables.items, []))
        for name in [*declared(entities), *_for_rules(entities)]
        if {name, f"{side}_{name}"}
        & {USER, ITEM, EVENTS, DAYS_AGO, *more, *_aggregates(side, tables, settings)}
    ]
    if clashes:
        raise SettingsError(
            f"features with the name of a built-in one: {', '.join(clashes)}",
            where="data.users.features, data.items.features, and their rule_columns",
            fix="rename these columns in the source, or leave them out of the features",
        )


def _aggregates(side: str, tables: Tables, settings: FeaturesSettings) -> set[str]:
    """Return the names of the built-in features of users or of items."""
    other = (f"{ITEM}s", "active_days") if side == USER else (f"{USER}s", "trend", "age_days")
    windows = {expression.meta.output_name() for expression in _windows(side, tables, settings)}
    return windows | {f"{side}_{name}" for name in (*other, "repeat_share")}


def _counts(side: str, tables: Tables, settings: FeaturesSettings) -> list[str]:
    """Return the names of the built-in features that are 0 for a user or an item without events."""
    other = f"{ITEM}s" if side == USER else f"{USER}s"
    windows = [f"{side}_events_{days}d" for days in settings.windows_days]
    return [f"{side}_events", f"{side}_{other}", *windows, *counts_of_types(side, tables.rules, settings)]


def _pairs(events: pl.DataFrame, tables: Tables, half_life_days: float) -> pl.DataFrame:
    ago = pl.col(DAYS_AGO)
    recency = pl.lit(0.5).pow(ago.sort().cast(pl.Float64) / half_life_days).sum().cast(pl.Float32)
    if tables.rules:
        recency = ordered_sum(pl.col(RECENCY)).cast(pl.Float32)
    return (
        events.group_by(USER, ITEM)
        .agg(
            pl.len().cast(pl.UInt32).alias(EVENTS),
            _active_days().cast(pl.UInt32).alias(ACTIVE_DAYS),
            ago.min(),
            ago.max().alias(FIRST_DAYS_AGO),
            recency.alias(RECENCY),
            *pair_columns(tables.rules),
        )
        .sort(USER, ITEM)
    )


def _active_days() -> pl.Expr:
    """Return how many days, counted back from the cut, have an event."""
    return pl.col(DAYS_AGO).ceil().n_unique()


def _windows(prefix: str, tables: Tables, settings: FeaturesSettings) -> list[pl.Expr]:
    counts = [
        (pl.col(DAYS_AGO) <= days).sum().cast(pl.Float32).alias(f"{prefix}_events_{days}d")
        for days in settings.windows_days
    ]
    return [
        *counts,
        pl.len().cast(pl.Float32).alias(f"{prefix}_events"),
        pl.col(DAYS_AGO).min().alias(f"{prefix}_days_since_last"),
        pl.col(DAYS_AGO).max().alias(f"{prefix}_days_since_first"),
        pl.col(WEIGHT).mean().alias(f"{prefix}_mean_weight"),
        *windows_of_types(prefix, tables.rules, settings.windows_days),
    ]


def _users(
    tables: Tables, events: pl.DataFrame, pairs: pl.DataFrame, settings: FeaturesSettings
) -> pl.DataFrame:
    active_days = _active_days().cast(pl.Float32).alias("user_active_days")
    activity = events.group_by(USER).agg(*_windows("user", tables, settings), active_days)
    variety = pairs.group_by(USER).agg(
        pl.len().cast(pl.Float32).alias("user_items"),
        (pl.col(EVENTS) > 1).mean().cast(pl.Float32).alias("user_repeat_share"),
    )
    means = _mean_item_features(pairs, tables.items)
    users = tables.users.with_row_index(USER)
    for frame in (activity, variety, means):
        users = users.join(frame, on=USER, how="left", validate="1:1", maintain_order="left")
    return users.drop(USER).with_columns(pl.col(_counts(USER, tables, settings)).fill_null(0.0))


def _mean_item_features(pairs: pl.DataFrame, items: pl.DataFrame) -> pl.DataFrame:
    """Return each user's mean of each declared numeric item feature, one row per user with events."""
    names = _numeric(items)
    numbers = items.select(names).with_row_index(ITEM)
    joined = pairs.select(USER, ITEM, "^strength$").join(numbers, on=ITEM, how="left")
    return joined.group_by(USER).agg(_mean(name, weighted=STRENGTH in joined.columns) for name in names)


def _numeric(items: pl.DataFrame) -> list[str]:
    return [name for name in declared(items) if items.schema[name].is_numeric()]


def _mean(name: str, *, weighted: bool) -> pl.Expr:
    value = pl.col(name).cast(pl.Float64)
    mean = value.mean()
    if weighted:
        weight = pl.col(STRENGTH).cast(pl.Float64).filter(value.is_not_null())
        mean = ordered_sum(value * pl.col(STRENGTH)) / ordered_sum(weight)
    return mean.cast(pl.Float32).fill_nan(None).alias(f"user_mean_{name}")


def _items(tables: Tables, settings: FeaturesSettings) -> pl.DataFrame:
    events = _with_repeats(_aged(tables, settings.half_life_days))
    activity = events.group_by(ITEM).agg(*_windows("item", tables, settings), *_reach())
    items = tables.items.with_row_index(ITEM)
    items = items.join(activity, on=ITEM, how="left", validate="1:1", maintain_order="left")
    items = items.drop(ITEM).with_columns(pl.col(_counts(ITEM, tables, settings)).fill_null(0.0))
    allowed = eligible(items, tables.day).alias(ELIGIBLE)
    return items.with_columns(_trend(items.columns, settings), _item_age(tables.day), allowed)


def _with_repeats(events: pl.DataFrame) -> pl.DataFrame:
    """Add whether an event is the first or second of its pair; a pair's events must be adjacent."""
    again = (pl.col(USER) == pl.col(USER).shift(1)) & (pl.col(ITEM) == pl.col(ITEM).shift(1))
    again = again.fill_null(False)
    return events.with_columns(
        (~again).alias(_FIRST), (again & ~again.shift(1).fill_null(False)).alias(_SECOND)
    )


def _reach() -> tuple[pl.Expr, pl.Expr]:
    """Return an item's number of users, and the share of them with more than one event."""
    users = pl.col(_FIRST).sum()
    return (
        users.cast(pl.Float32).alias("item_users"),
        (pl.col(_SECOND).sum() / users).cast(pl.Float32).alias("item_repeat_share"),
    )


def _trend(columns: Sequence[str], settings: FeaturesSettings) -> pl.Expr:
    """Return the smoothed daily rate of the shortest window over that of the longest; 1: no trend."""
    short, long = settings.windows_days[0], settings.windows_days[-1]
    recent, usual = (pl.col(item_amount(columns, days)) / days for days in (short, long))
    return ((recent + 1 / long) / (usual + 1 / long)).cast(pl.Float32).alias("item_trend")


def _item_age(day: date) -> pl.Expr:
    released = (pl.lit(day) - pl.col(AVAILABLE_FROM)).dt.total_days().cast(pl.Float32)
    return pl.coalesce(released, pl.col("item_days_since_first")).alias("item_age_days")


def _affinity(pairs: pl.DataFrame, items: pl.DataFrame, max_categories: int) -> pl.DataFrame:
    names = [name for name in declared(items) if not items.schema[name].is_numeric()]
    most = {name: None if items.schema[name] == pl.String else max_categories for name in names}
    shares = [_category_shares(pairs, category_values(items, name, most[name]), name) for name in names]
    schema = {USER: pl.UInt32, FEATURE: pl.String, VALUE: pl.String, SHARE: pl.Float32}
    return pl.concat([pl.DataFrame(schema=schema), *shares]).sort(USER, FEATURE, VALUE)


def category_values(items: pl.DataFrame, name: str, max_categories: int | None) -> pl.DataFrame:
    """Return item and value: one row for each of the item's values in the column, if it is a frequent one.

    Args:
        max_categories: how many values are frequent; None: all.
    """
    values = items.select(pl.col(name).alias(VALUE)).with_row_index(ITEM)
    if isinstance(items.schema[name], pl.List):
        values = values.explode(VALUE).unique(maintain_order=True)
    values = values.drop_nulls()
    if max_categories is None:
        return values
    frequent = (
        values[VALUE]
        .value_counts()
        .sort("count", VALUE, descending=[True, False])[VALUE]
        .head(max_categories)
    )
    return values.filter(pl.col(VALUE).is_in(frequent.to_list()))


def _category_shares(pairs: pl.DataFrame, values: pl.DataFrame, feature: str) -> pl.DataFrame:
    own = pairs.select(USER, ITEM, amount(pairs.schema).alias("own"))
    total = _sum("own", is_count=own.schema["own"].is_integer())
    totals = own.group_by(USER).agg(total.alias("all"))
    return (
        own.join(values, on=ITEM)
        .group_by(USER, VALUE)
        .agg(total)
        .join(totals.filter(pl.col("all") > 0), on=USER)
        .select(
            USER,
            pl.lit(feature).alias(FEATURE),
            VALUE,
            (pl.col("own") / pl.col("all")).cast(pl.Float32).alias(SHARE),
        )
    )


def _sum(name: str, *, is_count: bool) -> pl.Expr:
    """Return a sum; that of fractions does not depend on the order of the rows."""
    return pl.col(name).sum() if is_count else ordered_sum(pl.col(name))

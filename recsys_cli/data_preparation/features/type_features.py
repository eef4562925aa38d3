"""What the weights and types of events add to a day's features: nothing where all events are alike."""

from collections.abc import Collection, Sequence

import polars as pl

from recsys_cli.configs.sections import FeaturesSettings
from recsys_cli.data_preparation.features.feature_tables import (
    DAYS_AGO,
    RECENCY,
    STRENGTH,
    days_ago_of_type,
    events_of_type,
    ordered_sum,
)
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.data_preparation.tables.event_types import EventRules
from recsys_cli.utils.columns import EVENT_TYPE, SEEN


def aged_weights(tables: Tables, half_life_days: float) -> list[pl.Expr]:
    """Return each event's type, its weight at the cut, the same for recency, and whether it is seen.

    Args:
        half_life_days: for recency, of types without a half-life of their own.
    """
    if not tables.rules:
        return []
    seen = [tables.rules.is_seen(tables.age_days()).alias(SEEN)] if tables.rules.shows_again else []
    return [
        pl.col(EVENT_TYPE),
        tables.strength().cast(pl.Float64).alias(STRENGTH),
        tables.strength(half_life_days).cast(pl.Float64).alias(RECENCY),
        *seen,
    ]


def pair_columns(rules: EventRules) -> list[pl.Expr]:
    """Return a pair's weight, whether it is seen, and the number and age of its events of each type."""
    if not rules:
        return []
    columns = [_sum(pl.col(STRENGTH)).alias(STRENGTH)]
    if rules.shows_again:
        columns.append(pl.col(SEEN).any())
    for name, code in rules.several.items():
        own = pl.col(EVENT_TYPE) == code
        columns += [
            own.sum().cast(pl.UInt32).alias(events_of_type(name)),
            pl.col(DAYS_AGO).filter(own).min().alias(days_ago_of_type(name)),
        ]
    return columns


def windows_of_types(side: str, rules: EventRules, windows_days: Sequence[int]) -> list[pl.Expr]:
    """Return the weights of users or items by window, and of each type the counts, the last and the share."""
    if not rules:
        return []
    strength, ago = pl.col(STRENGTH), pl.col(DAYS_AGO)
    columns = [
        _sum(strength.filter(ago <= days)).alias(f"{side}_weight_{days}d") for days in windows_days
    ] + [_sum(strength).alias(f"{side}_weight")]
    for name, code in rules.several.items():
        own, head = pl.col(EVENT_TYPE) == code, f"{side}_{name}"
        columns += [
            (own & (ago <= days)).sum().cast(pl.Float32).alias(f"{head}_events_{days}d")
            for days in windows_days
        ]
        columns += [
            own.sum().cast(pl.Float32).alias(f"{head}_events"),
            own.mean().cast(pl.Float32).alias(f"{head}_share"),
            ago.filter(own).min().alias(f"{head}_days_since_last"),
        ]
    return columns


def counts_of_types(side: str, rules: EventRules, settings: FeaturesSettings) -> list[str]:
    """Return the names of those columns that are 0 without any event."""
    names = (one.meta.output_name() for one in windows_of_types(side, rules, settings.windows_days))
    return [name for name in names if not name.endswith(("_share", "_days_since_last"))]


def item_amount(columns: Collection[str], days: int | None = None) -> str:
    """Return the name of how popular an item was: the weights of its events, or their number.

    Args:
        days: of the window; None: ever.
    """
    window = "" if days is None else f"_{days}d"
    weight = f"item_weight{window}"
    return weight if weight in columns else f"item_events{window}"


def _sum(values: pl.Expr) -> pl.Expr:
    return ordered_sum(values).cast(pl.Float32)

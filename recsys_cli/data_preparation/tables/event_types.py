"""What each event counts for: its weight, age and type, resolved once for everything behind the tables."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from recsys_cli.configs.data_sections import DataSettings
from recsys_cli.configs.event_sections import EventTypeSettings
from recsys_cli.utils.columns import EVENT_TYPE, ITEM, TIMESTAMP, USER, WEIGHT

MICROSECONDS_A_DAY: Final = 86_400_000_000
_ALMOST_NOTHING = 1e-9  # of an event's weight: what is left by rounding after it was cancelled
_SIGNED, _HEIGHT = "signed", "height"
_OF_PAIR = (USER, ITEM, "target")


@dataclass(frozen=True)
class EventRules:
    """What events count for, by the code of their type; without any type all events are alike.

    Attributes:
        types: those that count, by name; a type's code is its place.
        cancels: those that cancel others, with the code of the other; their codes follow those of `types`.
        graded: whether one label may count more than another.
    """

    types: Mapping[str, EventTypeSettings]
    cancels: Mapping[str, int]
    graded: bool = False

    def __bool__(self) -> bool:
        return bool(self.types)

    @property
    def several(self) -> dict[str, int]:
        """The codes of the types by name where there are several: each then has features of its own."""
        return {name: code for code, name in enumerate(self.types)} if len(self.types) > 1 else {}

    @property
    def codes(self) -> dict[str, int]:
        """The code of every type by name, also of those that cancel others."""
        return {name: code for code, name in enumerate([*self.types, *self.cancels])}

    @property
    def shows_again(self) -> bool:
        """Whether a list may hold an item that the user has had an event with."""
        return any(one.shows_again for one in self.types.values())

    def strength(self, age_days: pl.Expr, half_life_days: float = 0.0) -> pl.Expr:
        """Return an event's weight at an age, f64 where it decays.

        Args:
            half_life_days: of types without a half-life of their own; 0: their weight stays.
        """
        lives = [one.half_life_days or half_life_days for one in self.types.values()] or [half_life_days]
        weight = pl.col(WEIGHT)
        if not any(lives):
            return weight
        if len(set(lives)) == 1:
            return weight * pl.lit(0.5).pow(age_days / lives[0])
        rates = self._by_code([1.0 / life if life else 0.0 for life in lives], pl.Float64)
        return weight * pl.lit(0.5).pow(age_days * rates)

    def is_label(self) -> pl.Expr:
        """Return whether an event is what lists are to predict."""
        if not self:
            return pl.lit(True)
        return self._by_code([one.label for one in self.types.values()], pl.Boolean)

    def is_seen(self, age_days: pl.Expr) -> pl.Expr:
        """Return whether an event of an age leaves its item out of the user's lists."""
        if not self:
            return pl.lit(True)
        days = [(one.seen_days or float("inf")) if one.seen else -1.0 for one in self.types.values()]
        return age_days <= self._by_code(days, pl.Float64)

    def resolved(self, delivered: pl.DataFrame) -> pl.DataFrame:
        """Return the events that count with their weights: those of their types, less what was cancelled.

        Args:
            delivered: user, item, timestamp, weight as in the source, event_type; sorted by all five.
        """
        events = _without_cancelled(delivered, self) if self.cancels else delivered
        factors = self._by_code([one.weight for one in self.types.values()], pl.Float32)
        return events.with_columns((pl.col(WEIGHT) * factors).cast(pl.Float32))

    def _by_code(self, values: list[float] | list[bool], kind: type[pl.DataType]) -> pl.Expr:
        """Return the value of each event's type."""
        if len(values) == 1:
            return pl.lit(values[0], dtype=kind)
        return pl.lit(pl.Series(values, dtype=kind)).gather(pl.col(EVENT_TYPE))


ALIKE: Final = EventRules({}, {})


def event_rules(data: DataSettings) -> EventRules:
    """Return what events count for under these settings."""
    meaning = data.event_meaning
    types = {name: one for name, one in meaning.types.items() if one.counts}
    codes = {name: code for code, name in enumerate(types)}
    cancels = {name: codes[one.cancels] for name, one in meaning.types.items() if one.cancels}
    labels = {one.weight for one in types.values() if one.label}
    return EventRules(types, cancels, graded=bool(meaning.weight) or len(labels) > 1)


def _without_cancelled(delivered: pl.DataFrame, rules: EventRules) -> pl.DataFrame:
    """Return the events with what is left of their weight; those of which nothing is left are gone.

    A cancellation takes its weight back from the latest events before it of the same user, item and type, as
    from a stack: an event is the stretch of the stack's height that it added, and what is left of it lies
    below the lowest height since. What is cancelled beyond the events that there are has no effect.
    """
    first = len(rules.types)
    is_cancel = pl.col(EVENT_TYPE) >= first
    targets = pl.lit(pl.Series([*range(first), *rules.cancels.values()], dtype=pl.UInt8))
    weight = pl.col(WEIGHT).cast(pl.Float64)
    rows = delivered.with_columns(
        targets.gather(pl.col(EVENT_TYPE)).alias("target"),
        pl.when(is_cancel).then(-weight).otherwise(weight).alias(_SIGNED),
    )
    touched = rows.filter(is_cancel).select(_OF_PAIR).unique()
    kept = rows.join(touched, on=_OF_PAIR, how="anti", maintain_order="left")
    stack = rows.join(touched, on=_OF_PAIR, how="semi", maintain_order="left")
    left = pl.col("lowest") - (pl.col(_HEIGHT) - weight)
    stack = (
        stack.sort(
            *_OF_PAIR, TIMESTAMP, EVENT_TYPE
        )  # at the same time an event comes before its cancellation
        .with_columns(pl.col(_SIGNED).cum_sum().over(_OF_PAIR).alias("sum"))
        .with_columns(
            (pl.col("sum") - pl.col("sum").cum_min().over(_OF_PAIR).clip(upper_bound=0.0)).alias(_HEIGHT)
        )
        .with_columns(pl.col(_HEIGHT).cum_min(reverse=True).over(_OF_PAIR).alias("lowest"))
        .filter(~is_cancel)
        .with_columns(left.clip(lower_bound=0.0).alias("left"))
        .filter(pl.col("left") > weight * _ALMOST_NOTHING)
        .with_columns(
            pl.when(pl.col("left") < weight * (1 - _ALMOST_NOTHING))
            .then(pl.col("left").cast(pl.Float32))
            .otherwise(pl.col(WEIGHT))
            .alias(WEIGHT)
        )
        .select(delivered.columns)
    )
    return pl.concat([kept.select(delivered.columns), stack]).sort(delivered.columns)

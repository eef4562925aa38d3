"""What columns of the events may be: a weight, or the type of an event; and what types may count for."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from recsys_cli.configs.event_sections import EventTypeSettings
from recsys_cli.utils.columns import EVENT_TYPE, WEIGHT

_MOST_TYPES, _SHOWN = 20, 6
_MAY_WEIGH = re.compile(
    r"(^|[\W_])(quantity|qty|units|count|plays|views|clicks|dur|duration|seconds|minutes|amount)$",
    re.IGNORECASE,
)
_MAY_BE_TYPE = re.compile(r"(^|[\W_])(event|type|kind|action|behaviou?r|interaction|verb)s?$", re.IGNORECASE)
_LOOK = re.compile(r"view|click|impression|visit|^pv$|look|open|browse", re.IGNORECASE)
_INTEREST = re.compile(r"cart|basket|^fav|wish|like|save|bookmark|add", re.IGNORECASE)
_TAKE = re.compile(r"buy|bought|purchase|order|transaction|sale|checkout|payment", re.IGNORECASE)
_BACK = re.compile(r"return|refund|cancel", re.IGNORECASE)
_AGAINST = re.compile(r"remove|delete|dislike|unlike|skip", re.IGNORECASE)


@dataclass(frozen=True)
class Hint:
    """What a column that is not used may be.

    Attributes:
        contract: the column of the contract; "" if it is to be said in another way.
    """

    column: str
    contract: str
    reason: str


def hint_of(column: pl.Series, *, has_weight: bool, has_type: bool) -> Hint | None:
    """Return what a column of the events may be; None if nothing speaks for it."""
    if not has_type and (values := _values_of_types(column)):
        shown = ", ".join(values[:_SHOWN]) + (", …" if len(values) > _SHOWN else "")
        return Hint(
            column.name, EVENT_TYPE, f"has {len(values)} values: {shown}; may be the type of an event"
        )
    is_amount = column.dtype.is_numeric() and not column.has_nulls() and bool(_MAY_WEIGH.search(column.name))
    if has_weight or not is_amount:
        return None
    below = int((column < 0).sum())
    if not below:
        return Hint(column.name, WEIGHT, "may be a weight")
    return Hint(column.name, "", f"may be a weight; {below:,} values are below 0, such as returns")


def _values_of_types(column: pl.Series) -> list[str]:
    """Return the values of a column that may be types of events, the most frequent first."""
    is_code = column.dtype.is_integer() or column.dtype in (pl.String, pl.Categorical, pl.Enum)
    if not is_code:
        return []
    counts = column.drop_nulls().cast(pl.String).rename("value").value_counts()
    if not 2 <= len(counts) <= _MOST_TYPES:
        return []
    values: list[str] = counts.sort("count", "value", descending=[True, False])["value"].to_list()
    kinds = (_LOOK, _INTEREST, _TAKE, _BACK)
    speaking = sum(any(kind.search(value) for value in values) for kind in kinds) >= 2
    return values if speaking or _MAY_BE_TYPE.search(column.name) else []


def guess_event_types(names: pl.Series) -> dict[str, EventTypeSettings]:
    """Return what each type of event may count for, by its name: looks are evidence, purchases are labels."""
    counts = Counter(names.drop_nulls().cast(pl.String).to_list())
    values = sorted(counts)
    taken = [value for value in values if _meaning(value) is _TAKE]
    is_one = len({value.strip().casefold() for value in taken}) == 1  # in one spelling or several
    guesses = dict(_guesses(values, max(taken, key=lambda one: counts[one]) if is_one else ""))
    if any(one.counts and one.label for one in guesses.values()):
        return guesses
    return {value: EventTypeSettings() for value in values}


def _guesses(values: list[str], taken: str) -> Iterator[tuple[str, EventTypeSettings]]:
    for value in values:
        meaning = _meaning(value)
        if meaning is _BACK and taken:
            yield value, EventTypeSettings(cancels=taken)
        elif meaning in (_BACK, _AGAINST):
            yield value, EventTypeSettings(ignore=True)
        elif meaning is _LOOK:
            yield value, EventTypeSettings(
                weight=0.1, label=False, seen=False, half_life_days=7, cap_per_day=3
            )
        elif meaning is _INTEREST:
            yield value, EventTypeSettings(weight=0.3, label=False, seen=False, half_life_days=14)
        else:
            yield value, EventTypeSettings()


def _meaning(value: str) -> re.Pattern[str] | None:
    kinds = (_AGAINST, _BACK, _TAKE, _INTEREST, _LOOK)
    return next((kind for kind in kinds if kind.search(value)), None)

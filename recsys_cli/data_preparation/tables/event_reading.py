"""Types of events as they are delivered: their names become codes; what has no meaning is refused."""

from collections.abc import Mapping

import polars as pl

from recsys_cli.configs.data_sections import DataSettings
from recsys_cli.data_preparation.tables.event_types import EventRules
from recsys_cli.data_preparation.tables.problems import Problem
from recsys_cli.utils.columns import EVENT_TYPE, ITEM, TIMESTAMP, USER

UNKNOWN, IGNORED = 255, 254  # codes of types that are not named in the settings, and of those left out
_SHOWN_TYPES = 10
_DAY = "day"
_BY_SIGN = "\"CASE WHEN quantity < 0 THEN 'return' ELSE 'purchase' END\""


def type_codes(data: DataSettings, rules: EventRules) -> Mapping[str, int]:
    """Return the code of each type that the settings name; without rules, those that count are all alike."""
    codes = rules.codes
    return {name: IGNORED if one.ignore else codes.get(name, 0) for name, one in data.events.items()}


def coded(codes: Mapping[str, int]) -> pl.Expr:
    """Return the code of each type's name, u8; null for no name."""
    name = pl.col(EVENT_TYPE)
    known = pl.lit(UNKNOWN, dtype=pl.UInt8)
    if codes:
        known = name.replace_strict(codes, default=UNKNOWN, return_dtype=pl.UInt8)
    return pl.when(name.is_not_null()).then(known).alias(EVENT_TYPE)


def is_not_ignored() -> pl.Expr:
    """Return whether an event, by its type's code, is not left out."""
    return (pl.col(EVENT_TYPE) != IGNORED).fill_null(True)


def has_no_meaning() -> pl.Expr:
    """Return whether an event, by its type's code, has a type that the settings do not name, or none."""
    return (pl.col(EVENT_TYPE) == UNKNOWN).fill_null(True)


def is_not_named(codes: Mapping[str, int]) -> pl.Expr:
    """Return the same by its type's name."""
    return pl.col(EVENT_TYPE).is_in(list(codes)).not_().fill_null(True)


def type_problems(counts: pl.DataFrame, where: str) -> list[Problem]:
    """Return the problem of types that the settings do not name, and that of events without a type.

    Args:
        counts: event_type, count: of the events whose type is null or unknown.
    """
    nulls = counts.filter(pl.col(EVENT_TYPE).is_null())["count"].sum()
    unknown = counts.drop_nulls().sort("count", EVENT_TYPE, descending=[True, False])
    problems = []
    if nulls:
        fix = "correct these rows, or leave them out by the table's `filter`"
        problems.append(Problem(where, f"{nulls:,} events have no type", fix))
    if len(unknown):
        shown = [f"{name!r} ({count:,} events)" for name, count in unknown.head(_SHOWN_TYPES).iter_rows()]
        more = f" and {len(unknown) - _SHOWN_TYPES:,} more" if len(unknown) > _SHOWN_TYPES else ""
        fix = (
            "say in settings/settings.toml what each counts for: "
            f"[default.data.events.{_key(unknown[0, 0])}] with weight, label and seen, or with ignore = true"
        )
        what = f"{len(unknown):,} types of events are not named in data.events: {', '.join(shown)}{more}"
        problems.append(Problem(where, what, fix))
    return problems


def _key(name: str) -> str:
    """Return a name as a key of TOML."""
    bare = name.replace("-", "_").isidentifier() and name.isascii()
    return name if bare else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def negative_problems(negative: int, events: int, where: str) -> list[Problem]:
    """Return the problem of negative weights of types that do not cancel others: they may be returns."""
    if not negative:
        return []
    what = f"{negative:,} of {events:,} events have a negative weight, such as returns and refunds"
    fix = (
        f"name them as a type of their own, which takes events back: columns.event_type = {_BY_SIGN} and "
        '[default.data.events.return] with cancels = "purchase"; or leave them out by the table\'s `filter`'
    )
    return [Problem(where, what, fix)]


def weightless_problems(weightless: int, events: int, where: str) -> list[Problem]:
    """Return the problem of events with a weight of 0, which do not count."""
    if not weightless:
        return []
    what = f"{weightless:,} of {events:,} events have a weight of 0: they do not count"
    fix = "leave them out by the table's `filter` if that is right, else correct their weight"
    return [Problem(where, what, fix, "warning")]


def within_caps(events: pl.DataFrame, rules: EventRules, timezone: str) -> pl.DataFrame:
    """Return the first events of each user, item, type and local day, as many as the type's cap.

    Args:
        events: user, item, timestamp, weight, event_type; sorted by all of them.
    """
    caps = {code: one.cap_per_day for code, one in enumerate(rules.types.values()) if one.cap_per_day}
    if not caps:
        return events
    local = pl.col(TIMESTAMP).dt.replace_time_zone("UTC").dt.convert_time_zone(timezone).dt.date().alias(_DAY)
    number = pl.int_range(pl.len()).over(USER, ITEM, EVENT_TYPE, local)
    most = pl.col(EVENT_TYPE).replace_strict(caps, default=None, return_dtype=pl.Int64)
    return events.filter((number < most).fill_null(True))

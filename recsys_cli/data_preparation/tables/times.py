"""Read a source's times, however they are stored, as instants in UTC."""

import re

import polars as pl

from recsys_cli.configs.data_sections import InteractionsSettings
from recsys_cli.data_preparation.readers.common_schema import local_as_utc

_LOCAL_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d",
    "%Y-%m-%dT%H:%M",
)
_OFFSET_FORMATS = (  # they read a space before the offset, too
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M%#z",
)
_HAS_OFFSET = r"(Z|[+-]\d\d(:?\d\d)?)$"  # also true of a plain day, which no format with an offset reads
_OFFSET = re.compile(r"(?<!%)(%%)*%(:{1,3}|#)?z|%\+")
_PER_MICROSECOND = {"s": 1_000_000, "ms": 1_000, "us": 1}


def is_time(kind: pl.DataType) -> bool:
    """Return whether a column of this type can hold times: instants, days, numbers, text, or no value."""
    return kind in (pl.Date, pl.String, pl.Null) or isinstance(kind, pl.Datetime) or kind.is_numeric()


def instants(time: pl.Expr, kind: pl.DataType, table: InteractionsSettings, timezone: str) -> pl.Expr:
    """Return a column of times as instants in UTC, without zone, in microseconds; null where unreadable.

    Args:
        kind: the column's type, one that `is_time`.
        timezone: the workspace's, of times without a zone where the table has no `time_zone`.
    """
    zone, text_format = table.time_zone or timezone, table.timestamp_format
    if kind.is_numeric():
        if not text_format:
            return _from_number(time, kind, table.timestamp_unit)
        digits = time.cast(pl.Int64, strict=False).cast(pl.String)
        return _from_text(digits, text_format, zone)
    if kind == pl.String:
        is_utc = text_format.endswith(("Z", "UTC")) and not table.time_zone
        return _from_text(time.str.strip_chars(), text_format, "UTC" if is_utc else zone)
    return _from_instant(time, kind, zone)


def days(time: pl.Expr, kind: pl.DataType, timezone: str) -> pl.Expr:
    """Return the local day of instants, days, or ISO 8601 text with or without time; null if unreadable."""
    if kind == pl.String:
        text = time.str.strip_chars()
        instant = _from_text(text, "", timezone)
        local = instant.dt.replace_time_zone("UTC").dt.convert_time_zone(timezone).dt.date()
        return pl.coalesce(text.str.to_date("%Y-%m-%d", strict=False), local)
    if isinstance(kind, pl.Datetime) and kind.time_zone is not None:
        return time.dt.convert_time_zone(timezone).dt.date()
    return time.cast(pl.Date)


def _from_instant(time: pl.Expr, kind: pl.DataType, zone: str) -> pl.Expr:
    if isinstance(kind, pl.Datetime) and kind.time_zone is not None:
        return time.dt.convert_time_zone("UTC").dt.replace_time_zone(None).dt.cast_time_unit("us")
    return local_as_utc(time.cast(pl.Datetime("us")), zone)


def _from_number(time: pl.Expr, kind: pl.DataType, unit: str) -> pl.Expr:
    if not kind.is_integer():
        scale = _PER_MICROSECOND[unit] if unit != "ns" else 0.001
        return (time.cast(pl.Float64) * scale).round().cast(pl.Int64, strict=False).cast(pl.Datetime("us"))
    if unit == "ns":
        return (time // 1_000).cast(pl.Datetime("us"))
    return (time.cast(pl.Int64) * _PER_MICROSECOND[unit]).cast(pl.Datetime("us"))


def _from_text(text: pl.Expr, text_format: str, zone: str) -> pl.Expr:
    if not text_format:
        with_offset = pl.when(text.str.contains(_HAS_OFFSET)).then(text)
        local = pl.coalesce(text.str.strptime(pl.Datetime("us"), one, strict=False) for one in _LOCAL_FORMATS)
        return pl.coalesce(
            local_as_utc(local, zone), *(_parsed(with_offset, one, zone) for one in _OFFSET_FORMATS)
        )
    return _parsed(text, text_format, zone)


def _parsed(text: pl.Expr, text_format: str, zone: str) -> pl.Expr:
    if _OFFSET.search(text_format):
        zoned = text.str.strptime(pl.Datetime("us", "UTC"), text_format, strict=False)
        return zoned.dt.replace_time_zone(None)
    return local_as_utc(text.str.strptime(pl.Datetime("us"), text_format, strict=False), zone)

"""Guess the unit or format of a column of times; find the day after the newest event."""

from datetime import date, timedelta
from itertools import product

import polars as pl

from recsys_cli.configs.data_sections import InteractionsSettings
from recsys_cli.data_preparation.readers.local_files import collect_source, scan_source, source_files
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.times import instants
from recsys_cli.utils.columns import TIMESTAMP
from recsys_cli.utils.errors import InputError

_UNITS = {"s": 1e11, "ms": 1e14, "us": 1e17}  # each up to the year 5138
_DAYS = ("%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m/%d/%y", "%d/%m/%y", "%Y/%m/%d", "%Y%m%d")
_CLOCKS = (
    "",
    " %H:%M",
    " %H:%M:%S%.f",
    "T%H:%M:%S%.f",
    "T%H:%M:%S%.fZ",
    " %H:%M:%S%.f UTC",
    "T%H:%M:%S%.f%#z",
    " %H:%M:%S%.f%#z",
    "T%H:%M",
    "T%H:%M%#z",
)
_DIGITS = {8: "%Y%m%d", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_YEARS = (1970, 2100)  # of days that are written as a number
_IN_UTC = ("Z", "UTC")
_FORMATS = tuple(day + clock for day, clock in product(_DAYS, _CLOCKS))
_SAMPLE_VALUES = 20_000
_MUST_FIT = 0.9  # share of the values; `recsys check` reports the others


def guess_timestamp(column: pl.Series) -> dict[str, str]:
    """Return the settings that read the column, as timestamp_unit, timestamp_format and time_zone.

    Raises: InputError for a text in no known format.
    """
    if column.dtype.is_numeric():
        return _number_settings(column.cast(pl.Float64).fill_nan(None).drop_nulls())
    if column.dtype != pl.String:
        return {}
    found = next(iter(_best_formats(_sample(column))), None)
    if found is None:
        raise InputError(
            f"the times in {column.name!r} are in an unknown format: {column.drop_nulls().head(1).to_list()}",
            where=column.name,
            fix="write them as 2026-11-23 08:30:00, or name another column with --map timestamp=COLUMN",
        )
    zone = {"time_zone": "UTC"} if found.endswith(_IN_UTC) else {}
    return {"timestamp_format": found, **zone}


def other_format(column: pl.Series, timestamp_format: str) -> str | None:
    """Return another format that reads a column of text as well, but gives other times; None if none does."""
    values = _sample(column)
    times = _read(values, timestamp_format)
    others = (one for one in _best_formats(values) if one != timestamp_format)
    return next((one for one in others if not _read(values, one).equals(times)), None)


def _number_settings(numbers: pl.Series) -> dict[str, str]:
    """Return the settings of days written as numbers, such as 20241123, or of numbers since 1970."""
    text = numbers.unique().head(_SAMPLE_VALUES).cast(pl.Int64, strict=False).cast(pl.String)
    widths = text.str.len_chars().unique()
    digits = _DIGITS.get(widths[0]) if len(widths) == 1 else None
    if digits and _read(text, digits).dt.year().is_between(*_YEARS).fill_null(False).all():
        return {"timestamp_format": digits}
    largest = numbers.to_frame().select(pl.all().abs().max()).item() or 0.0
    return {"timestamp_unit": next((unit for unit, limit in _UNITS.items() if largest < limit), "ns")}


def _sample(column: pl.Series) -> pl.Series:
    return column.drop_nulls().str.strip_chars().unique(maintain_order=True).head(_SAMPLE_VALUES)


def is_day(column: pl.Series) -> bool:
    """Return whether the column holds dates as 2026-11-23."""
    if column.dtype != pl.String:
        return column.dtype == pl.Date
    values = column.drop_nulls()
    return not values.is_empty() and values.str.to_date("%Y-%m-%d", strict=False).null_count() == 0


def day_after(table: InteractionsSettings, workspace: InputFolder) -> date | None:
    """Return the day after the newest event: the first one that can be scored with all events known.

    None where there is no event, or the calendar has no such day.
    Raises: InputError if the table cannot be read.
    """
    files = source_files(table, workspace)
    frame = scan_source(table, workspace)
    column = table.columns.get(TIMESTAMP, TIMESTAMP)
    kind = collect_source(frame.head(1), files).schema[column]
    newest = instants(pl.col(column), kind, table, "UTC").max().cast(pl.Date).cast(pl.Int32)
    days: int | None = collect_source(frame.select(newest), files).item()
    try:
        return None if days is None else date(1970, 1, 1) + timedelta(days=days + 1)
    except OverflowError:
        return None


def _best_formats(values: pl.Series) -> list[str]:
    """Return the formats that read the most values, in the order of the list; none if that is too few."""
    if values.is_empty():
        return []
    fits = {one: _share_read(values, one) for one in _FORMATS}
    best = max(fits.values())
    return [one for one in fits if fits[one] == best] if best >= _MUST_FIT else []


def _share_read(values: pl.Series, timestamp_format: str) -> float:
    times = _read(values, timestamp_format)
    return len(times.filter(times.dt.year().is_between(1900, 2200))) / len(values)


def _read(values: pl.Series, timestamp_format: str) -> pl.Series:
    times = values.str.strptime(pl.Datetime("us"), timestamp_format, strict=False)
    return times.cast(pl.Datetime("us"))

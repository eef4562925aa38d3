"""Guess the unit or format of a column of times; find the day after the newest event."""

from datetime import date, timedelta
from itertools import product

import polars as pl

from recsys_cli.configs.data_sections import InteractionsSettings
from recsys_cli.data_preparation.readers.local_files import collect_source, scan_source, source_files
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.utils.columns import TIMESTAMP
from recsys_cli.utils.errors import InputError

_UNITS = {"s": 1e11, "ms": 1e14, "us": 1e17}  # each up to the year 5138
_DAYS = ("%Y-%m-%d", "%m/%d/%Y", "%d/%m/%Y", "%d.%m.%Y", "%m/%d/%y", "%d/%m/%y", "%Y/%m/%d", "%Y%m%d")
_CLOCKS = ("", " %H:%M", " %H:%M:%S%.f", "T%H:%M:%S%.f", "T%H:%M:%S%.fZ", " %H:%M:%S%.f UTC")
_IN_UTC = ("Z", "UTC")
_FORMATS = tuple(day + clock for day, clock in product(_DAYS, _CLOCKS))
_SAMPLE_VALUES = 20_000
_MUST_FIT = 0.9  # share of the values; `recsys check` reports the others


def guess_timestamp(column: pl.Series) -> dict[str, str]:
    """Return the settings that read the column, as timestamp_unit, timestamp_format and time_zone.

    Raises: InputError for a text in no known format.
    """
    if column.dtype.is_integer():
        largest = column.to_frame().select(pl.all().cast(pl.Float64).abs().max()).item() or 0.0
        return {"timestamp_unit": next((unit for unit, limit in _UNITS.items() if largest < limit), "ns")}
    if column.dtype != pl.String:
        return {}
    found = _best_format(column.drop_nulls().unique(maintain_order=True).head(_SAMPLE_VALUES))
    if found is None:
        raise InputError(
            f"the times in {column.name!r} are in an unknown format: {column.drop_nulls().head(1).to_list()}",
            where=column.name,
            fix="write them as 2026-11-23 08:30:00, or name another column with --map timestamp=COLUMN",
        )
    zone = {"time_zone": "UTC"} if found.endswith(_IN_UTC) else {}
    return {"timestamp_format": found, **zone}


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
    newest = _day(pl.col(column), kind, table).max().cast(pl.Int32)
    days: int | None = collect_source(frame.select(newest), files).item()
    try:
        return None if days is None else date(1970, 1, 1) + timedelta(days=days + 1)
    except OverflowError:
        return None


def _day(time: pl.Expr, kind: pl.DataType, table: InteractionsSettings) -> pl.Expr:
    if kind.is_integer():
        return pl.from_epoch(time, table.timestamp_unit).cast(pl.Date)
    if kind == pl.String and table.timestamp_format:
        return time.str.strptime(pl.Datetime("us"), table.timestamp_format, strict=False).cast(pl.Date)
    if kind == pl.String:
        return time.str.head(10).str.to_date("%Y-%m-%d", strict=False)
    return time.cast(pl.Date)


def _best_format(values: pl.Series) -> str | None:
    """Return the format that reads the most values, the first of equals."""
    if values.is_empty():
        return None
    fits = {one: _share_read(values, one) for one in _FORMATS}
    best = max(fits, key=lambda one: fits[one])
    return best if fits[best] >= _MUST_FIT else None


def _share_read(values: pl.Series, timestamp_format: str) -> float:
    times = values.str.strptime(pl.Datetime("us"), timestamp_format, strict=False)
    return len(times.filter(times.dt.year().is_between(1900, 2200))) / len(values)

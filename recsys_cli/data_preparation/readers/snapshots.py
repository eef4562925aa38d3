"""A table a day: the newest one before a date, found by the keys of its folders or by a column."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date, datetime

import polars as pl

from recsys_cli.configs.data_sections import FeatureTableSettings
from recsys_cli.data_preparation.readers.column_expressions import column_expression
from recsys_cli.data_preparation.readers.common_schema import IsUsed
from recsys_cli.data_preparation.readers.local_files import (
    OpenSource,
    collect_source,
    open_source,
    source_keys,
    source_schema,
)
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.readers.row_sources import shown_source
from recsys_cli.utils.columns import SNAPSHOT_DAY, SNAPSHOT_NAMES
from recsys_cli.utils.errors import InputError

_FORMATS = ("%Y-%m-%d", "%Y%m%d")


def open_snapshot(
    table: FeatureTableSettings, workspace: InputFolder, zone: str, before: date, is_used: IsUsed
) -> tuple[OpenSource, date]:
    """Open the newest snapshot of a day before `before`, and return that day, too.

    A snapshot of the day itself may hold what was known during the day only. Files of other snapshots are not
    opened where the day stands in the names of folders.

    Raises: InputError where there is no such snapshot, or the days cannot be read; as `open_source` does.
    """
    where = shown_source(table, workspace.path)
    keys = source_keys(table, workspace)
    named = [table.columns[SNAPSHOT_DAY]] if table.columns.get(SNAPSHOT_DAY) else SNAPSHOT_NAMES
    key = next((name for name in named if any(name in one for one in keys)), None)
    if key is None:
        return _by_column(table, open_source(table, workspace, zone, is_used), before, where)
    days = {one.get(key): _day_of(one.get(key), key, where) for one in keys}
    newest = _newest(days.values(), before, where)
    source = open_source(table, workspace, zone, is_used, lambda one: days[one.get(key)] == newest)
    return source, newest


def _by_column(
    table: FeatureTableSettings, source: OpenSource, before: date, where: str
) -> tuple[OpenSource, date]:
    schema = source_schema(source.rows, source.files)
    text = table.columns.get(SNAPSHOT_DAY) or next((one for one in SNAPSHOT_NAMES if one in schema), None)
    if text is None:
        raise InputError(
            f"no day of the snapshots: no folder key and no column {' or '.join(SNAPSHOT_NAMES)}",
            where=where,
            fix=f"set `columns.{SNAPSHOT_DAY}` of the table to the column or key that holds it, or leave out "
            "`snapshots`",
        )
    column, kind = column_expression(text, schema, where=f"{where}: columns.{SNAPSHOT_DAY}")
    day = _as_day(column, kind)
    days = collect_source(source.rows.select(day.unique()), source.files).to_series()
    newest = _newest(days, before, where)
    rows, *pieces = (frame.filter(day == newest) for frame in (source.rows, *source.pieces))
    return replace(source, rows=rows, pieces=pieces), newest


def _as_day(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    if kind.is_temporal():
        return column.cast(pl.Date)
    text = column.cast(pl.String).str.strip_chars()
    return pl.coalesce(text.str.to_date(one, strict=False) for one in _FORMATS)


def _day_of(text: str | None, key: str, where: str) -> date:
    """Return the day that a folder's key names. Raises: InputError."""
    for one in _FORMATS:
        try:
            return datetime.strptime(text or "", one).date()
        except ValueError:
            continue
    raise InputError(
        f"the folder {key}={text} names no day",
        where=where,
        fix=f"name it as {key}=2026-11-23, or give a glob that leaves it out",
    )


def _newest(days: Iterable[date | None], before: date, where: str) -> date:
    known = [day for day in days if day is not None and day < before]
    if known:
        return max(known)
    raise InputError(
        f"there is no snapshot of a day before {before}",
        where=where,
        fix="deliver one, choose a later --date or fewer ranker.label_windows, or set `snapshots = false` of "
        "the table: training then takes today's values for those of earlier days",
    )

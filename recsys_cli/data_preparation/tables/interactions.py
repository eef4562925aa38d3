"""Read events: mapped to the contract, checked, and cut at the scoring day."""

from datetime import datetime

import polars as pl

from recsys_cli.configs.data_sections import DataSettings, InteractionsSettings
from recsys_cli.data_preparation.readers.local_files import (
    collect_source,
    scan_source,
    source_files,
    source_schema,
)
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.ids import cast_ids, id_problems
from recsys_cli.data_preparation.tables.problems import Problem, missing_column
from recsys_cli.utils.columns import ITEM_ID, TIMESTAMP, USER_ID, WEIGHT
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.storage.uris import shown_path

_TEXT_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%d")
_FIRST_PLAUSIBLE = datetime(1971, 1, 1)  # zeros and wrong units give dates in 1970
_LARGEST_WEIGHT = 1e15  # so that sums and means stay finite
_UNITS_PER_MICROSECOND = {"s": 1_000_000, "ms": 1_000, "us": 1}


def read_interactions(
    data: DataSettings, workspace: InputFolder, cut: datetime, timezone: str
) -> tuple[pl.DataFrame | None, list[Problem]]:
    """Return the events before `cut` as user_id, item_id, timestamp, weight, and all their problems.

    Rows on or after the cut are dropped first: nothing below ever sees them.
    """
    table = data.interactions
    if not table.path:
        return None, [
            Problem("interactions", "no path is set", "set data.interactions.path in settings/settings.toml")
        ]
    try:
        files = source_files(table, workspace)
        frame = scan_source(table, workspace)
        schema = source_schema(frame, files)
        problems = _schema_problems(table, schema, shown_path(table.path, workspace.path))
        if problems:
            return None, problems
        mapped = _mapped(frame, table, schema, timezone)
        before = pl.col(TIMESTAMP).is_null() | (pl.col(TIMESTAMP) < cut)
        events = collect_source(mapped.filter(before), files)
    except InputError as error:
        return None, [Problem(error.where or "interactions", error.what, error.fix)]
    where = shown_path(table.path, workspace.path)
    problems = _timestamp_problems(events, where)
    return _checked_events(events, data, where, cut, problems)


def _checked_events(
    events: pl.DataFrame, data: DataSettings, where: str, cut: datetime, problems: list[Problem]
) -> tuple[pl.DataFrame, list[Problem]]:
    problems = problems + id_problems(events, where, USER_ID) + id_problems(events, where, ITEM_ID)
    events, user_problems = cast_ids(events, USER_ID, data.user_id_type, where)
    events, item_problems = cast_ids(events, ITEM_ID, data.item_id_type, where)
    problems += user_problems + item_problems + _weight_problems(events, data.interactions, where)
    if events.is_empty() and not problems:
        problems.append(
            Problem(
                where,
                f"there is no event before {cut:%Y-%m-%d %H:%M} UTC",
                "choose a later --date, or correct the table's filter and timestamp settings",
            )
        )
    repeated = (
        len(events) - events.n_unique(subset=[USER_ID, ITEM_ID, TIMESTAMP]) if not events.is_empty() else 0
    )
    if repeated:
        what = f"{repeated:,} events repeat the user, item and timestamp of another event; each counts"
        problems.append(
            Problem(where, what, "remove them from the source if they are not real events", "warning")
        )
    return events, problems


def _schema_problems(table: InteractionsSettings, schema: pl.Schema, where: str) -> list[Problem]:
    required = {name: table.columns.get(name, name) for name in (USER_ID, ITEM_ID, TIMESTAMP)}
    if table.columns.get(WEIGHT):
        required[WEIGHT] = table.columns[WEIGHT]
    problems = [
        missing_column(where, name, source, schema.names())
        for name, source in required.items()
        if source not in schema
    ]
    kind = schema.get(required[TIMESTAMP])
    if kind is not None and not (_is_instant(kind) or kind.is_integer() or kind == pl.String):
        problems.append(
            _timestamp_problem(where, f"column {required[TIMESTAMP]!r} holds {kind}, not a timestamp")
        )
    is_text_parquet = (
        kind == pl.String and not table.timestamp_format and where.lower().endswith((".parquet", ".pq"))
    )
    if is_text_parquet:
        problems.append(
            _timestamp_problem(where, f"column {required[TIMESTAMP]!r} holds text, not a timestamp")
        )
    if WEIGHT in required and not schema.get(required[WEIGHT], pl.Float32()).is_numeric():
        problems.append(
            Problem(
                where,
                f"the weight column {required[WEIGHT]!r} holds {schema[required[WEIGHT]]}, not numbers",
                "map a numeric column",
            )
        )
    return problems


def _is_instant(kind: pl.DataType) -> bool:
    return kind == pl.Date or isinstance(kind, pl.Datetime)


def _timestamp_problem(where: str, what: str) -> Problem:
    fix = (
        "store it as a timestamp, or set data.interactions.timestamp_format (text) or timestamp_unit (number)"
    )
    return Problem(where, what, fix)


def _mapped(
    frame: pl.LazyFrame, table: InteractionsSettings, schema: pl.Schema, timezone: str
) -> pl.LazyFrame:
    source = table.columns.get(TIMESTAMP, TIMESTAMP)
    weight = pl.col(table.columns[WEIGHT]) if table.columns.get(WEIGHT) else pl.lit(1.0)
    return frame.select(
        pl.col(table.columns.get(USER_ID, USER_ID)).alias(USER_ID),
        pl.col(table.columns.get(ITEM_ID, ITEM_ID)).alias(ITEM_ID),
        _utc(pl.col(source), schema[source], table, table.time_zone or timezone).alias(TIMESTAMP),
        weight.cast(pl.Float32).alias(WEIGHT),
    )


def _utc(time: pl.Expr, kind: pl.DataType, table: InteractionsSettings, zone: str) -> pl.Expr:
    """Return the instant in UTC, without zone, in microseconds."""
    if kind.is_integer():
        return _from_integer(time, table.timestamp_unit)
    if kind == pl.String:
        time = _from_text(time, table.timestamp_format)
    elif isinstance(kind, pl.Datetime) and kind.time_zone is not None:
        return time.dt.convert_time_zone("UTC").dt.replace_time_zone(None).dt.cast_time_unit("us")
    local = time.cast(pl.Datetime("us"))
    if zone == "UTC":
        return local
    zoned = local.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    shifted = (local + pl.duration(hours=1)).dt.replace_time_zone(
        zone, ambiguous="earliest", non_existent="null"
    )
    # a local time that a clock change skipped counts as the same time after the change
    return pl.coalesce(zoned, shifted).dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def _from_integer(time: pl.Expr, unit: str) -> pl.Expr:
    if unit == "ns":
        return (time // 1_000).cast(pl.Datetime("us"))
    return (time.cast(pl.Int64) * _UNITS_PER_MICROSECOND[unit]).cast(pl.Datetime("us"))


def _from_text(time: pl.Expr, timestamp_format: str) -> pl.Expr:
    formats = (timestamp_format,) if timestamp_format else _TEXT_FORMATS
    return pl.coalesce(time.str.strptime(pl.Datetime("us"), text, strict=False) for text in formats)


def _timestamp_problems(events: pl.DataFrame, where: str) -> list[Problem]:
    missing = events[TIMESTAMP].null_count()
    impossible = int((events[TIMESTAMP] < datetime.min).sum())
    early = int((events[TIMESTAMP] < _FIRST_PLAUSIBLE).sum())
    problems = []
    if missing:
        what = f"{missing:,} of {len(events):,} events have no readable timestamp"
        fix = "correct these rows, or set data.interactions.timestamp_format or a filter"
        problems.append(Problem(where, what, fix))
    if impossible:
        what = f"{impossible:,} of {len(events):,} events are before the year 1"
        fix = "correct data.interactions.timestamp_unit or timestamp_format, or filter these rows out"
        problems.append(Problem(where, what, fix))
    elif early:
        what = f"{early:,} of {len(events):,} events are before {_FIRST_PLAUSIBLE:%Y}"
        fix = "check data.interactions.timestamp_unit and timestamp_format, or filter these rows out"
        problems.append(Problem(where, what, fix, "warning"))
    return problems


def _weight_problems(events: pl.DataFrame, table: InteractionsSettings, where: str) -> list[Problem]:
    valid = pl.col(WEIGHT).is_between(0, _LARGEST_WEIGHT).fill_null(False)
    bad = events.select((~valid).sum()).item()
    if not bad:
        return []
    what = (
        f"{bad:,} of {len(events):,} events have a weight that is negative, missing, not a number or above "
        f"{_LARGEST_WEIGHT:.0e} (column {table.columns.get(WEIGHT, WEIGHT)!r})"
    )
    return [Problem(where, what, "filter them out, or write the weights in a coarser unit")]

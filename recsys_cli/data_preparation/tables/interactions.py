"""Read events: mapped to the contract, checked, and cut at the scoring day."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import polars as pl

from recsys_cli.configs.data_sections import DataSettings, InteractionsSettings
from recsys_cli.data_preparation.readers.column_expressions import column_expression, is_expression
from recsys_cli.data_preparation.readers.local_files import (
    collect_source,
    scan_source,
    source_files,
    source_schema,
)
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.event_reading import (
    coded,
    has_no_meaning,
    is_not_ignored,
    is_not_named,
    negative_problems,
    type_codes,
    type_problems,
    without_surplus,
)
from recsys_cli.data_preparation.tables.event_types import event_rules
from recsys_cli.data_preparation.tables.ids import cast_ids, id_problems
from recsys_cli.data_preparation.tables.problems import Problem, missing_column
from recsys_cli.data_preparation.tables.times import instants, is_time
from recsys_cli.utils.columns import EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID, WEIGHT
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.storage.uris import shown_path

_FIRST_PLAUSIBLE = datetime(1971, 1, 1)  # zeros and wrong units give dates in 1970
_LARGEST_WEIGHT = 1e15  # so that sums and means stay finite


def read_interactions(
    data: DataSettings, workspace: InputFolder, cut: datetime, timezone: str
) -> tuple[pl.DataFrame | None, list[Problem]]:
    """Return the events before `cut` as user_id, item_id, timestamp, weight, and all their problems.

    Rows on or after the cut are dropped first: nothing below ever sees them. Where the settings say what
    types of events count for, the code of each follows as event_type; weights are still those of the source.
    """
    table = data.interactions
    if not table.path:
        return None, [
            Problem("interactions", "no path is set", "set data.interactions.path in settings/settings.toml")
        ]
    where = shown_path(table.path, workspace.path)
    try:
        files = source_files(table, workspace)
        frame = scan_source(table, workspace, table.time_zone or timezone)
        schema = source_schema(frame, files)
        problems = _schema_problems(table, schema, where)
        if problems:
            return None, problems
        mapped = _mapped(frame, data, schema, timezone)
        known = mapped.filter(pl.col(TIMESTAMP).is_null() | (pl.col(TIMESTAMP) < cut))
        events, problems = _typed_events(known, data, files, where)
    except InputError as error:
        return None, [Problem(error.where or "interactions", error.what, error.fix)]
    if problems:
        return None, problems + _timestamp_problems(events, where)
    events, problems = _checked_events(events, data, where, timezone)
    if events.is_empty() and not any(problem.severity == "error" for problem in problems):
        what = f"there is no event before {cut:%Y-%m-%d %H:%M} UTC"
        fix = "choose a later --date, or correct the table's filter and timestamp settings"
        problems.append(Problem(where, what, fix))
    return events, problems


def _typed_events(
    known: pl.LazyFrame, data: DataSettings, files: list[Path], where: str
) -> tuple[pl.DataFrame, list[Problem]]:
    """Return the events with the codes of their types, if they have types; and types that have no meaning."""
    if not _has_types(data):
        return collect_source(known, files), []
    rules = event_rules(data)
    codes = type_codes(data, rules)
    events = collect_source(known.with_columns(coded(codes)).filter(is_not_ignored()), files)
    if events.select(has_no_meaning().any()).item():
        counts = known.filter(is_not_named(codes)).group_by(EVENT_TYPE).agg(pl.len().alias("count"))
        return events, type_problems(collect_source(counts, files), where)
    return (events if rules else events.drop(EVENT_TYPE)), []


def _has_types(data: DataSettings) -> bool:
    return bool(data.events) or bool(data.interactions.columns.get(EVENT_TYPE))


def _checked_events(
    events: pl.DataFrame, data: DataSettings, where: str, timezone: str
) -> tuple[pl.DataFrame, list[Problem]]:
    problems = _timestamp_problems(events, where)
    problems += id_problems(events, where, USER_ID) + id_problems(events, where, ITEM_ID)
    events, user_problems = cast_ids(events, USER_ID, data.user_id_type, where)
    events, item_problems = cast_ids(events, ITEM_ID, data.item_id_type, where)
    problems += user_problems + item_problems
    rules = event_rules(data)
    if not rules:
        return events, problems + _weight_problems(events, data.interactions, where)
    problems += negative_problems(events, rules, where)
    problems += _weight_problems(events.with_columns(pl.col(WEIGHT).abs()), data.interactions, where)
    if any(problem.severity == "error" for problem in problems):
        return events, problems
    events, surplus_problems = without_surplus(events, rules, timezone, where)
    return events, problems + surplus_problems


def _schema_problems(table: InteractionsSettings, schema: pl.Schema, where: str) -> list[Problem]:
    required = {name: table.columns.get(name, name) for name in (USER_ID, ITEM_ID, TIMESTAMP)}
    computed = [name for name in (WEIGHT, EVENT_TYPE) if table.columns.get(name)]
    named = [name for name in computed if not is_expression(table.columns[name], schema)]
    required |= {name: table.columns[name] for name in named}
    problems = [
        missing_column(where, name, source, schema.names())
        for name, source in required.items()
        if source not in schema
    ]
    kind = schema.get(required[TIMESTAMP])
    if kind is not None and not is_time(kind):
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
    return problems or list(_computed_problems(table, schema, where))


def _computed_problems(table: InteractionsSettings, schema: pl.Schema, where: str) -> Iterator[Problem]:
    """Yield what is wrong with the types of the columns that may be SQL."""
    kinds = {
        name: _expression(table, name, schema)[1] for name in (WEIGHT, EVENT_TYPE) if table.columns.get(name)
    }
    if WEIGHT in kinds and not kinds[WEIGHT].is_numeric():
        what = f"the weight column {table.columns[WEIGHT]!r} holds {kinds[WEIGHT]}, not numbers"
        fix = 'map a numeric column; for CSV with decimal commas, set `decimal = ","` of the table'
        yield Problem(where, what, fix)
    if EVENT_TYPE in kinds and kinds[EVENT_TYPE].is_nested():
        what = (
            f"the type of events {table.columns[EVENT_TYPE]!r} holds {kinds[EVENT_TYPE]}, not names or codes"
        )
        yield Problem(where, what, "map a column of names or codes")


def _timestamp_problem(where: str, what: str) -> Problem:
    fix = (
        "store it as a timestamp, or set data.interactions.timestamp_format (text) or timestamp_unit (number)"
    )
    return Problem(where, what, fix)


def _mapped(frame: pl.LazyFrame, data: DataSettings, schema: pl.Schema, timezone: str) -> pl.LazyFrame:
    table = data.interactions
    source = table.columns.get(TIMESTAMP, TIMESTAMP)
    weight = _expression(table, WEIGHT, schema)[0] if table.columns.get(WEIGHT) else pl.lit(1.0)
    columns = [
        pl.col(table.columns.get(USER_ID, USER_ID)).alias(USER_ID),
        pl.col(table.columns.get(ITEM_ID, ITEM_ID)).alias(ITEM_ID),
        instants(pl.col(source), schema[source], table, timezone).alias(TIMESTAMP),
        weight.cast(pl.Float32).alias(WEIGHT),
    ]
    if table.columns.get(EVENT_TYPE):
        columns.append(_expression(table, EVENT_TYPE, schema)[0].cast(pl.String).alias(EVENT_TYPE))
    elif data.events:
        columns.append(pl.lit(next(iter(data.events))).alias(EVENT_TYPE))
    return frame.select(columns)


def _expression(table: InteractionsSettings, name: str, schema: pl.Schema) -> tuple[pl.Expr, pl.DataType]:
    where = f"data.interactions.columns.{name}"
    return column_expression(table.columns[name], schema, where=where)


def _timestamp_problems(events: pl.DataFrame, where: str) -> list[Problem]:
    missing = events[TIMESTAMP].null_count()
    early = int((events[TIMESTAMP] < _FIRST_PLAUSIBLE).sum())
    problems = []
    if missing:
        what = f"{missing:,} of {len(events):,} events have no readable timestamp"
        fix = "correct these rows, or set data.interactions.timestamp_format or a filter"
        problems.append(Problem(where, what, fix))
    if early:
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

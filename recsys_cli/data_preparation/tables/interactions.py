"""Read events: mapped to the contract, checked, and cut at the scoring day."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import polars as pl

from recsys_cli.configs.data_sections import DataSettings, InteractionsSettings
from recsys_cli.data_preparation.readers.column_expressions import column_expression, is_expression
from recsys_cli.data_preparation.readers.local_files import (
    OpenSource,
    collect_source,
    open_source,
    source_schema,
)
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.readers.row_sources import shown_source
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
from recsys_cli.data_preparation.tables.problems import Problem, filter_problem, missing_column
from recsys_cli.data_preparation.tables.source_events import (
    FIRST_PLAUSIBLE,
    LARGEST_WEIGHT,
    EventFigures,
    SourceEvents,
    counted_again,
    event_figures,
    ids_of,
)
from recsys_cli.data_preparation.tables.times import instants, is_time
from recsys_cli.utils.columns import EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID, WEIGHT
from recsys_cli.utils.errors import InputError

_REQUIRED = (USER_ID, ITEM_ID, TIMESTAMP)


def read_interactions(
    data: DataSettings, workspace: InputFolder, cut: datetime, timezone: str
) -> tuple[SourceEvents | None, list[Problem]]:
    """Return the events before `cut` as user_id, item_id, timestamp, weight, and all their problems.

    Events without types are not held in memory: they are read again when they are placed in their table.
    Rows on or after the cut are dropped first: nothing below ever sees them. Where the settings say what
    types of events count for, the code of each follows as event_type; weights are still those of the source.
    """
    table = data.interactions
    if not table.is_given:
        return None, [
            Problem("interactions", "no path is set", "set data.interactions.path in settings/settings.toml")
        ]
    where = shown_source(table, workspace.path)
    try:
        source = open_source(table, workspace, table.time_zone or timezone)
        schema = source_schema(source.rows, source.files)
        problems = _schema_problems(table, schema, where)
        if problems:
            return None, problems
        is_known = pl.col(TIMESTAMP).is_null() | (pl.col(TIMESTAMP) < cut)
        known = _mapped(source.filtered(), data, schema, timezone).filter(is_known)
        known, problems = _typed_events(known, data, source.files, where)
        if problems:
            return None, problems + _timestamp_problems(event_figures(known, source.files), where)
        dropped = _mapped(source.unknown(), data, schema, timezone).filter(is_known)
        doubts = _filter_problems(dropped, source, table, where)
        events, problems = _checked_events(known, data, source.files, _Place(where, timezone, cut))
        return events, doubts + problems
    except InputError as error:
        return None, [Problem(error.where or "interactions", error.what, error.fix)]


def _filter_problems(
    dropped: pl.LazyFrame, source: OpenSource, table: InteractionsSettings, where: str
) -> list[Problem]:
    """Return that the filter is unknown for some events before the cut."""
    if not table.filter:
        return []
    count = collect_source(dropped.select(pl.len()), source.files).item()
    return filter_problem(count, table.filter, where)


def _typed_events(
    known: pl.LazyFrame, data: DataSettings, files: list[Path], where: str
) -> tuple[pl.LazyFrame, list[Problem]]:
    """Return the events with the codes of their types, if they have types; and types that have no meaning."""
    if not _has_types(data):
        return known, []
    rules = event_rules(data)
    codes = type_codes(data, rules)
    events = collect_source(known.with_columns(coded(codes)).filter(is_not_ignored()), files)
    if events.select(has_no_meaning().any()).item():
        counts = known.filter(is_not_named(codes)).group_by(EVENT_TYPE).agg(pl.len().alias("count"))
        return events.lazy(), type_problems(collect_source(counts, files), where)
    return (events if rules else events.drop(EVENT_TYPE)).lazy(), []


def _has_types(data: DataSettings) -> bool:
    return bool(data.events) or bool(data.interactions.columns.get(EVENT_TYPE))


class _Place(NamedTuple):
    """What the messages of events name, and the bounds of their days."""

    where: str
    timezone: str
    cut: datetime


def _checked_events(
    known: pl.LazyFrame, data: DataSettings, files: list[Path], place: _Place
) -> tuple[SourceEvents | None, list[Problem]]:
    where, rules = place.where, event_rules(data)
    figures = event_figures(known, files, signed=bool(rules))
    users, items = (ids_of(known, key, files) for key in (USER_ID, ITEM_ID))
    problems = _timestamp_problems(figures, where)
    problems += id_problems(users, where, USER_ID) + id_problems(items, where, ITEM_ID)
    users, user_problems = cast_ids(users, USER_ID, data.user_id_type, where)
    items, item_problems = cast_ids(items, ITEM_ID, data.item_id_type, where)
    problems += user_problems + item_problems
    if rules:
        events = known.collect()
        problems += negative_problems(events, rules, where)
    problems += _weight_problems(figures, data.interactions, where)
    if any(problem.severity == "error" for problem in problems):
        return None, problems
    if rules:
        counting, surplus_problems = without_surplus(events, rules, place.timezone, where)
        problems += surplus_problems
        known, figures = counting.lazy(), event_figures(counting.lazy(), files)
        users, items = (counted_again(ids, known, key) for ids, key in ((users, USER_ID), (items, ITEM_ID)))
    if not figures.events:
        what = f"there is no event before {place.cut:%Y-%m-%d %H:%M} UTC"
        fix = "choose a later --date, or correct the table's filter and timestamp settings"
        problems.append(Problem(where, what, fix))
    return SourceEvents(known, files, where, users, items), problems


def _schema_problems(table: InteractionsSettings, schema: pl.Schema, where: str) -> list[Problem]:
    sources = {name: _text(table, name) for name in (*_REQUIRED, *_optional(table))}
    problems = [
        missing_column(where, name, source, schema.names())
        for name, source in sources.items()
        if source not in schema and not is_expression(source, schema)
    ]
    time = sources[TIMESTAMP]
    has_time = time in schema or is_expression(time, schema)
    kind = _expression(table, TIMESTAMP, schema)[1] if has_time else None
    if kind is not None and not is_time(kind):
        problems.append(_timestamp_problem(where, f"column {time!r} holds {kind}, not a timestamp"))
    is_text_parquet = (
        kind == pl.String and not table.timestamp_format and where.lower().endswith((".parquet", ".pq"))
    )
    if is_text_parquet and time in schema:
        problems.append(_timestamp_problem(where, f"column {time!r} holds text, not a timestamp"))
    return problems or list(_computed_problems(table, schema, where))


def _computed_problems(table: InteractionsSettings, schema: pl.Schema, where: str) -> Iterator[Problem]:
    """Yield what is wrong with the types of the columns that may be SQL."""
    kinds = {name: _expression(table, name, schema)[1] for name in _optional(table)}
    if WEIGHT in kinds and not (kinds[WEIGHT].is_numeric() or kinds[WEIGHT] == pl.Null):
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
    time, kind = _expression(table, TIMESTAMP, schema)
    weight = _expression(table, WEIGHT, schema)[0] if table.columns.get(WEIGHT) else pl.lit(1.0)
    columns = [
        *(_id(*_expression(table, name, schema)).alias(name) for name in (USER_ID, ITEM_ID)),
        instants(time, kind, table, timezone).alias(TIMESTAMP),
        weight.cast(pl.Float32).alias(WEIGHT),
    ]
    if table.columns.get(EVENT_TYPE):
        columns.append(_expression(table, EVENT_TYPE, schema)[0].cast(pl.String).alias(EVENT_TYPE))
    elif data.events:
        columns.append(pl.lit(next(iter(data.events))).alias(EVENT_TYPE))
    return frame.select(columns)


def _id(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    return column.cast(pl.String) if isinstance(kind, pl.Categorical | pl.Enum) else column


def _expression(table: InteractionsSettings, name: str, schema: pl.Schema) -> tuple[pl.Expr, pl.DataType]:
    where = f"data.interactions.columns.{name}"
    return column_expression(_text(table, name), schema, where=where)


def _text(table: InteractionsSettings, name: str) -> str:
    """Return what the settings say of a column of the contract: the source's column, or SQL."""
    return table.columns.get(name) or name


def _optional(table: InteractionsSettings) -> list[str]:
    return [name for name in (WEIGHT, EVENT_TYPE) if table.columns.get(name)]


def _timestamp_problems(figures: EventFigures, where: str) -> list[Problem]:
    problems = []
    if figures.without_time:
        what = f"{figures.without_time:,} of {figures.events:,} events have no readable timestamp"
        fix = "correct these rows, or set data.interactions.timestamp_format or a filter"
        problems.append(Problem(where, what, fix))
    if figures.impossible:
        what = f"{figures.impossible:,} of {figures.events:,} events are before the year 1"
        fix = "correct data.interactions.timestamp_unit or timestamp_format, or filter these rows out"
        problems.append(Problem(where, what, fix))
    elif figures.early:
        what = f"{figures.early:,} of {figures.events:,} events are before {FIRST_PLAUSIBLE:%Y}"
        fix = "check data.interactions.timestamp_unit and timestamp_format, or filter these rows out"
        problems.append(Problem(where, what, fix, "warning"))
    return problems


def _weight_problems(figures: EventFigures, table: InteractionsSettings, where: str) -> list[Problem]:
    if not figures.bad_weights:
        return []
    what = (
        f"{figures.bad_weights:,} of {figures.events:,} events have a weight that is negative, missing, "
        f"not a number or above {LARGEST_WEIGHT:.0e} (column {table.columns.get(WEIGHT, WEIGHT)!r})"
    )
    return [Problem(where, what, "filter them out, or write the weights in a coarser unit")]

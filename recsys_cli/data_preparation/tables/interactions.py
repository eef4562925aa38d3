"""Read events: mapped to the contract, checked, and cut at the scoring day."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

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
from recsys_cli.data_preparation.tables.event_counts import (
    FIRST_PLAUSIBLE,
    LARGEST_WEIGHT,
    EventCounts,
    EventFigures,
    EventSource,
    count_events,
    with_weight,
)
from recsys_cli.data_preparation.tables.event_reading import (
    coded,
    is_not_ignored,
    is_not_named,
    negative_problems,
    type_codes,
    type_problems,
    weightless_problems,
)
from recsys_cli.data_preparation.tables.event_types import event_rules
from recsys_cli.data_preparation.tables.ids import cast_ids, id_problems
from recsys_cli.data_preparation.tables.problems import Problem, filter_problem, missing_column
from recsys_cli.data_preparation.tables.times import instants, is_time
from recsys_cli.utils.columns import EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID, WEIGHT
from recsys_cli.utils.errors import InputError

_REQUIRED = (USER_ID, ITEM_ID, TIMESTAMP)


@dataclass(frozen=True)
class ReadEvents:
    """The checked events of a source, which stay there until they are placed in their table.

    Attributes:
        users, items: one row per id of the source: the id as it counts, and the number of its events.
    """

    source: EventSource
    users: pl.DataFrame
    items: pl.DataFrame


def read_interactions(
    data: DataSettings, workspace: InputFolder, cut: datetime, timezone: str
) -> tuple[ReadEvents | None, list[Problem]]:
    """Return the events before `cut` as user_id, item_id, timestamp, weight, and all their problems.

    They are counted, not held: they are read again when they are placed in their table. Rows on or after the
    cut are dropped first: nothing below ever sees them. Where the settings say what types of events count
    for, the code of each follows as event_type; weights are still those of the source.
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
        mapping = _Mapping(data, schema, timezone, cut)
        pieces = [mapping.coded(piece) for piece in source.filtered_pieces()]
        events = EventSource(pieces, source.files, where, source.are_small)
        counts = count_events(events, event_rules(data))
        if counts.figures.without_meaning:
            unknown = mapping.types_without_meaning(source.filtered())
            problems = type_problems(collect_source(unknown, source.files), where)
            return None, problems + _timestamp_problems(counts.figures, where)
        doubts = _filter_problems(mapping.known(source.unknown()), source, table, where)
        checked, problems = _checked_events(events, counts, data, cut)
        return checked, doubts + problems
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


def _checked_events(
    events: EventSource, counts: EventCounts, data: DataSettings, cut: datetime
) -> tuple[ReadEvents | None, list[Problem]]:
    where, rules, figures = events.where, event_rules(data), counts.figures
    users, items = counts.users, counts.items
    problems = _timestamp_problems(figures, where)
    problems += id_problems(users, where, USER_ID) + id_problems(items, where, ITEM_ID)
    users, user_problems = cast_ids(users, USER_ID, data.user_id_type, where)
    items, item_problems = cast_ids(items, ITEM_ID, data.item_id_type, where)
    problems += user_problems + item_problems
    if rules:
        problems += negative_problems(figures.negative, figures.events, where)
    problems += _weight_problems(figures, data.interactions, where)
    if any(problem.severity == "error" for problem in problems):
        return None, problems
    counting = figures.events
    if rules:
        problems += weightless_problems(figures.weightless, figures.events, where)
        users, items, counting = with_weight(users), with_weight(items), counting - figures.weightless
    if not counting:
        what = f"there is no event before {cut:%Y-%m-%d %H:%M} UTC"
        fix = "choose a later --date, or correct the table's filter and timestamp settings"
        problems.append(Problem(where, what, fix))
    return ReadEvents(events, users, items), problems


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


@dataclass(frozen=True)
class _Mapping:
    """How the rows of a source become events.

    Attributes:
        schema: of the source.
        cut: the events before it are known.
    """

    data: DataSettings
    schema: pl.Schema
    timezone: str
    cut: datetime

    def known(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return the events before the cut, with the names of their types if they have types."""
        table, schema = self.data.interactions, self.schema
        time, kind = _expression(table, TIMESTAMP, schema)
        weight = _expression(table, WEIGHT, schema)[0] if table.columns.get(WEIGHT) else pl.lit(1.0)
        columns = [
            *(_id(*_expression(table, name, schema)).alias(name) for name in (USER_ID, ITEM_ID)),
            instants(time, kind, table, self.timezone).alias(TIMESTAMP),
            weight.cast(pl.Float32).alias(WEIGHT),
        ]
        if table.columns.get(EVENT_TYPE):
            columns.append(_expression(table, EVENT_TYPE, schema)[0].cast(pl.String).alias(EVENT_TYPE))
        elif self.data.events:
            columns.append(pl.lit(next(iter(self.data.events))).alias(EVENT_TYPE))
        return rows.select(columns).filter(pl.col(TIMESTAMP).is_null() | (pl.col(TIMESTAMP) < self.cut))

    def coded(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return the same with the codes of the types; those that the settings leave out are gone."""
        if not self._has_types:
            return self.known(rows)
        return self.known(rows).with_columns(coded(self._codes)).filter(is_not_ignored())

    def types_without_meaning(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        """Return event_type and count of the types that the settings do not name."""
        unknown = self.known(rows).filter(is_not_named(self._codes))
        return unknown.group_by(EVENT_TYPE).agg(pl.len().alias("count"))

    @property
    def _has_types(self) -> bool:
        return bool(self.data.events) or bool(self.data.interactions.columns.get(EVENT_TYPE))

    @property
    def _codes(self) -> Mapping[str, int]:
        return type_codes(self.data, event_rules(self.data))


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

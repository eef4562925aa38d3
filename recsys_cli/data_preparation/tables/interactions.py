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
from recsys_cli.data_preparation.tables.times import instants, is_time
from recsys_cli.utils.columns import ITEM_ID, TIMESTAMP, USER_ID, WEIGHT
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.storage.uris import shown_path

_FIRST_PLAUSIBLE = datetime(1971, 1, 1)  # zeros and wrong units give dates in 1970
_LARGEST_WEIGHT = 1e15  # so that sums and means stay finite


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
        frame = scan_source(table, workspace, table.time_zone or timezone)
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
    if WEIGHT in required and not schema.get(required[WEIGHT], pl.Float32()).is_numeric():
        problems.append(
            Problem(
                where,
                f"the weight column {required[WEIGHT]!r} holds {schema[required[WEIGHT]]}, not numbers",
                'map a numeric column; for CSV with decimal commas, set `decimal = ","` of the table',
            )
        )
    return problems


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
        instants(pl.col(source), schema[source], table, timezone).alias(TIMESTAMP),
        weight.cast(pl.Float32).alias(WEIGHT),
    )


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

"""Read users and items: one row per id, with the declared features."""

from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from recsys_cli.configs.data_sections import FeatureTableSettings
from recsys_cli.data_preparation.readers.file_kinds import source_kind
from recsys_cli.data_preparation.readers.local_files import (
    OpenSource,
    collect_source,
    is_needed,
    open_source,
    source_schema,
)
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.readers.row_sources import shown_source
from recsys_cli.data_preparation.readers.snapshots import open_snapshot
from recsys_cli.data_preparation.tables.entity_columns import KINDS, EntityColumns
from recsys_cli.data_preparation.tables.entity_problems import schema_problems, value_problems
from recsys_cli.data_preparation.tables.ids import IdType, cast_ids, duplicate_problems, id_problems
from recsys_cli.data_preparation.tables.problems import Problem, filter_problem
from recsys_cli.utils.columns import EXCLUDED, ITEM_ID
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.sql_text import names_in


@dataclass(frozen=True)
class EntityTable:
    """A table of users or items, and how it is read.

    Attributes:
        key: user_id or item_id.
        timezone: of the days of instants.
        exclude: scoring.exclude; empty: none.
    """

    settings: FeatureTableSettings
    key: str
    id_type: IdType
    timezone: str
    exclude: str = ""

    def is_used(self, name: str) -> bool:
        """Return whether the settings need a column of the source."""
        return is_needed(self.settings, name) or name in names_in(self.exclude)


def read_entities(
    table: EntityTable, workspace: InputFolder, day: date
) -> tuple[pl.DataFrame | None, list[Problem]]:
    """Return the users or items with their declared features, and all their problems.

    A table without a path is empty: ids then come from the events.

    Args:
        day: of a table a day, the newest snapshot before this day is read.

    Raises: SettingsError for an expression of the settings that cannot be used.
    """
    settings = table.settings
    if not settings.is_given:
        return _empty(table.key, table.id_type), _exclude_problems(table.exclude)
    where = shown_source(settings, workspace.path)
    try:
        if not settings.snapshots:
            source = open_source(settings, workspace, table.timezone, table.is_used)
            return _entities(table, source, where)
        source, found = open_snapshot(settings, workspace, table.timezone, day, table.is_used)
        entities, problems = _entities(table, source, where)
        return entities, _age_problems(settings, found, day, where) + problems
    except InputError as error:
        return None, [Problem(error.where or where, error.what, error.fix)]


def _entities(
    table: EntityTable, source: OpenSource, where: str
) -> tuple[pl.DataFrame | None, list[Problem]]:
    settings, files = table.settings, source.files
    schema = source_schema(source.rows, files)
    columns = EntityColumns(settings, table.key, schema, table.timezone, table.exclude)
    problems = schema_problems(columns, where)
    if problems:
        return None, problems
    frame = source.filtered()
    selected = collect_source(frame.select(columns.selected()), files)
    problems = _unreadable_date_problems(frame, columns, files)
    problems += filter_problem(source.count_unknown(), settings.filter, where)
    problems += value_problems(selected, columns, where, is_csv=source_kind(settings, files) == "csv")
    whole_file = not settings.filter and len(files) == 1
    problems += id_problems(selected, where, table.key, whole_file=whole_file)
    problems += duplicate_problems(selected, where, table.key)
    finite, infinite_problems = _finite(selected, where)
    entities, cast_problems = cast_ids(finite, table.key, table.id_type, where)
    if EXCLUDED in entities.columns:
        entities = entities.with_columns(pl.col(EXCLUDED).fill_null(False))
    return entities, problems + infinite_problems + cast_problems


def _age_problems(settings: FeatureTableSettings, found: date, day: date, where: str) -> list[Problem]:
    """Report a snapshot that is older than `max_snapshot_age_days`."""
    age, most = (day - found).days, settings.max_snapshot_age_days
    if age <= most:
        return []
    what = f"the newest snapshot before {day} is that of {found}, {age} days before; {most} are allowed"
    return [Problem(where, what, "deliver a newer one, or raise `max_snapshot_age_days` of the table")]


def _empty(key: str, id_type: IdType) -> pl.DataFrame:
    kind = pl.String if id_type == "text" else pl.Int64
    schema: dict[str, pl.DataType | type[pl.DataType]] = {key: kind}
    if key == ITEM_ID:
        schema |= {**KINDS, EXCLUDED: pl.Boolean}
    return pl.DataFrame(schema=schema)


def _exclude_problems(exclude: str) -> list[Problem]:
    """Report scoring.exclude without an items table: it would exclude nothing."""
    fix = "set data.items.path, or leave scoring.exclude empty"
    return [Problem("scoring.exclude", "there is no items table to exclude from", fix)] if exclude else []


def _unreadable_date_problems(
    frame: pl.LazyFrame, columns: EntityColumns, files: list[Path]
) -> list[Problem]:
    """Report values of date columns that cannot be read as a date."""
    if not columns.dates:
        return []
    unread = [
        (columns.source(name)[0].is_not_null() & columns.day(name, "UTC").is_null()).sum().alias(name)
        for name in columns.dates
    ]
    counts = collect_source(frame.select(unread), files).row(0, named=True)
    fix = "write them as 2026-11-23, or leave them empty"
    return [
        Problem(str(files[0]), f"{count:,} values of {name} are not dates", fix)
        for name, count in counts.items()
        if count
    ]


def _finite(entities: pl.DataFrame, where: str) -> tuple[pl.DataFrame, list[Problem]]:
    """Return the frame with infinite numbers replaced by null, and a problem for each such column."""
    numbers = [name for name, kind in entities.schema.items() if kind.is_float()]
    counts = {name: int(entities[name].is_infinite().sum()) for name in numbers}
    fix = "leave them empty, or write a finite number"
    problems = [
        Problem(
            where,
            f"{count:,} values of {name!r} are infinite or too large: they count as missing",
            fix,
            "warning",
        )
        for name, count in counts.items()
        if count
    ]
    finite = [
        pl.when(~pl.col(name).is_infinite()).then(pl.col(name)) for name, count in counts.items() if count
    ]
    return entities.with_columns(finite), problems

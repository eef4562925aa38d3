"""Columns of the events that the settings do not use, though they may be a weight or a type."""

from recsys_cli.configs.data_sections import InteractionsSettings
from recsys_cli.data_preparation.column_guessing.event_columns import Hint, hint_of
from recsys_cli.data_preparation.readers.local_files import (
    collect_source,
    scan_source,
    source_files,
    source_schema,
)
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.utils.columns import EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID, WEIGHT
from recsys_cli.utils.sql_text import names_in

_SAMPLE_ROWS = 200_000


def unused_event_columns(table: InteractionsSettings, workspace: InputFolder) -> list[Hint]:
    """Return what unused columns of the events may be, by their first rows; those of the filter are used.

    Raises: InputError for a table that cannot be read.
    """
    if not table.is_given:
        return []
    files = source_files(table, workspace)
    frame = scan_source(table, workspace)
    names = source_schema(frame, files).names()
    spare = [name for name in names if not _is_used(name, table)]
    sample = collect_source(frame.select(spare).head(_SAMPLE_ROWS), files)
    found = (hint_of(column, **_mapped(table)) for column in sample)
    return [hint for hint in found if hint is not None]


def _mapped(table: InteractionsSettings) -> dict[str, bool]:
    columns = table.columns
    return {"has_weight": bool(columns.get(WEIGHT)), "has_type": bool(columns.get(EVENT_TYPE))}


def _is_used(name: str, table: InteractionsSettings) -> bool:
    """Return whether a column is mapped, or stands in an expression of the settings."""
    mapped = [table.columns.get(key, key) for key in (USER_ID, ITEM_ID, TIMESTAMP)]
    expressions = (table.filter, *table.columns.values())
    return name in mapped or any(name == text or name in names_in(text) for text in expressions)

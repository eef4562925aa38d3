"""Tables whose rows are copied before they are read: a database's query, Delta Lake, Iceberg."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from recsys_cli.configs.data_sections import InteractionsSettings, TableSettings
from recsys_cli.data_preparation.readers.databases.query import Query
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.readers.table_copies import RowSource
from recsys_cli.data_preparation.readers.table_folders import delta_folder, iceberg_metadata
from recsys_cli.utils.dates import day_start
from recsys_cli.utils.storage.hashing import sha256_of_json
from recsys_cli.utils.storage.network_limits import NetworkLimits
from recsys_cli.utils.storage.uris import is_uri, shown, shown_path

_NO_DAY = datetime(9999, 1, 1, tzinfo=UTC)  # before which everything lies
_NAME_LENGTH = 16


def shown_source(table: TableSettings, root: Path) -> str:
    """Return where a table lies, for messages: its path, or its database without user and password."""
    return shown(table.connection) if table.connection else shown_path(table.path, root)


def row_source(table: TableSettings, workspace: InputFolder) -> RowSource | None:
    """Return the rows to copy; None for a table of plain files.

    Raises: InputError for a table whose log cannot be read; SettingsError if its extra is not installed.
    """
    if table.connection:
        return _of_query(query_of(table, workspace), workspace)
    if is_uri(table.path):
        return None
    folder, name = workspace.path / table.path, sha256_of_json(table.path)[:_NAME_LENGTH]
    if (found := delta_folder(folder)) is not None:
        from recsys_cli.data_preparation.readers.delta_tables import delta_rows

        return delta_rows(found, f"delta/{name}")
    if (metadata := iceberg_metadata(folder)) is not None:
        from recsys_cli.data_preparation.readers.iceberg_tables import iceberg_rows

        return iceberg_rows(metadata, f"iceberg/{name}")
    return None


def query_of(table: TableSettings, workspace: InputFolder) -> Query:
    """Return the table's query, for the day of the inputs' folder."""
    own_zone = table.time_zone if isinstance(table, InteractionsSettings) else ""
    cut = _NO_DAY
    if workspace.day is not None:
        cut = day_start(workspace.day, workspace.timezone).replace(tzinfo=UTC)
    return Query(
        connection=table.connection,
        password=table.password,
        text=table.query,
        cut=cut,
        zone=own_zone or workspace.timezone,
        folder=workspace.path,
        limits=NetworkLimits.of(workspace.options),
    )


def _of_query(query: Query, workspace: InputFolder) -> RowSource:
    from recsys_cli.data_preparation.readers.databases.rows import query_rows

    name = sha256_of_json([query.where, query.text, query.zone])[:_NAME_LENGTH]
    day = f"date={workspace.day}" if query.has_date and workspace.day else "all"
    return RowSource(query.where, f"{query.scheme}/{name}", day, None, partial(query_rows, query))

"""The names of a source's columns as delivered, without reading its rows."""

from pathlib import Path

from recsys_cli.configs.data_sections import TableSettings
from recsys_cli.data_preparation.readers.csv_files import csv_cells
from recsys_cli.data_preparation.readers.file_kinds import source_kind
from recsys_cli.data_preparation.readers.local_files import source_files
from recsys_cli.data_preparation.readers.polars_errors import as_input_error
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.utils.storage.table_files import scan_parquet_file
from recsys_cli.utils.storage.uris import is_uri


def column_names(table: TableSettings, workspace: InputFolder) -> list[str]:
    """Return the columns of the source's last file; none where only reading or asking again shows them.

    Raises: InputError for files that cannot be read.
    """
    if not table.path or is_uri(table.path):
        return []
    files = source_files(table, workspace)
    with as_input_error(files):
        return _names(table, files[-1], source_kind(table, files[-1:]))


def _names(table: TableSettings, file: Path, kind: str) -> list[str]:
    match kind:
        case "parquet":
            return scan_parquet_file(file).collect_schema().names()
        case "csv":
            return csv_cells(table, file).collect_schema().names()
        case _:
            return []

"""Delta Lake: the rows of a table's current version, whatever other files lie in its folder."""

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from recsys_cli.data_preparation.readers.table_copies import RowSource
from recsys_cli.utils.errors import InputError, SettingsError, first_line

if TYPE_CHECKING:
    from deltalake import DeltaTable

_FIX = "check that the table is whole, or export what it holds now as parquet"


def delta_rows(folder: Path, copies: str) -> RowSource:
    """Return the current version's rows.

    Args:
        copies: the folder of their copies.

    Raises: SettingsError if the extra is not installed; InputError if the log cannot be read.
    """
    if find_spec("deltalake") is None:
        raise SettingsError(
            "a table of Delta Lake needs the extra [delta], which is not installed",
            where=str(folder),
            fix="pip install 'recsys-cli[delta]'",
        )
    from deltalake import DeltaTable

    try:
        table = DeltaTable(folder)
        version = f"{table.metadata().id} {table.version()}"
    except Exception as error:  # pylint: disable=broad-exception-caught
        raise _unreadable(folder, error) from None
    return RowSource(str(folder), copies, "current", version, partial(_frames, table, folder))


def _frames(table: "DeltaTable", folder: Path) -> Iterator[pl.DataFrame]:
    from deltalake import QueryBuilder

    try:
        batches = QueryBuilder().register("rows", table).execute("SELECT * FROM rows")
        yield pl.DataFrame(schema=pl.Schema(table.schema().to_arrow()))
        for batch in batches:
            yield pl.DataFrame(batch)
    except Exception as error:  # pylint: disable=broad-exception-caught
        raise _unreadable(folder, error) from None


def _unreadable(folder: Path, error: Exception) -> InputError:
    return InputError(
        f"the table of Delta Lake cannot be read by its log: {first_line(error)}", where=str(folder), fix=_FIX
    )

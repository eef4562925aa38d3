"""Iceberg: the rows of a table's current snapshot, by a metadata file, without deleted ones."""

from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from recsys_cli.data_preparation.readers.table_copies import RowSource
from recsys_cli.utils.errors import InputError, SettingsError, first_line

if TYPE_CHECKING:
    from pyiceberg.table import StaticTable

_FIX = "check that the files lie where the metadata says, or export what the table holds now as parquet"


def iceberg_rows(metadata: Path, copies: str) -> RowSource:
    """Return the current snapshot's rows.

    Args:
        metadata: a file `….metadata.json`.
        copies: the folder of their copies.

    Raises: SettingsError if the extra is not installed; InputError if the metadata cannot be read.
    """
    if find_spec("pyiceberg") is None:
        raise SettingsError(
            "a table of Apache Iceberg needs the extra [iceberg], which is not installed",
            where=str(metadata),
            fix="pip install 'recsys-cli[iceberg]'",
        )
    from pyiceberg.table import StaticTable

    try:
        table = StaticTable.from_metadata(str(metadata))
        facts = table.metadata
        version = f"{facts.table_uuid} {facts.current_snapshot_id} {facts.current_schema_id}"
    except Exception as error:  # pylint: disable=broad-exception-caught
        raise _unreadable(metadata, error) from None
    return RowSource(str(metadata), copies, "current", version, partial(_frames, table, metadata))


def _frames(table: "StaticTable", metadata: Path) -> Iterator[pl.DataFrame]:
    try:
        batches = table.scan().to_arrow_batch_reader()
        yield pl.DataFrame(batches.schema.empty_table())
        for batch in batches:
            yield pl.DataFrame(batch)
    except Exception as error:  # pylint: disable=broad-exception-caught
        raise _unreadable(metadata, error) from None


def _unreadable(metadata: Path, error: Exception) -> InputError:
    return InputError(
        f"the table of Apache Iceberg cannot be read by its log: {first_line(error)}",
        where=str(metadata),
        fix=_FIX,
    )

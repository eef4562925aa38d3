"""DuckDB by its own library: the file is opened read-only, and a query opens nothing else."""

from collections.abc import Iterator

import polars as pl

from recsys_cli.data_preparation.readers.databases.query import BATCH_ROWS, Query
from recsys_cli.data_preparation.readers.row_files import check_names

_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


def read(query: Query) -> Iterator[pl.DataFrame]:
    """Yield the rows of a query."""
    import duckdb

    with duckdb.connect(str(query.file), read_only=True, config=_CONFIG) as connection:
        connection.execute(f"SET TimeZone = '{query.zone}'")
        given = [query.local_cut] if query.has_date else []
        batches = connection.sql(query.marked("$1"), params=given).to_arrow_reader(BATCH_ROWS)
        check_names(batches.schema.names)
        yield pl.DataFrame(batches.schema.empty_table())
        for batch in batches:
            yield pl.DataFrame(batch)

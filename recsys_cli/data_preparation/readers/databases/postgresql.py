"""PostgreSQL through ADBC: a cursor of one read-only snapshot, fetched as Arrow.

ADBC's own functions are called, not its DB-API, and parameters come from polars: the DB-API, and Arrow for
arrays of Python values, import pandas, which takes 50 MB.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

import polars as pl
import pyarrow as pa

from recsys_cli.data_preparation.readers.databases.query import BATCH_ROWS, Query
from recsys_cli.data_preparation.readers.row_files import ColumnError, check_names

_FIXED = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_CURSOR = "recsys_rows"
_AS_ROWS = {"adbc.postgresql.use_copy": "false"}  # FETCH is no statement that can be copied
_NUMERIC = "arrow.opaque[storage_type=string, type_name=numeric"


def read(query: Query) -> Iterator[pl.DataFrame]:
    """Yield the rows of a query."""
    from adbc_driver_manager import AdbcConnection, AdbcStatement
    from adbc_driver_postgresql import connect

    with (
        connect(_uri(query)) as database,
        AdbcConnection(database) as connection,
        AdbcStatement(connection) as statement,
    ):
        connection.set_autocommit(False)
        _executed(statement, _FIXED)
        for name, value in _session(query).items():
            _executed(statement, "SELECT set_config($1, $2, true)", name, value)
        _open_cursor(statement, query)
        statement.set_options(**_AS_ROWS)
        while True:
            table = _executed(statement, f"FETCH FORWARD {BATCH_ROWS} FROM {_CURSOR}")
            yield _frame(table)
            if table.num_rows < BATCH_ROWS:
                return


def _executed(statement: Any, text: str, *given: Any) -> pa.Table:
    """Return the rows that a statement gives; its parameters are $1, $2, …"""
    statement.set_sql_query(text)
    statement.prepare()
    if given:
        statement.bind_stream(pl.DataFrame({str(place): [one] for place, one in enumerate(given)}))
    rows, _ = statement.execute_query()
    return pa.RecordBatchReader.from_stream(rows).read_all()


def _uri(query: Query) -> str:
    """Return the address for libpq, with the password and a bound on connecting."""
    address = query.address
    options = {"connect_timeout": str(query.connect_seconds), "application_name": "recsys"} | query.options
    user = quote(address.username or "", safe="%")
    if query.secret:
        user += f":{quote(query.secret, safe='')}"
    hosts = address.netloc.rpartition("@")[2]
    return f"postgresql://{user}{'@' if user else ''}{hosts}{address.path}?{urlencode(options)}"


def _session(query: Query) -> dict[str, str]:
    """Return the session's settings: they hold for this transaction."""
    return {
        "TimeZone": query.zone,
        "statement_timeout": str(int(query.limits.max_seconds * 1_000)),
        "idle_in_transaction_session_timeout": "0",
        "synchronize_seqscans": "off",  # the rows come in the order in which they lie
    }


def _open_cursor(statement: Any, query: Query) -> None:
    """Open the cursor whose rows are fetched; what can be prepared is one statement."""
    text, given = query.marked("$1"), (query.local_cut,) if query.has_date else ()
    statement.set_sql_query(text)
    statement.prepare()
    _executed(statement, f"DECLARE {_CURSOR} NO SCROLL CURSOR FOR {text}", *given)


def _frame(table: pa.Table) -> pl.DataFrame:
    """Return rows with what ADBC hands over as it is sent, such as numeric, as ordinary types."""
    check_names(table.schema.names)
    return pl.DataFrame(
        [
            _column(name, field.type, column)
            for name, field, column in zip(table.schema.names, table.schema, table.columns, strict=True)
        ]
    )


def _column(name: str, kind: pa.DataType, column: pa.ChunkedArray) -> pl.Series:
    is_extension = isinstance(kind, pa.BaseExtensionType)
    stored = column.cast(kind.storage_type) if is_extension else column
    if is_extension and kind.extension_name == "arrow.uuid":
        return pl.Series(name, [one and str(UUID(bytes=one)) for one in stored.to_pylist()], dtype=pl.String)
    if pa.types.is_interval(stored.type):
        raise ColumnError(f"column {name!r} holds intervals: convert it in the query, or leave it out")
    values = pl.Series(name, stored)
    is_numeric = is_extension and str(kind).removeprefix("extension<").startswith(_NUMERIC)
    return _numbers(values) if is_numeric else values


def _numbers(texts: pl.Series) -> pl.Series:
    """Return numeric as integers where all of them are, else as floats."""
    whole = texts.cast(pl.Int64, strict=False)
    return whole if whole.null_count() == texts.null_count() else texts.cast(pl.Float64)

"""SQLite by Python's own library: opened read-only; one SELECT sees one state of the file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote

import polars as pl

from recsys_cli.data_preparation.readers.databases.query import Query
from recsys_cli.data_preparation.readers.databases.row_frames import row_frames

_READS = frozenset(
    (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE)
)
_BUSY_SECONDS = 60.0  # to wait for a writer that has locked the file


def read(query: Query) -> Iterator[pl.DataFrame]:
    """Yield the rows of a query; {date} is text such as 2026-11-23 00:00:00, as SQLite writes times."""
    uri = f"file:{quote(str(query.file))}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)) as connection:
        connection.set_authorizer(_only_reads)
        cursor = connection.execute(query.marked(":date"), {"date": f"{query.local_cut:%Y-%m-%d %H:%M:%S}"})
        names = [one[0] for one in cursor.description or ()]
        yield from row_frames(names, cursor.fetchmany)


def _only_reads(action: int, *_names: Any) -> int:
    return sqlite3.SQLITE_OK if action in _READS else sqlite3.SQLITE_DENY

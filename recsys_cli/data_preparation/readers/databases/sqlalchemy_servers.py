"""MySQL, MariaDB, Trino and whatever else SQLAlchemy has a dialect for."""

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from recsys_cli.data_preparation.readers.databases.query import Query
from recsys_cli.data_preparation.readers.databases.row_frames import row_frames

if TYPE_CHECKING:
    from sqlalchemy import Connection, TextClause

_PYMYSQL = {"mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}
_MYSQL_TIMESTAMP = 7  # the type of a column that holds an instant, shown in the session's zone
_COLON = re.compile(r"(?<![:\w\\]):(?=\w)")
_PLACE = "\0"


def read(query: Query) -> Iterator[pl.DataFrame]:
    """Yield the rows of a query."""
    import sqlalchemy as sa

    url = sa.make_url(query.connection)
    url = url.set(drivername=_PYMYSQL.get(url.drivername, url.drivername), password=query.secret or None)
    is_mysql = url.get_backend_name() in _PYMYSQL
    engine = sa.create_engine(
        url,
        poolclass=sa.NullPool,
        hide_parameters=True,
        connect_args=_time_outs(query) if url.get_driver_name() == "pymysql" else {},
    )
    text = _COLON.sub(r"\\:", query.marked(_PLACE)).replace(_PLACE, ":date")
    given = {"date": query.local_cut.replace(tzinfo=None)} if query.has_date else {}
    with engine.connect() as connection:
        try:
            yield from _rows(connection, sa.text(text), given, query, is_mysql=is_mysql)
        except BaseException:
            _abandon(connection)
            raise


def _rows(
    connection: "Connection", text: "TextClause", given: dict[str, datetime], query: Query, *, is_mysql: bool
) -> Iterator[pl.DataFrame]:
    for statement in _mysql_session(query) if is_mysql else ():
        connection.exec_driver_sql(statement)
    result = connection.execution_options(stream_results=True).execute(text, given)
    description = result.cursor.description if result.cursor is not None else ()
    instants = [one[0] for one in description if is_mysql and one[1] == _MYSQL_TIMESTAMP]
    for frame in row_frames([one[0] for one in description], result.fetchmany):
        yield _with_instants(frame, instants, query)


def _abandon(connection: "Connection") -> None:
    """Close a connection without waiting for the rest of its rows."""
    unread = getattr(connection.connection.driver_connection, "_result", None)
    if unread is not None:  # PyMySQL's destructor would read it from the closed socket, and print an error
        unread.unbuffered_active = False
    connection.invalidate()


def _time_outs(query: Query) -> dict[str, Any]:
    return {"connect_timeout": query.connect_seconds, "read_timeout": int(query.limits.max_seconds)}


def _mysql_session(query: Query) -> Sequence[str]:
    """Return what makes a session read-only, from one snapshot, in the zone's offset at the date's start."""
    offset = f"{query.local_cut:%z}"  # +0200
    return (
        f"SET SESSION time_zone = '{offset[:3]}:{offset[3:5]}'",
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    )


def _with_instants(frame: pl.DataFrame, names: Sequence[str], query: Query) -> pl.DataFrame:
    """Return the frame with the columns of instants, which have the session's offset, in UTC."""
    offset = query.local_cut.utcoffset() or timedelta()
    return frame.with_columns(
        (pl.col(name).cast(pl.Datetime("us")) - offset).dt.replace_time_zone("UTC") for name in names
    )

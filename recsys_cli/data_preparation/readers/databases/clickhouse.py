"""ClickHouse over HTTP by its own driver: blocks of columns, of one read-only query."""

from collections.abc import Iterator

import polars as pl

from recsys_cli.data_preparation.readers.databases.query import Query
from recsys_cli.data_preparation.readers.databases.row_frames import column_frame
from recsys_cli.data_preparation.readers.row_files import check_names

_READ_ONLY = 2  # reads, and settings of the session
_PORTS = {True: 8443, False: 8123}
_DATE = "{date:DateTime64(0, 'UTC')}"  # how the server marks a parameter
_ZONE = "session_timezone"  # a setting that servers before 23.6 do not have


def read(query: Query) -> Iterator[pl.DataFrame]:
    """Yield the rows of a query."""
    import clickhouse_connect

    address, options = query.address, query.options
    secure = address.scheme in ("clickhouses", "https") or options.get("secure", "").lower() in ("1", "true")
    client = clickhouse_connect.get_client(
        host=address.hostname or "localhost",
        port=address.port or _PORTS[secure],
        username=address.username or "default",
        password=query.secret,
        database=address.path.strip("/") or "default",
        secure=secure,
        connect_timeout=query.connect_seconds,
        send_receive_timeout=int(query.limits.max_seconds),
        query_retries=0,
        tz_mode="aware",
        autogenerate_session_id=False,
    )
    try:
        settings: dict[str, object] = {"readonly": _READ_ONLY}
        if _ZONE in client.server_settings:
            settings[_ZONE] = query.zone
        given = {"date": f"{query.cut:%Y-%m-%d %H:%M:%S}"} if query.has_date else None
        text = query.marked(_DATE)
        with client.query_column_block_stream(text, given, settings) as blocks:
            names = blocks.source.column_names  # none where there is no row
            if not names:
                described = client.query(f"DESCRIBE TABLE ({text})", given, settings)
                names = [row[0] for row in described.result_rows]
            check_names(names)
            yield column_frame(names, [[] for _ in names])
            for block in blocks:
                yield column_frame(names, block)
    finally:
        client.close()

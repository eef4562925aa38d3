"""Tables from databases: those of plain parquet, read once a run; nothing is written, no wait is endless."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys_cli.configs.data_sections import DataSettings, FeatureTableSettings, TableSettings
from recsys_cli.data_preparation.readers.databases.query import BATCH_ROWS
from recsys_cli.data_preparation.readers.local_files import scan_source, source_files
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.contract import Tables, read_tables
from recsys_cli.utils.errors import InputError, SettingsError
from tests.database_servers import PASSWORD, TABLES, Server, clickhouse, inserts, mariadb, mute, postgresql

DAY, ZONE = date(2026, 1, 20), "Europe/Berlin"
START = datetime(2026, 1, 1, 3, 30)
EVENTS = [
    (one % 7, f"i{one % 5}", START + timedelta(hours=12 * one), Decimal(one % 4) + 1) for one in range(60)
]
ITEMS = [(f"i{one}", f"Tea nº {one}", Decimal("2.50") * one, date(2026, 2, 1)) for one in range(5)]
ITEMS[3] = ("i3", None, None, None)
COLUMNS = {"user_id": "who", "item_id": "what", "timestamp": "moment", "weight": "amount"}
QUERIES = ("SELECT * FROM events WHERE moment < {date}", "SELECT * FROM items")
SERVERS = ("postgresql", "mariadb", "clickhouse", "sqlite", "duckdb")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("db")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    with postgresql([one.format(time="timestamp") for one in TABLES] + inserts(EVENTS, ITEMS)) as server:
        yield server


@pytest.fixture(scope="module")
def maria(folder: Path) -> Iterator[Server]:
    writes = "CREATE FUNCTION writes() RETURNS int BEGIN DELETE FROM events; RETURN 1; END"
    tables = [one.format(time="datetime(6)") for one in TABLES]
    with mariadb(folder, [*tables, writes, *inserts(EVENTS, ITEMS)]) as server:
        yield server


def sqlite_file(folder: Path, name: str = "shop.db") -> Server:
    with closing(sqlite3.connect(folder / name)) as connection:
        for statement in [one.format(time="text") for one in TABLES] + inserts(EVENTS, ITEMS):
            connection.execute(statement)
        connection.commit()
    return Server(f"sqlite:///{name}")


def duckdb_file(folder: Path) -> Server:
    import duckdb

    with duckdb.connect(str(folder / "shop.duckdb")) as connection:
        for statement in [one.format(time="timestamptz") for one in TABLES] + inserts([], ITEMS)[1:]:
            connection.execute(statement)
        connection.execute(f"SET TimeZone = '{ZONE}'")
        connection.execute(inserts(EVENTS, [])[0])
    return Server("duckdb:///shop.duckdb")


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A database of this name with the shop's tables."""
    if request.param == "sqlite":
        yield sqlite_file(tmp_path)
    elif request.param == "duckdb":
        yield duckdb_file(tmp_path)
    elif request.param == "clickhouse":
        tables = [
            f"{one.format(time='DateTime')} ENGINE = Memory".replace("date)", "Nullable(Date))")
            for one in TABLES
        ]
        tables = [
            one.replace(
                "title varchar(40), price decimal(9, 2)",
                "title Nullable(String), price Nullable(Decimal(9, 2))",
            )
            for one in tables
        ]
        zoned = [(*row[:2], row[2] - timedelta(hours=1), row[3]) for row in EVENTS]  # kept in UTC
        with clickhouse([*tables, *inserts(zoned, ITEMS)]) as found:
            yield found
    else:
        yield request.getfixturevalue({"postgresql": "postgres", "mariadb": "maria"}[request.param])


def tables_of(workspace: Path, events: Mapping[str, Any], items: Mapping[str, Any]) -> Tables:
    data = DataSettings.model_validate(
        {
            "interactions": {**events, "columns": COLUMNS},
            "items": {
                **items,
                "columns": {"item_id": "what", "available_until": "until"},
                "features": ["price"],
            },
        }
    )
    return read_tables(data, InputFolder(workspace), DAY, ZONE)


def source(server: Server, query: str) -> dict[str, str]:
    return {"connection": server.connection, "password": server.password, "query": query}


def rows(workspace: Path, server: Server, query: str, seconds: float = 60) -> pl.DataFrame:
    inputs = InputFolder(workspace, {"network": {"max_seconds": seconds}}).at(DAY, ZONE)
    table = TableSettings.model_validate(source(server, query))
    return scan_source(table, inputs, is_used=lambda _name: True).collect()


def error_of(workspace: Path, server: Server, query: str, seconds: float = 60) -> InputError:
    with pytest.raises(InputError) as caught:
        rows(workspace, server, query, seconds)
    assert caught.value.what and caught.value.where and caught.value.fix
    return caught.value


@pytest.mark.parametrize("server", SERVERS, indirect=True)
def test_every_database_gives_the_tables_of_plain_parquet(server: Server, tmp_path: Path) -> None:
    names = {"who": pl.Int64, "what": pl.String, "moment": pl.Datetime("us"), "amount": pl.Decimal(9, 2)}
    pl.DataFrame(EVENTS, schema=names, orient="row").write_parquet(tmp_path / "events.parquet")
    names = {"what": pl.String, "title": pl.String, "price": pl.Decimal(9, 2), "until": pl.Date}
    pl.DataFrame(ITEMS, schema=names, orient="row").write_parquet(tmp_path / "items.parquet")
    plain = tables_of(tmp_path, {"path": "events.parquet"}, {"path": "items.parquet"})
    found = tables_of(tmp_path, *(source(server, query) for query in QUERIES))
    assert found.content_hash() == plain.content_hash()
    assert len(plain.events) == 38  # 03:30 and 15:30 of 19 days: the 20th does not count


@pytest.mark.parametrize("count", [2 * BATCH_ROWS, 2 * BATCH_ROWS + 1])
def test_rows_of_several_fetches_come_whole_and_once(postgres: Server, tmp_path: Path, count: int) -> None:
    found = rows(tmp_path, postgres, f"SELECT one FROM generate_series(1, {count}) AS one")
    assert found["one"].to_list() == list(range(1, count + 1))


def test_postgresql_is_read_without_pandas(postgres: Server, tmp_path: Path) -> None:
    """It takes 50 MB, and nothing asks for it."""
    inputs = f"InputFolder(Path({str(tmp_path)!r})).at(date(2026, 1, 20), {ZONE!r})"
    program = (
        "import sys; from datetime import date; from pathlib import Path\n"
        "from recsys_cli.configs.data_sections import TableSettings\n"
        "from recsys_cli.data_preparation.readers.local_files import scan_source\n"
        "from recsys_cli.data_preparation.readers.remote_copies import InputFolder\n"
        f"table = TableSettings.model_validate({source(postgres, QUERIES[0])!r})\n"
        f"print(len(scan_source(table, {inputs}).collect()), 'pandas' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "38 False\n"


@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("server", SERVERS, indirect=True)
def test_what_is_no_table_is_an_error_with_a_way_out(server: Server, tmp_path: Path) -> None:
    for query in (
        "SELECT * FROM nope",
        "SELECT * FRM events",
        "SELECT who, what AS who FROM events",
        "WITH a AS (SELECT 1) DELETE FROM events",
        "WITH a AS (SELECT 1) INSERT INTO items (what) SELECT 'x'",
    ):
        assert PASSWORD not in str(vars(error_of(tmp_path, server, query)))
    assert rows(tmp_path, server, "SELECT count(*) AS n FROM events")["n"].to_list() == [60]
    empty = rows(tmp_path, server, "SELECT who, what FROM events WHERE who > 1000")
    assert (empty.columns, len(empty)) == (["who", "what"], 0)


def test_a_session_only_reads(postgres: Server, maria: Server, tmp_path: Path) -> None:
    written = "WITH gone AS (DELETE FROM events RETURNING who) SELECT * FROM gone"
    assert "read-only" in error_of(tmp_path, postgres, written).fix
    assert "read-only" in error_of(tmp_path, maria, "SELECT writes() AS done").fix
    for server in (postgres, maria):
        assert rows(tmp_path, server, "SELECT count(*) AS n FROM events")["n"].to_list() == [60]
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection:
        connection.execute("CREATE TABLE t (x)")
    lite = Server("sqlite:///s.db")
    assert "read" in error_of(tmp_path, lite, "WITH a AS (SELECT 1) INSERT INTO t SELECT 1").fix
    duck = duckdb_file(tmp_path)
    (tmp_path / "other.csv").write_text("x\n1\n")
    error_of(tmp_path, duck, f"SELECT * FROM read_csv('{tmp_path / 'other.csv'}')")


def test_types_of_postgresql(postgres: Server, tmp_path: Path) -> None:
    found = rows(
        tmp_path,
        postgres,
        """SELECT 12::numeric AS whole, 2.5::numeric(9, 2) AS price, 'NaN'::numeric AS odd,
        7::smallint AS small,
        '8a3e9a0e-5b1c-4b58-9b57-3f7f6b0f2c11'::uuid AS id, '{"a": 1}'::jsonb AS facts, 'x'::char(3) AS code,
        timestamptz '2026-01-19 23:30+00' AS instant, timestamp '2026-01-20 00:30' AS local,
        date '2026-01-20' AS day, ARRAY['p', NULL] AS tags, NULL AS nothing, {date} AS cut, true AS yes""",
    )
    assert found.drop("instant", "cut", "odd").row(0, named=True) == {
        "whole": 12,
        "price": 2.5,
        "small": 7,
        "id": "8a3e9a0e-5b1c-4b58-9b57-3f7f6b0f2c11",
        "facts": '{"a": 1}',
        "code": "x  ",
        "local": datetime(2026, 1, 20, 0, 30),
        "day": date(2026, 1, 20),
        "tags": ["p", None],
        "nothing": None,
        "yes": True,
    }
    instants = found.select(pl.col("instant", "cut").dt.replace_time_zone(None)).row(0)
    assert instants == (datetime(2026, 1, 19, 23, 30), datetime(2026, 1, 19, 23))  # midnight in Berlin
    assert found["whole"].dtype == pl.Int64 and found["price"].dtype == pl.Float64
    assert "intervals" in error_of(tmp_path, postgres, "SELECT interval '1 day' AS long").what


@pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "date"])
def test_the_date_is_the_first_local_moment_for_every_type(
    postgres: Server, tmp_path: Path, kind: str
) -> None:
    query = f"""SELECT * FROM (VALUES
        (1, timestamptz '2026-01-19 22:59:59+00'), (2, '2026-01-19 23:00:00+00'))
        AS t (n, at) WHERE at::{kind} < {{date}}"""
    assert rows(tmp_path, postgres, query)["n"].to_list() == [1]


def test_an_instant_of_mariadb_keeps_its_moment_over_a_clock_change(maria: Server, tmp_path: Path) -> None:
    query = "SELECT FROM_UNIXTIME(0) AS local, TIMESTAMP('2025-07-01 12:00:00') AS summer, {date} AS cut"
    assert rows(tmp_path, maria, query)["cut"].cast(pl.String).to_list()[0].startswith("2026-01-20 00:00:00")


def test_a_run_reads_once_and_the_next_one_anew(tmp_path: Path) -> None:
    server = sqlite_file(tmp_path)
    table = TableSettings.model_validate(source(server, "SELECT * FROM items"))
    run = InputFolder(tmp_path)
    before = {file: file.stat().st_mtime_ns for file in source_files(table, run)}
    assert [*source_files(table, InputFolder(tmp_path))] == [*before]
    assert {file: file.stat().st_mtime_ns for file in before} == before, "the same rows are the same input"
    with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
        connection.execute("DELETE FROM items WHERE what = 'i1'")
        connection.commit()
    assert len(scan_source(table, run, is_used=lambda _name: True).collect()) == 5
    assert len(scan_source(table, InputFolder(tmp_path), is_used=lambda _name: True).collect()) == 4
    after = {file: file.stat().st_mtime_ns for file in source_files(table, InputFolder(tmp_path))}
    assert after != before


def test_the_order_of_the_rows_is_no_change(tmp_path: Path) -> None:
    server = sqlite_file(tmp_path)
    times = []
    for order in ("ASC", "DESC"):
        with closing(sqlite3.connect(tmp_path / "shop.db")) as connection:
            connection.execute("DROP VIEW IF EXISTS listed")
            connection.execute(f"CREATE VIEW listed AS SELECT * FROM items ORDER BY what {order}")
        table = TableSettings.model_validate(source(server, "SELECT * FROM listed"))
        times.append([file.stat().st_mtime_ns for file in source_files(table, InputFolder(tmp_path))])
    assert times[0] == times[1]


def test_a_damaged_copy_is_made_again(tmp_path: Path) -> None:
    server = sqlite_file(tmp_path)
    table = TableSettings.model_validate(source(server, "SELECT * FROM items"))
    (file,) = source_files(table, InputFolder(tmp_path))
    file.write_bytes(b"PAR1")
    assert len(rows(tmp_path, server, "SELECT * FROM items")) == 5


def test_types_that_change_on_the_way_meet_in_one_that_holds_both(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "s.db")) as connection:
        connection.execute("CREATE TABLE t (x, y)")
        late = [(one if one < 70_000 else one + 0.5, None if one < 70_000 else "y") for one in range(80_000)]
        connection.executemany("INSERT INTO t VALUES (?, ?)", late)
        connection.execute("CREATE TABLE mixed AS SELECT 1 AS x UNION ALL SELECT 'a'")
        connection.commit()
    found = rows(tmp_path, Server("sqlite:///s.db"), "SELECT * FROM t")
    assert (found["x"].dtype, found["x"].sum()) == (pl.Float64, sum(range(80_000)) + 5_000)
    assert found["y"].drop_nulls().unique().to_list() == ["y"]
    error = error_of(tmp_path, Server("sqlite:///s.db"), "SELECT * FROM mixed")
    assert "several types (int, str): CAST" in error.what


def test_a_slow_database_is_not_waited_for_without_end(postgres: Server, tmp_path: Path) -> None:
    began = time.monotonic()
    assert "max_seconds" in error_of(tmp_path, postgres, "SELECT pg_sleep(60) AS x", seconds=1).what
    with mute() as port:
        for address in (
            f"postgresql://127.0.0.1:{port}/x",
            f"mysql://127.0.0.1:{port}/x",
            f"clickhouse://127.0.0.1:{port}/x",
        ):
            error_of(tmp_path, Server(address), "SELECT 1 AS x", seconds=1)
    assert time.monotonic() - began < 30


def test_a_connection_that_is_lost_leaves_the_copy_before(postgres: Server, tmp_path: Path) -> None:
    query = """SELECT n, CASE WHEN n = 500000 AND {fails}
        THEN pg_terminate_backend(pg_backend_pid()) END AS gone
        FROM generate_series(1, 600000) AS n"""
    error = error_of(tmp_path, postgres, query.replace("{fails}", "true"))
    assert "terminat" in error.what or "clos" in error.what
    assert not [*tmp_path.glob(".remote/postgresql/*/*")]
    assert len(rows(tmp_path, postgres, query.replace("{fails}", "false"))) == 600_000


def test_wrong_passwords_and_missing_hosts_name_the_setting(maria: Server, tmp_path: Path) -> None:
    wrong = error_of(tmp_path, Server(maria.connection, "not-the-password"), "SELECT 1 AS x")
    assert "not-the-password" not in str(vars(wrong)) and ".secrets.toml" in wrong.fix
    away = Server(f"postgresql://me:{'pa55word'}@127.0.0.1:1/shop")
    error = error_of(tmp_path, away, "SELECT 1 AS x")
    assert "pa55word" not in str(vars(error)) and "connection" in error.fix
    missing = error_of(tmp_path, Server("sqlite:///nope.db"), "SELECT 1 AS x")
    assert missing.where == str(tmp_path / "nope.db")


def test_a_database_without_a_driver_names_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="driver of presto:// is not installed") as caught:
        rows(tmp_path, Server("presto://127.0.0.1/x"), "SELECT 1 AS x")
    assert "pip install" in caught.value.fix


@pytest.mark.parametrize(
    ("table", "what"),
    [
        ({"path": "a.csv", "connection": "sqlite:///a.db", "query": "SELECT 1"}, "both set"),
        ({"connection": "sqlite:///a.db"}, "connection needs query"),
        ({"query": "SELECT 1"}, "query needs connection"),
        ({"password": "x"}, "password is that of a connection"),
        ({"connection": "a.db", "query": "SELECT 1"}, "no address"),
        ({"connection": "sqlite:///a.db", "query": "DELETE FROM t"}, "does not start with SELECT"),
        ({"connection": "sqlite:///a.db", "query": "SELECT 1; DROP TABLE t"}, "several statements"),
        ({"connection": "sqlite:///a.db", "query": "SELECT 1 WHERE d < '{date}'"}, "inside quotes"),
        ({"connection": "sqlite:///a.db", "query": "SELECT 1", "format": "csv"}, "format is that of files"),
    ],
)
def test_settings_that_do_not_fit_are_refused(table: dict[str, str], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        FeatureTableSettings.model_validate(table)


def test_the_program_masks_a_password_everywhere(recsys: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "settings.toml").write_text(
        '[default.data.interactions]\nquery = "SELECT 1"\nconnection = "postgresql://me@127.0.0.1:1/shop"\n'
    )
    (tmp_path / "settings" / ".secrets.toml").write_text(
        f'[default.data.interactions]\npassword = "{PASSWORD}"\n'
    )
    done = recsys("features", "--date", str(DAY))
    assert done.returncode == 3 and "postgresql://127.0.0.1:1/shop" in done.stderr
    shown = done.stderr + recsys("config").stdout + recsys("doctor").stdout
    written = [file.read_text(errors="replace") for file in tmp_path.rglob("*") if file.is_file()]
    assert PASSWORD not in shown and sum(PASSWORD in one for one in written) == 1

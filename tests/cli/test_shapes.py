"""One shop in many shapes: `init`, `check`, `train` and `score` give the lists that plain parquet gives."""

import gzip
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from tests.database_servers import Server, clickhouse, mariadb, postgresql
from tests.torture.program import Program

DAY = "2026-04-01"
SMALL = {
    "RECSYS_CANDIDATES__LIGHTFM__EPOCHS": "4",
    "RECSYS_CANDIDATES__LIGHTFM__NO_COMPONENTS": "8",
    "RECSYS_RANKER__ITERATIONS": "10",
    "RECSYS_RANKER__MEMBERS": "1",
    "RECSYS_RANKER__LABEL_WINDOWS": "2",
}


def shop() -> pl.DataFrame:
    """Return 90 days of events: 90 users, each of one of 4 tastes, and 40 items of a taste each."""
    rng = np.random.default_rng(7)
    users = rng.integers(0, 90, 1_500)
    items = 100 + users % 4 + 4 * (10 * rng.random(1_500) ** 2).astype(np.int64)
    days = rng.integers(0, 90, 1_500)
    frame = {
        "user_id": users,
        "item_id": items,
        "timestamp": [datetime(2026, 1, 1) + timedelta(days=int(day)) for day in days],
        "weight": 1.5 + rng.integers(0, 3, 1_500),
    }
    return pl.DataFrame(frame).sort("timestamp", "user_id", "item_id", "weight")


EVENTS = shop()
ITEMS = pl.DataFrame(
    {
        "item_id": range(100, 140),
        "title": [f"{('Café', 'Tea for two', 'Crème', 'Jam')[one % 4]} {one}" for one in range(40)],
        "price": [(1250.5, 3.25, 7.0, 12.75)[one % 4] for one in range(40)],
    }
)
CSV_TIMES = EVENTS.with_columns(pl.col("timestamp").dt.to_string("%Y-%m-%d %H:%M:%S"))
Write = Callable[[Path], None]  # the tables of a shop below a folder


def events_as(name: str, content: bytes | None = None, frame: pl.DataFrame = CSV_TIMES) -> Write:
    """Write the events as one file, by default CSV; the items stay parquet."""
    return lambda folder: _write(
        folder / "events" / name, frame.write_csv().encode() if content is None else content
    )


def frames(**parquet: pl.DataFrame) -> Write:
    """Write the events as several parquet files."""

    def write(folder: Path) -> None:
        for name, frame in parquet.items():
            file = folder / f"events/{name}.parquet"
            file.parent.mkdir(parents=True, exist_ok=True)
            frame.write_parquet(file)

    return write


def by_day(ending: str) -> Write:
    """Write a folder a day, which alone says what day it is."""

    def write(folder: Path) -> None:
        for (time,), rows in EVENTS.group_by("timestamp"):
            assert isinstance(time, datetime)
            bare = rows.drop("timestamp")
            file = folder / f"events/dt={time.date()}/a.{ending}"
            _write(file, bare.write_csv().encode() if ending == "csv" else b"")
            if ending == "parquet":
                bare.write_parquet(file)

    return write


def items_as(content: bytes) -> Write:
    return lambda folder: _write(folder / "items" / "items.csv", content)


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def ipc(stream: bool) -> Write:
    def write(folder: Path) -> None:
        file = folder / ("events/a.arrows" if stream else "events/a.feather")
        file.parent.mkdir(parents=True)
        (EVENTS.write_ipc_stream if stream else EVENTS.write_ipc)(file)

    return write


def times(text_format: str) -> pl.DataFrame:
    return EVENTS.with_columns(pl.col("timestamp").dt.to_string(text_format))


def epoch(kind: type[pl.DataType], unit: str) -> pl.DataFrame:
    return EVENTS.with_columns(pl.col("timestamp").dt.epoch(unit).cast(kind))  # type: ignore[arg-type]


PLAIN = CSV_TIMES.write_csv().encode()
LINES = CSV_TIMES.write_ndjson().encode()
UTC = EVENTS.with_columns(pl.col("timestamp").dt.replace_time_zone("UTC"))
ITEMS_CSV = ITEMS.write_csv(separator=";")
HALVES = (EVENTS.head(700), EVENTS.tail(-700))


def delta(folder: Path) -> None:
    """Write the events as a table of Delta Lake, of which half was first written wrongly."""
    from deltalake import DeltaTable, write_deltalake

    place = str(folder / "events")
    write_deltalake(place, EVENTS.with_columns(weight=pl.lit(9.0)).to_arrow())
    DeltaTable(place).delete("true")
    write_deltalake(place, EVENTS.to_arrow(), mode="append")


def iceberg(folder: Path) -> None:
    """Write the events as a table of Iceberg, whose folder takes their place."""
    from pyiceberg.catalog.sql import SqlCatalog

    place = f"sqlite:///{folder}/catalog.db"
    catalog = SqlCatalog("own", uri=place, warehouse=f"file://{folder}/lake")
    catalog.create_namespace("shop")
    table = catalog.create_table(
        "shop.events", schema=EVENTS.to_arrow().schema, location=f"file://{folder}/events"
    )
    table.append(EVENTS.to_arrow())


SHAPES: dict[str, Write] = {
    "csv": events_as("a.csv"),
    "csv, a mark at the start": events_as("a.csv", b"\xef\xbb\xbf" + PLAIN),
    "csv, semicolons and decimal commas": events_as(
        "a.csv",
        CSV_TIMES.write_csv(separator=";")
        .replace("1.5", "1,5")
        .replace("2.5", "2,5")
        .replace("3.5", "3,5")
        .encode(),
    ),
    "csv, tabs": events_as("a.tsv", CSV_TIMES.write_csv(separator="\t").encode()),
    "csv, UTF-16": events_as("a.csv", PLAIN.decode().encode("utf-16")),
    "csv.gz": events_as("a.csv.gz", gzip.compress(PLAIN)),
    "csv.zst": events_as("a.csv.zst", pa.compress(PLAIN, "zstd", asbytes=True)),
    "csv, stray spaces": events_as("a.csv", PLAIN.replace(b",", b", ")),
    "csv, float ids": events_as(
        "a.csv", frame=CSV_TIMES.cast({"user_id": pl.Float64, "item_id": pl.Float64})
    ),
    "csv, %d.%m.%Y": events_as("a.csv", frame=times("%d.%m.%Y %H:%M")),
    "csv, %Y%m%d": events_as("a.csv", frame=times("%Y%m%d")),
    "csv, offsets": events_as("a.csv", PLAIN.replace(b" 00:00:00", b"T02:00:00+02:00")),
    "csv, Z": events_as("a.csv", frame=times("%Y-%m-%dT%H:%M:%SZ")),
    "csv, seconds": events_as("a.csv", frame=epoch(pl.Int64, "s")),
    "csv, float seconds": events_as("a.csv", frame=epoch(pl.Float64, "s")),
    "csv, folders by day": by_day("csv"),
    "json lines": events_as("a.jsonl", LINES),
    "json lines.gz": events_as("a.jsonl.gz", gzip.compress(LINES)),
    "feather": ipc(stream=False),
    "arrow stream": ipc(stream=True),
    "parquet, folders by day": by_day("parquet"),
    "parquet, milliseconds": frames(a=epoch(pl.Int64, "ms")),
    "parquet, float ids": frames(a=EVENTS.cast({"user_id": pl.Float64, "item_id": pl.Float64})),
    "parquet, a zone": frames(a=UTC.with_columns(pl.col("timestamp").dt.convert_time_zone("Asia/Tokyo"))),
    "parquet, a zone in one file": frames(a=HALVES[0], b=UTC.tail(-700)),
    "parquet, narrower types": frames(
        a=HALVES[0], b=HALVES[1].cast({"user_id": pl.Int8, "weight": pl.Float32})
    ),
    "parquet, a column more": frames(a=HALVES[0], b=HALVES[1].with_columns(channel=pl.lit("web"))),
    "parquet, other precision": frames(a=HALVES[0], b=HALVES[1].cast({"timestamp": pl.Datetime("ns")})),
    "delta lake": delta,
    "iceberg": iceberg,
    "items, Latin-1": items_as(ITEMS_CSV.encode("latin1")),
    "items, two encodings": items_as(
        ITEMS_CSV.encode("latin1").replace("Crème".encode("latin1"), "Crème".encode())
    ),
    "items, thousands": items_as(
        ITEMS_CSV.replace("1250.5", "1.250,5")
        .replace("3.25", "3,25")
        .replace("12.75", "12,75")
        .replace(";7.0", ";7")
        .encode()
    ),
    "items, row numbers": items_as(ITEMS.with_row_index("Unnamed: 0").write_csv().encode()),
    "items, row numbers without a name": items_as(ITEMS.with_row_index("").write_csv().encode()),
}

STATEMENTS = (
    "CREATE TABLE events (user_id bigint, item_id bigint, event_time {time}, weight double precision)",
    f"INSERT INTO events VALUES {', '.join(str((*row[:2], str(row[2]), row[3])) for row in EVENTS.rows())}",
)
QUERY = "SELECT user_id, item_id, event_time AS timestamp, weight FROM events WHERE event_time < {date}"
DATABASES = ("postgresql", "mariadb", "clickhouse", "sqlite", "duckdb")


@contextmanager
def database(kind: str, folder: Path) -> Iterator[Server]:
    """Run a database with the events, or write its file into the folder."""
    create, insert = STATEMENTS
    if kind == "postgresql":
        with postgresql([create.format(time="timestamp"), insert]) as server:
            yield server
    elif kind == "mariadb":
        with mariadb(folder, [create.format(time="datetime"), insert]) as server:
            yield server
    elif kind == "clickhouse":
        with clickhouse([create.format(time="DateTime") + " ENGINE = Memory", insert]) as server:
            yield server
    elif kind == "sqlite":
        with closing(sqlite3.connect(folder / "shop.db")) as file:
            file.execute(create.format(time="text"))
            file.execute(insert)
            file.commit()
        yield Server(f"sqlite:///{folder}/shop.db")
    else:
        import duckdb

        with duckdb.connect(str(folder / "shop.duckdb")) as connection:
            connection.execute(create.format(time="timestamp"))
            connection.execute(insert)
        yield Server(f"duckdb:///{folder}/shop.duckdb")


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    made = Program(tmp_path_factory.mktemp("said"), forks=False)
    yield made
    made.close()


def lists_of(program: Program, folder: Path, *tables: str, **environment: str) -> pl.DataFrame:
    """Return the lists that a new user of these tables gets."""
    workspace = str(folder / "workspace")
    commands = (
        ("init", workspace, "--items", str(folder / "items"), *tables),
        ("-C", workspace, "check", "--date", DAY),
        ("-C", workspace, "train", "--date", DAY),
        ("-C", workspace, "score", "--date", DAY),
    )
    for command in commands:
        outcome = program.run("-q", *command, env=SMALL | environment)
        assert outcome.code == 0, outcome.err
    return pl.read_parquet(f"{workspace}/recommendations/date={DAY}/recommendations.parquet")


def written(folder: Path, *writes: Write) -> Path:
    """Write what a shape writes, and the rest as plain parquet."""
    folder.mkdir(exist_ok=True)
    for write in writes:
        write(folder)
    for name, frame in {"events": EVENTS, "items": ITEMS}.items():
        if not (folder / name).exists():
            (folder / name).mkdir()
            frame.write_parquet(folder / name / "a.parquet")
    return folder


@pytest.fixture(scope="module")
def plain(program: Program, tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    folder = written(tmp_path_factory.mktemp("plain"))
    found = lists_of(program, folder, "--interactions", str(folder / "events"))
    assert found["user_id"].n_unique() == 90 and found.schema["item_id"] == pl.Int64
    return found


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_lists_of_plain_parquet(
    program: Program, plain: pl.DataFrame, tmp_path: Path, shape: str
) -> None:
    folder = written(tmp_path / "shop", SHAPES[shape])
    assert lists_of(program, folder, "--interactions", str(folder / "events")).equals(plain)


@pytest.mark.parametrize("kind", DATABASES)
def test_every_database_gives_the_lists_of_plain_parquet(
    program: Program, plain: pl.DataFrame, tmp_path: Path, kind: str
) -> None:
    folder = written(tmp_path / "shop")
    with database(kind, folder) as server:
        tables = ("--interactions", server.connection, "--query", f"interactions={QUERY}")
        variables = {"RECSYS_DATA__INTERACTIONS__PASSWORD": server.password} if server.password else {}
        assert lists_of(program, folder, *tables, **variables).equals(plain)
    settings = (folder / "workspace/settings/settings.toml").read_text()
    assert not server.password or server.password not in settings


def test_the_guide_names_every_shape() -> None:
    guide = " ".join((Path(__file__).parents[2] / "recsys_cli/guide/data.md").read_text().split())
    assert len(SHAPES) + len(DATABASES) >= 25
    assert not [shape for shape in SHAPES if f"`{shape}`" not in guide]
    assert not [kind for kind in DATABASES if kind not in guide.lower()]


def test_a_database_in_the_place_of_a_file_is_refused_with_what_to_set(
    program: Program, tmp_path: Path
) -> None:
    folder = written(tmp_path / "shop")
    with database("sqlite", folder):
        (folder / "shop.db").rename(folder / "events.csv")
    outcome = program.run("init", str(folder / "workspace"), "--interactions", str(folder / "events.csv"))
    assert outcome.code == 3
    assert "SQLite" in outcome.err and "connection =" in outcome.err and "query =" in outcome.err


def test_a_database_that_is_a_file_is_looked_for_where_a_file_is(program: Program, tmp_path: Path) -> None:
    folder = written(tmp_path / "shop")
    with database("sqlite", folder):
        place = f"sqlite:///{os.path.relpath(folder / 'shop.db')}"
        asked = ("--interactions", place, "--query", f"interactions={QUERY}")
        outcome = program.run("init", str(folder / "workspace"), *asked)
    assert outcome.code == 0, outcome.err
    settings = (folder / "workspace/settings/settings.toml").read_text()
    assert f'connection = "sqlite:///{folder}/shop.db"' in settings


def test_what_init_needs_for_a_database(program: Program, tmp_path: Path) -> None:
    def refused(*tables: str) -> str:
        outcome = program.run("init", str(tmp_path / "workspace"), *tables)
        assert outcome.code == 2, outcome
        assert not (tmp_path / "workspace").exists()
        return outcome.err

    place = ("--interactions", "postgresql://me@db/shop")
    assert "fix: add --query 'interactions=SELECT …'" in refused(*place)
    assert "is for a database" in refused("--interactions", "a.csv", "--query", "interactions=SELECT 1")
    assert "is for a database" in refused(*place, "--query", "items=SELECT 1")
    assert "is not interactions=SQL" in refused(*place, "--query", "events=SELECT 1")
    said = refused(*place, "--query", "interactions=DELETE FROM orders")
    assert "the query does not start with SELECT or WITH" in said and "--query interactions" in said
    said = refused("--interactions", "postgresql://me:hush-hush@db/shop", "--query", "interactions=SELECT 1")
    assert "hush" not in said and "RECSYS_DATA__INTERACTIONS__PASSWORD" in said

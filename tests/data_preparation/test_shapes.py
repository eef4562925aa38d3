"""One shop in many shapes: `init` maps each, and the tables are those of plain parquet."""

import gzip
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from recsys_cli.data_preparation.column_guessing.column_mapping import guess_data
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.contract import Tables, read_tables

START = datetime(2026, 1, 1)
EVENTS = pl.DataFrame(
    {
        "user_id": [number % 7 for number in range(40)],
        "item_id": [100 + number % 5 for number in range(40)],
        "timestamp": [START + timedelta(days=number % 28) for number in range(40)],
        "weight": [1.5 + number % 3 for number in range(40)],
    }
)
ITEMS = pl.DataFrame(
    {
        "item_id": [100, 101, 102, 103, 104],
        "title": ["Café", "Tea for two", "Crème", "Jam", "Bread"],
        "price": [1250.5, 3.25, 7.0, 3.25, 1250.5],
    }
)
CSV_TIMES = EVENTS.with_columns(pl.col("timestamp").dt.to_string("%Y-%m-%d %H:%M:%S"))
Write = Callable[[Path], None]


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
HALVES = (EVENTS.head(20), EVENTS.tail(20))
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
    "parquet, a zone in one file": frames(a=HALVES[0], b=UTC.tail(20)),
    "parquet, narrower types": frames(
        a=HALVES[0], b=HALVES[1].cast({"user_id": pl.Int8, "weight": pl.Float32})
    ),
    "parquet, a column more": frames(a=HALVES[0], b=HALVES[1].with_columns(channel=pl.lit("web"))),
    "parquet, other precision": frames(a=HALVES[0], b=HALVES[1].cast({"timestamp": pl.Datetime("ns")})),
    "items, Latin-1": items_as(ITEMS_CSV.encode("latin1")),
    "items, two encodings": items_as(
        ITEMS_CSV.encode("latin1").replace("Crème".encode("latin1"), "Crème".encode())
    ),
    "items, thousands": items_as(
        ITEMS_CSV.replace("1250.5", "1.250,5").replace("3.25", "3,25").replace(";7.0", ";7").encode()
    ),
    "items, row numbers": items_as(ITEMS.with_row_index("Unnamed: 0").write_csv().encode()),
}


PATHS = {"interactions": "events", "items": "items"}


def tables(folder: Path, write: Write | None) -> Tables:
    folder.mkdir()
    if write is not None:
        write(folder)
    for name, frame in {"events": EVENTS, "items": ITEMS}.items():
        if not (folder / name).exists():
            (folder / name).mkdir()
            frame.write_parquet(folder / name / "a.parquet")
    guess = guess_data({name: {"path": path} for name, path in PATHS.items()}, InputFolder(folder))
    return read_tables(guess.data, InputFolder(folder), date(2026, 2, 1), "UTC")


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_gives_the_tables_of_plain_parquet(tmp_path: Path, shape: str) -> None:
    plain, shaped = tables(tmp_path / "plain", None), tables(tmp_path / "shaped", SHAPES[shape])
    assert shaped.events.equals(plain.events)
    assert shaped.items.equals(plain.items) and shaped.items["price"].to_list()[0] == 1250.5
    assert shaped.users.equals(plain.users)

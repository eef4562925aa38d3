"""Folders whose files differ, keys in the names of folders, and tables with a log."""

from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys_cli.configs.data_sections import DataSettings, InteractionsSettings
from recsys_cli.data_preparation.readers.local_files import scan_source
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.readers.table_folders import refuse_table_format
from recsys_cli.data_preparation.tables.contract import read_tables
from recsys_cli.utils.errors import InputError

BASE = pl.DataFrame(
    {"user_id": [1, 2], "item_id": [1, 2], "timestamp": [datetime(2024, 3, 1, 9), datetime(2024, 3, 1, 10)]}
)


def write(folder: Path, **frames: pl.DataFrame) -> None:
    """Write each frame as a file of the table `events`."""
    for name, frame in frames.items():
        file = folder / "events" / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(file)


def events(folder: Path, timezone: str = "UTC", **settings: Any) -> pl.DataFrame:
    data = DataSettings.model_validate({"interactions": {"path": "events", **settings}})
    return read_tables(data, InputFolder(folder), date(2024, 4, 1), timezone).events


@pytest.mark.parametrize(
    "newer",
    [
        BASE,
        BASE.with_columns(channel=pl.lit("web")),
        BASE.cast({"user_id": pl.Int32, "item_id": pl.UInt8}),
        BASE.cast({"user_id": pl.Float64}),
        BASE.cast({"timestamp": pl.Datetime("ns")}),
        BASE.cast({"timestamp": pl.Datetime("ms")}),
        BASE.select("timestamp", "item_id", "user_id"),
        BASE.with_columns(pl.col("timestamp").dt.replace_time_zone("UTC")),
        BASE.with_columns(pl.col("timestamp").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")),
    ],
)
def test_a_newer_file_of_other_columns_or_types_is_the_same_table(
    tmp_path: Path, newer: pl.DataFrame
) -> None:
    write(tmp_path, a=BASE, b=newer)
    twice = events(tmp_path)
    write(tmp_path, b=BASE)
    assert twice.equals(events(tmp_path)) and len(twice) == 4


def test_types_that_have_nothing_in_common_are_refused_where_they_are_needed(tmp_path: Path) -> None:
    write(tmp_path, a=BASE, b=BASE.with_columns(pl.col("timestamp").dt.to_string("iso")))
    with pytest.raises(InputError) as caught:
        events(tmp_path)
    assert caught.value.what == (
        "column 'timestamp' is Datetime(time_unit='us', time_zone=None) in a.parquet and String in b.parquet"
    )
    assert "a.parquet" in caught.value.where and "b.parquet" in caught.value.where


def test_types_of_a_column_that_nobody_needs_are_no_reason_to_stop(tmp_path: Path) -> None:
    write(tmp_path, a=BASE.with_columns(note=pl.lit(1)), b=BASE.with_columns(note=pl.lit("x")))
    assert len(events(tmp_path)) == 4
    with pytest.raises(InputError, match="column 'note' is"):
        events(tmp_path, filter="note IS NOT NULL")


@pytest.mark.parametrize("naive_first", [True, False])
@pytest.mark.parametrize(("settings", "hour"), [({}, 0), ({"time_zone": "Europe/Berlin"}, 8)])
def test_times_without_a_zone_are_local_beside_times_with_one(
    tmp_path: Path, naive_first: bool, settings: dict[str, str], hour: int
) -> None:
    """09:00 without a zone is 00:00 UTC in Tokyo, the workspace's zone, and 08:00 UTC in Berlin."""
    naive = BASE.head(1)
    aware = BASE.tail(1).with_columns(pl.col("timestamp").dt.replace_time_zone("UTC"))
    names = ("a", "b") if naive_first else ("b", "a")
    write(tmp_path, **dict(zip(names, (naive, aware), strict=True)))
    found = events(tmp_path, "Asia/Tokyo", **settings)["timestamp"].to_list()
    assert found == [datetime(2024, 3, 1, hour), datetime(2024, 3, 1, 10)]


def scanned(folder: Path, **settings: Any) -> pl.DataFrame:
    table = InteractionsSettings.model_validate({"path": "events", **settings})
    return scan_source(table, InputFolder(folder), is_used=lambda _: True).collect()


def test_keys_of_folders_are_columns(tmp_path: Path) -> None:
    pair = BASE.select("user_id", "item_id").head(1)
    null = "dt=__HIVE_DEFAULT_PARTITION__"
    write(
        tmp_path,
        **{"dt=2024-03-01/shop=7/a": pair, "dt=2024-03-02/shop=08/a": pair, f"{null}/shop=a%2Fb/a": pair},
    )
    frame = scanned(tmp_path)
    assert frame.sort("dt", nulls_last=True).select("dt", "shop").rows() == [
        (date(2024, 3, 1), "7"),
        (date(2024, 3, 2), "08"),
        (None, "a/b"),
    ]
    assert scanned(tmp_path, path="events/dt=2024-03-0*/*/*.parquet").columns == frame.columns
    assert scanned(tmp_path, path="events/dt=2024-03-01").columns == ["user_id", "item_id", "shop"]


def test_a_key_may_be_the_time_and_a_column_of_its_name_wins(tmp_path: Path) -> None:
    pair = BASE.select("user_id", "item_id")
    write(tmp_path, **{"dt=2024-03-01/a": pair, "dt=2024-03-02/a": pair})
    columns = {"timestamp": "dt"}
    assert events(tmp_path, columns=columns)["timestamp"].unique().sort().to_list() == [
        datetime(2024, 3, 1),
        datetime(2024, 3, 2),
    ]
    write(tmp_path, **{f"dt=2024-03-0{day}/a": BASE.rename({"timestamp": "dt"}) for day in (1, 2)})
    assert events(tmp_path, columns=columns)["timestamp"].dt.hour().unique().sort().to_list() == [9, 10]


def test_keys_of_csv_folders_are_columns_too(tmp_path: Path) -> None:
    for day in ("20240301", "20240302"):
        (tmp_path / f"events/day={day}").mkdir(parents=True)
        (tmp_path / f"events/day={day}/a.csv").write_text("user_id,item_id\n007,1\n")
    found = events(tmp_path, columns={"timestamp": "day"}, timestamp_format="%Y%m%d")
    assert found["timestamp"].to_list() == [datetime(2024, 3, 1), datetime(2024, 3, 2)]


@pytest.mark.parametrize(
    ("log", "table_format"),
    [
        ("_delta_log/0.json", "Delta Lake"),
        ("metadata/v1.metadata.json", "Apache Iceberg"),
        (".hoodie/hoodie.properties", "Apache Hudi"),
    ],
)
@pytest.mark.parametrize("path", ["events", "events/dt=1", "events/*/*.parquet", "events/dt=1/a.parquet"])
def test_a_table_with_a_log_is_not_read_as_plain_files(
    tmp_path: Path, log: str, table_format: str, path: str
) -> None:
    write(tmp_path, **{"dt=1/a": BASE})
    assert len(scanned(tmp_path, path=path)) == 2
    (tmp_path / "events" / log).parent.mkdir()
    (tmp_path / "events" / log).write_text("{}")
    with pytest.raises(InputError, match=f"table of {table_format}.* log") as caught:
        scanned(tmp_path, path=path)
    assert "parquet" in caught.value.fix


def test_names_of_a_store_show_a_log_too() -> None:
    refuse_table_format(["lake/events/a.parquet", "lake/metadata.json"], "s3://lake")
    with pytest.raises(InputError, match="Delta Lake"):
        refuse_table_format(["lake/events/_delta_log/00.json"], "s3://lake")

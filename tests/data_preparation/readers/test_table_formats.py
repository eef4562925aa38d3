"""Tables of Delta Lake and Iceberg: their current version, not the files that lie in their folders."""

import os
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recsys_cli.configs.data_sections import InteractionsSettings
from recsys_cli.data_preparation.readers.local_files import scan_source, source_files
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.utils.errors import InputError

OLD = pl.DataFrame(
    {
        "user_id": [1, 2, 3],
        "item_id": ["a", "b", "c"],
        "timestamp": [datetime(2026, 1, day) for day in (1, 2, 3)],
        "shop": ["x", "y", "x"],
    }
)
NEW = OLD.select("item_id", "user_id", "timestamp", "shop").with_columns(weight=pl.lit(2.5))
EXPECTED = pl.concat(
    [OLD.filter(pl.col("user_id") != 2), NEW], how="diagonal"
)  # 2 was deleted, then NEW came


def read(folder: Path, path: str = "events") -> pl.DataFrame:
    table = InteractionsSettings(path=path)
    frame = scan_source(table, InputFolder(folder), is_used=lambda _name: True).collect()
    columns = [name for name in EXPECTED.columns if name in frame.columns]
    return frame.select(columns).sort("timestamp", *({"weight"} & set(columns)), nulls_last=False)


def write_delta(folder: Path) -> None:
    from deltalake import DeltaTable, write_deltalake

    place = str(folder / "events")
    write_deltalake(place, OLD.to_arrow(), partition_by=["shop"])
    DeltaTable(place).delete("user_id = 2")
    write_deltalake(place, NEW.to_arrow(), mode="append", schema_mode="merge")


def write_iceberg(folder: Path) -> str:
    from pyiceberg.catalog.sql import SqlCatalog

    catalog = SqlCatalog("own", uri=f"sqlite:///{folder}/catalog.db", warehouse=f"file://{folder}/lake")
    catalog.create_namespace("shop")
    table = catalog.create_table("shop.events", schema=OLD.to_arrow().schema)
    table.append(OLD.to_arrow())
    table.delete("user_id = 2")
    with table.update_schema() as change:
        change.union_by_name(NEW.to_arrow().schema)
    table.append(NEW.to_arrow())
    return os.path.relpath(table.location().removeprefix("file://"), folder)


def test_delta_is_read_as_its_current_version(tmp_path: Path) -> None:
    write_delta(tmp_path)
    plain = list((tmp_path / "events").rglob("*.parquet"))
    assert sum(len(pl.read_parquet(file, hive_partitioning=False)) for file in plain) > len(EXPECTED)
    assert_frame_equal(read(tmp_path), EXPECTED.sort("timestamp", "weight", nulls_last=False))


def test_iceberg_is_read_as_its_current_snapshot(tmp_path: Path) -> None:
    place = write_iceberg(tmp_path)
    expected = EXPECTED.sort("timestamp", "weight", nulls_last=False)
    assert_frame_equal(read(tmp_path, place), expected)
    files = sorted((tmp_path / place / "metadata").glob("*.metadata.json"))
    assert_frame_equal(read(tmp_path, os.path.relpath(files[-1], tmp_path)), expected)
    assert_frame_equal(read(tmp_path, os.path.relpath(files[1], tmp_path)), OLD)  # an earlier snapshot


def test_a_copy_is_kept_until_the_table_has_a_new_version(tmp_path: Path) -> None:
    write_delta(tmp_path)
    table = InteractionsSettings(path="events")
    made = [file.stat().st_ino for file in source_files(table, InputFolder(tmp_path))]
    assert [file.stat().st_ino for file in source_files(table, InputFolder(tmp_path))] == made
    write_delta_again(tmp_path)
    assert [file.stat().st_ino for file in source_files(table, InputFolder(tmp_path))] != made


def write_delta_again(folder: Path) -> None:
    from deltalake import write_deltalake

    write_deltalake(str(folder / "events"), NEW.to_arrow(), mode="append")


def test_several_current_metadata_files_need_a_choice(tmp_path: Path) -> None:
    place = write_iceberg(tmp_path)
    newest = max((tmp_path / place / "metadata").glob("*.metadata.json"))
    twin = newest.with_name(newest.name[:6] + "00000000-0000-4000-8000-000000000000.metadata.json")
    twin.write_bytes(newest.read_bytes())
    with pytest.raises(InputError, match="which of the") as caught:
        read(tmp_path, place)
    assert "`path`" in caught.value.fix
    (newest.parent / "version-hint.text").write_text("7")
    newest.with_name("v7.metadata.json").write_bytes(newest.read_bytes())
    assert len(read(tmp_path, place)) == len(EXPECTED)


def test_files_of_such_a_table_are_not_read_alone(tmp_path: Path) -> None:
    write_delta(tmp_path)
    with pytest.raises(InputError, match="table of Delta Lake.* log") as caught:
        read(tmp_path, "events/shop=x/*.parquet")
    assert "the table's own folder" in caught.value.fix


def test_a_table_whose_files_are_gone_is_an_error(tmp_path: Path) -> None:
    write_delta(tmp_path)
    for file in (tmp_path / "events").rglob("*.parquet"):
        file.unlink()
    with pytest.raises(InputError, match="Delta Lake cannot be read"):
        read(tmp_path)

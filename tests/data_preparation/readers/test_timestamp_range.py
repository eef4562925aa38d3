"""What polars panics at is an error of the input, with nothing of the panic on stderr."""

import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recsys_cli.configs.data_sections import FeatureTableSettings
from recsys_cli.data_preparation.readers.local_files import collect_source, scan_source
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.readers.timestamp_range import unreadable_column
from recsys_cli.utils.errors import InputError

SINCE_ONE = pa.array([1])
BEYOND = pa.array([2**31 - 1], pa.int32()).cast(pa.date32())


def zoned(zone: str) -> pa.Array:
    return pa.array([1], pa.timestamp("us", zone))


def lists(values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays([0, len(values)], values)


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ([("user_id", SINCE_ONE), ("seen", zoned("+05:30"))], "times of an unknown zone, '+05:30'"),
        (
            [("user_id", SINCE_ONE), ("seen", zoned("Nowhere/Else"))],
            "times of an unknown zone, 'Nowhere/Else'",
        ),
        ([("user_id", SINCE_ONE), ("seen", lists(zoned("Z")))], "times of an unknown zone, 'Z'"),
        ([("user_id", SINCE_ONE), ("seen", SINCE_ONE), ("seen", zoned("UTC"))], "'seen' occurs twice"),
        ([("user_id", SINCE_ONE), ("seen", BEYOND)], "'seen' holds dates or times that are out of range"),
        (
            [("user_id", SINCE_ONE), ("seen", lists(BEYOND))],
            "'seen' holds dates or times that are out of range",
        ),
        (
            [("user_id", SINCE_ONE), ("seen", pa.StructArray.from_arrays([lists(BEYOND)], ["days"]))],
            "'seen' holds dates or times that are out of range",
        ),
    ],
)
def test_columns_that_polars_panics_at_are_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], columns: list[tuple[str, Any]], words: str
) -> None:
    names, arrays = zip(*columns, strict=True)
    pq.write_table(pa.Table.from_arrays(list(arrays), names=list(names)), tmp_path / "users.parquet")
    table = FeatureTableSettings(path="users.parquet", features=["seen"])
    with pytest.raises(InputError) as caught:
        collect_source(scan_source(table, InputFolder(tmp_path)), [tmp_path / "users.parquet"])
    assert words in caught.value.what and str(tmp_path / "users.parquet") in caught.value.where
    assert "panicked" not in capfd.readouterr().err and os.path.isabs(caught.value.where)


@pytest.mark.parametrize("zone", ["UTC", "utc", "+00:00", "+0300", "-12:00", "+14:00", "Asia/Kolkata", "EST"])
def test_zones_that_polars_knows_are_read(tmp_path: Path, zone: str) -> None:
    table = pa.table({"user_id": SINCE_ONE, "seen": zoned(zone)})
    assert unreadable_column(table.schema) is None
    pq.write_table(table, tmp_path / "users.parquet")
    scanned = scan_source(FeatureTableSettings(path="users.parquet"), InputFolder(tmp_path))
    assert collect_source(scanned, []).shape == (1, 2)

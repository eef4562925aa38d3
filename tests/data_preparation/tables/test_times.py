"""Times in every form, as the instants that they are."""

from datetime import date, datetime
from typing import Any

import polars as pl
import pytest

from recsys_cli.configs.data_sections import InteractionsSettings
from recsys_cli.data_preparation.tables.times import days, instants

NINE = datetime(2024, 3, 1, 9)
TOKYO_NINE = datetime(2024, 3, 1)  # 09:00 in Tokyo


def read(value: Any, kind: Any = None, zone: str = "Asia/Tokyo", **settings: str) -> Any:
    frame = pl.DataFrame({"time": pl.Series([value], dtype=kind)})
    table = InteractionsSettings.model_validate(settings)
    return frame.select(instants(pl.col("time"), frame.schema["time"], table, zone)).item()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-01T09:00:00", TOKYO_NINE),
        ("2024-03-01 09:00", TOKYO_NINE),
        ("2024-03-01T09:00", TOKYO_NINE),
        (" 2024-03-01 09:00:00 ", TOKYO_NINE),
        ("2024-03-01", datetime(2024, 2, 29, 15)),
        ("2024-03-01T09:00:00Z", NINE),
        ("2024-03-01T11:00:00+02:00", NINE),
        ("2024-03-01T11:00:00+0200", NINE),
        ("2024-03-01T11:00:00+02", NINE),
        ("2024-03-01 11:00:00.000 +02:00", NINE),
        ("2024-03-01T04:00-05:00", NINE),
        ("2024-02-30", None),
    ],
)
def test_text_without_a_format(text: str, expected: datetime | None) -> None:
    assert read(text) == expected


@pytest.mark.parametrize(
    ("text", "text_format", "expected"),
    [
        ("2024-03-01T11:00:00+02:00", "%Y-%m-%dT%H:%M:%S%z", NINE),
        ("2024-03-01 11:00:00 +0200", "%Y-%m-%d %H:%M:%S %z", NINE),
        ("2024-03-01T09:00:00Z", "%Y-%m-%dT%H:%M:%S%#z", NINE),
        ("2024-03-01T09:00:00Z", "%Y-%m-%dT%H:%M:%SZ", NINE),
        ("2024-03-01 09:00 UTC", "%Y-%m-%d %H:%M UTC", NINE),
        ("01/03/2024 09:00", "%d/%m/%Y %H:%M", TOKYO_NINE),
    ],
)
def test_text_with_a_format(text: str, text_format: str, expected: datetime) -> None:
    assert read(text, timestamp_format=text_format) == expected


def test_a_zone_of_the_table_wins_over_a_letter_of_the_format() -> None:
    assert read("2024-03-01Z", timestamp_format="%Y-%m-%dZ", time_zone="Asia/Tokyo").hour == 15


@pytest.mark.parametrize("kind", [pl.Float32, pl.Float64, pl.Int64, pl.Decimal(20, 3)])
def test_seconds_since_1970_of_any_type(kind: Any) -> None:
    seconds = 1_709_280_000  # a multiple of 256: a 32-bit float holds it
    assert read(seconds, pl.Int64) == datetime(2024, 3, 1, 8)
    frame = pl.DataFrame({"time": pl.Series([seconds]).cast(kind)})
    found = frame.select(instants(pl.col("time"), frame.schema["time"], InteractionsSettings(), "Asia/Tokyo"))
    assert found.item() == datetime(2024, 3, 1, 8)


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (1709280000.25, "s", datetime(2024, 3, 1, 8, 0, 0, 250_000)),
        (1709280000000.0, "ms", datetime(2024, 3, 1, 8)),
        (1709280000000000.0, "us", datetime(2024, 3, 1, 8)),
        (1709280000000000000.0, "ns", datetime(2024, 3, 1, 8)),
        (float("nan"), "s", None),
        (float("inf"), "s", None),
        (1e300, "s", None),
    ],
)
def test_floats_follow_their_unit(value: float, unit: str, expected: datetime | None) -> None:
    assert read(value, pl.Float64, timestamp_unit=unit) == expected


@pytest.mark.parametrize("kind", [pl.Int64, pl.Float64, pl.Int32, pl.String, pl.Decimal(20, 0)])
def test_days_as_numbers_follow_their_format(kind: Any) -> None:
    values = pl.DataFrame({"time": pl.Series([20240301, 20240230]).cast(kind)})
    table = InteractionsSettings(timestamp_format="%Y%m%d")
    found = values.select(instants(pl.col("time"), values.schema["time"], table, "UTC"))
    assert found.to_series().to_list() == [datetime(2024, 3, 1), None]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (date(2024, 2, 26), date(2024, 2, 26)),
        (datetime(2024, 2, 25, 23), date(2024, 2, 25)),
        ("2024-02-26", date(2024, 2, 26)),
        ("2024-02-25T15:00:00Z", date(2024, 2, 26)),
        ("2024-02-25 23:00:00", date(2024, 2, 25)),
        ("soon", None),
    ],
)
def test_days_are_those_of_the_workspace(value: Any, expected: date | None) -> None:
    frame = pl.DataFrame({"day": [value]})
    assert frame.select(days(pl.col("day"), frame.schema["day"], "Asia/Tokyo")).item() == expected


@pytest.mark.parametrize("column_zone", ["UTC", "Asia/Tokyo", "America/New_York"])
def test_an_instant_has_the_day_of_the_workspace_whatever_its_own_zone(column_zone: str) -> None:
    start = (
        pl.Series([datetime(2024, 2, 25, 15)]).dt.replace_time_zone("UTC").dt.convert_time_zone(column_zone)
    )
    frame = pl.DataFrame({"day": start})
    assert frame.select(days(pl.col("day"), frame.schema["day"], "Asia/Tokyo")).item() == date(2024, 2, 26)

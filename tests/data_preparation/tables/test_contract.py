"""Reading sources: mapping, time zones, ids, filters."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys_cli.configs.data_sections import DataSettings
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.contract import Tables, inspect_tables, read_tables
from recsys_cli.models.feature_encoding import fit_encoder
from recsys_cli.utils.errors import InputError

DAY = date(2026, 11, 1)


def read(folder: Path, timezone: str = "UTC", **interactions: Any) -> Tables:
    data = DataSettings.model_validate({"interactions": {"path": "events.csv", **interactions}})
    return read_tables(data, InputFolder(folder), DAY, timezone)


def times(folder: Path, *texts: str, timezone: str = "UTC", **interactions: Any) -> list[str]:
    """Return how the program reads these timestamps, as UTC."""
    rows = "\n".join(f"u,{number},{text}" for number, text in enumerate(texts))
    (folder / "events.csv").write_text(f"user_id,item_id,timestamp\n{rows}\n")
    events = read(folder, timezone, **interactions).events
    return [str(time) for time in events.sort("item")["timestamp"]]


def test_iso_timestamps_with_and_without_time(tmp_path: Path) -> None:
    assert times(tmp_path, "2026-01-02", "2026-01-02 03:04:05", "2026-01-02T03:04:05.5") == [
        "2026-01-02 00:00:00",
        "2026-01-02 03:04:05",
        "2026-01-02 03:04:05.500000",
    ]


@pytest.mark.parametrize(("unit", "number"), [("s", 1_700_000_000), ("ms", 1_700_000_000_000)])
def test_integer_timestamps(tmp_path: Path, unit: str, number: int) -> None:
    assert times(tmp_path, str(number), timestamp_unit=unit) == ["2023-11-14 22:13:20"]


def test_local_times_over_a_clock_change(tmp_path: Path) -> None:
    """Berlin, 2026: 02:30 on 29 March never was, 02:30 on 25 October was twice."""
    texts = ("2026-03-29 01:30:00", "2026-03-29 02:30:00", "2026-10-25 02:30:00", "2026-10-25 03:30:00")
    assert times(tmp_path, *texts, timezone="Europe/Berlin") == [
        "2026-03-29 00:30:00",
        "2026-03-29 01:30:00",
        "2026-10-25 00:30:00",
        "2026-10-25 02:30:00",
    ]


def test_the_source_may_have_a_zone_of_its_own(tmp_path: Path) -> None:
    assert times(tmp_path, "2026-01-02 12:00:00", time_zone="Asia/Tokyo") == ["2026-01-02 03:00:00"]


def test_ids_stay_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(
        "user_id,item_id,timestamp\n007,é😀,2026-01-01\n7,9223372036854775807,2026-01-01\n"
    )
    known = read(tmp_path)
    assert known.users["user_id"].to_list() == ["007", "7"]
    assert known.items["item_id"].to_list() == ["9223372036854775807", "é😀"]


def test_text_that_is_no_integer_is_reported(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,item_id,timestamp\n007,1,2026-01-01\n")
    data = DataSettings.model_validate({"user_id_type": "integer", "interactions": {"path": "events.csv"}})
    with pytest.raises(InputError, match="not plain 64-bit integers: '007'"):
        read_tables(data, InputFolder(tmp_path), DAY, "UTC")


def test_mapping_and_filter_speak_of_the_sources_columns(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("who;what;when;secs\na;x;2026-01-01;301\nb;y;2026-01-01;300\n")
    columns = {"user_id": "who", "item_id": "what", "timestamp": "when", "weight": "secs"}
    known = read(tmp_path, separator=";", columns=columns, filter="secs > 300")
    assert known.events["weight"].to_list() == [301.0]
    assert known.users["user_id"].to_list() == ["a"]


def test_a_folder_is_all_its_files_but_hidden_ones(tmp_path: Path) -> None:
    (tmp_path / "events").mkdir()
    for name, user in (("1.csv", "a"), ("2.csv", "b"), (".3.csv", "c"), ("_4.csv", "d")):
        (tmp_path / "events" / name).write_text(f"user_id,item_id,timestamp\n{user},x,2026-01-01\n")
    assert read(tmp_path, path="events").users["user_id"].to_list() == ["a", "b"]
    assert read(tmp_path, path="events/*2.csv").users["user_id"].to_list() == ["b"]


def test_the_published_movielens_formats(tmp_path: Path) -> None:
    (tmp_path / "u.data").write_text("196\t242\t3\t881250949\n")
    (tmp_path / "movies.dat").write_bytes("242::Amélie (2001)::Comedy|Romance\n".encode("latin1"))
    data = DataSettings.model_validate(
        {
            "user_id_type": "integer",
            "item_id_type": "integer",
            "interactions": {
                "path": "u.data",
                "separator": "\t",
                "header": ["user_id", "item_id", "rating", "timestamp"],
            },
            "items": {
                "path": "movies.dat",
                "separator": "::",
                "encoding": "latin1",
                "header": ["item_id", "title", "genres"],
                "features": ["genres"],
                "list_features": ["genres"],
            },
        }
    )
    known = read_tables(data, InputFolder(tmp_path), DAY, "UTC")
    assert known.events.select("timestamp").item().isoformat() == "1997-12-04T15:55:49"
    assert known.items.select("item_id", "title", "genres").row(0) == (
        242,
        "Amélie (2001)",
        ["Comedy", "Romance"],
    )


def test_quotes_are_understood_in_every_encoding(tmp_path: Path) -> None:
    for encoding in ("utf8", "latin1"):
        text = 'user_id;item_id;timestamp\n007;"Café; noir";2026-01-01\n'
        (tmp_path / f"{encoding}.csv").write_text(text, encoding=encoding)
        known = read(tmp_path, path=f"{encoding}.csv", separator=";", encoding=encoding)
        assert known.users["user_id"].to_list() == ["007"]
        assert known.items["item_id"].to_list() == ["Café; noir"]


def test_a_header_that_names_a_column_twice_is_refused(tmp_path: Path) -> None:
    for separator in (",", "::"):
        header = separator.join(("user_id", "item_id", "timestamp", "item_id"))
        (tmp_path / "events.csv").write_text(header + "\n" + separator.join("1234") + "\n")
        with pytest.raises(InputError, match="has a column name twice"):
            read(tmp_path, path="events.csv", separator=separator)


def test_all_problems_at_once(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text(
        "user_id,item_id,timestamp\n,x,2026-01-01\na,,2026-01-01\na,x,yesterday\n"
    )
    (tmp_path / "users.csv").write_text("user_id,age\na,1\na,2\n")
    data = DataSettings.model_validate(
        {"interactions": {"path": "events.csv"}, "users": {"path": "users.csv", "features": ["ages"]}}
    )
    known, problems = inspect_tables(data, InputFolder(tmp_path), DAY, "UTC")
    message = "\n".join(problem.what for problem in problems)
    assert known is None
    for part in ("no user_id", "no item_id", "no readable timestamp", "did you mean 'age'?"):
        assert part in message


def test_events_on_or_after_the_day_are_not_known(tmp_path: Path) -> None:
    assert times(tmp_path, "2026-10-31 23:59:59.999999", "2026-11-01 00:00:00") == [
        "2026-10-31 23:59:59.999999"
    ]


def test_the_same_tables_whatever_the_order_of_the_rows(tmp_path: Path) -> None:
    rows = [f"u{number % 7},i{number % 5},2026-01-{number % 27 + 1:02}" for number in range(100)]
    known = []
    for ordered in (rows, rows[::-1]):
        (tmp_path / "events.csv").write_text("user_id,item_id,timestamp\n" + "\n".join(ordered))
        known.append(read(tmp_path))
    assert known[0].events.equals(known[1].events)
    assert pl.concat([known[0].users, known[1].users]).n_unique() == len(known[0].users)


def with_items(folder: Path, items: pl.DataFrame, **settings: Any) -> DataSettings:
    """Write one event and the items, and return settings that read them."""
    (folder / "events.csv").write_text("user_id,item_id,timestamp\nu,1,2026-01-01\n")
    items.write_parquet(folder / "items.parquet")
    table = {"path": "items.parquet", **settings}
    return DataSettings.model_validate({"interactions": {"path": "events.csv"}, "items": table})


ITEMS = pl.DataFrame({"item_id": ["1", "2", "3", "4"], "maker": [7, 10, None, 7], "price": [1, 2, 3, 4]})


@pytest.mark.parametrize("kind", [pl.Int64, pl.UInt8, pl.Float32, pl.Float64, pl.Decimal(9, 2)])
def test_numbers_of_a_category_are_text_however_they_are_stored(tmp_path: Path, kind: Any) -> None:
    items = ITEMS.cast({"maker": kind})
    data = with_items(tmp_path, items, features=["maker", "price"], category_features=["maker"])
    known = read_tables(data, InputFolder(tmp_path), DAY, "UTC").items
    assert known["maker"].to_list() == ["7", "10", None, "7"]
    assert known["price"].to_list() == [1.0, 2.0, 3.0, 4.0]
    encoder = fit_encoder(known, ("maker", "price"), max_categories=1)
    assert encoder.values == {"maker": ("7",)}
    assert encoder.category_codes(known, "maker").to_list() == [1, 2, 0, 1]  # 10 is another than 7


def test_a_category_may_hold_fractions_text_and_no_number(tmp_path: Path) -> None:
    items = ITEMS.with_columns(
        maker=pl.Series([1.5, float("nan"), float("inf"), 1e30]), code=pl.Series(["07", "7", None, "x"])
    )
    names = ["maker", "code"]
    known = read_tables(
        with_items(tmp_path, items, features=names, category_features=names),
        InputFolder(tmp_path),
        DAY,
        "UTC",
    ).items
    assert known["maker"].to_list() == ["1.5", None, None, "1e+30"]
    assert known["code"].to_list() == ["07", "7", None, "x"]


def test_without_the_setting_the_same_numbers_are_amounts(tmp_path: Path) -> None:
    known = read_tables(
        with_items(tmp_path, ITEMS, features=["maker"]), InputFolder(tmp_path), DAY, "UTC"
    ).items
    assert known.schema["maker"] == pl.Float32


def test_category_features_that_cannot_be_are_told_together(tmp_path: Path) -> None:
    items = ITEMS.with_columns(tags=pl.Series([["a"]] * 4), genres=pl.Series(["x|y"] * 4))
    data = with_items(
        tmp_path,
        items,
        features=["maker", "tags", "genres"],
        list_features=["genres"],
        category_features=["makr", "price", "tags", "genres", "maker"],
    )
    _, problems = inspect_tables(data, InputFolder(tmp_path), DAY, "UTC")
    assert [problem.what for problem in problems] == [
        "category feature 'makr' is not among the features; did you mean 'maker'?",
        "category feature 'price' is not among the features",
        "category feature 'tags' holds several values",
        "category feature 'genres' holds several values",
    ]
    assert all(problem.severity == "error" and "`category_features`" in problem.fix for problem in problems)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([timedelta(minutes=5)] * 4, "Duration(time_unit='us')"),
        ([b"\xff"] * 4, "Binary"),
        ([[["a"]]] * 4, "List(List(String))"),
        ([{"a": 1}] * 4, "Struct({'a': Int64})"),
        (pl.Series([[0.1, 0.2]] * 4, dtype=pl.Array(pl.Float32, 2)), "Array(Float32, shape=(2,))"),
    ],
)
def test_a_feature_of_a_type_that_cannot_be_one_is_named(tmp_path: Path, values: Any, kind: str) -> None:
    items = ITEMS.with_columns(odd=pl.Series(values))
    _, problems = inspect_tables(
        with_items(tmp_path, items, features=["price", "odd"]), InputFolder(tmp_path), DAY, "UTC"
    )
    (problem,) = problems
    assert problem.what == (
        f"data.items.features: 'odd' holds {kind}; features are numbers, booleans, text, lists of text"
    )
    assert problem.fix.startswith("take it out of data.items.features")


@pytest.mark.parametrize(
    "kind", [pl.Date, pl.Datetime("us"), pl.List(pl.Int64), pl.Decimal(9, 2), pl.Boolean]
)
def test_features_of_other_types_are_read(tmp_path: Path, kind: Any) -> None:
    odd = pl.Series([None] * 4, dtype=kind)
    data = with_items(tmp_path, ITEMS.with_columns(odd=odd), features=["odd"])
    assert read_tables(data, InputFolder(tmp_path), DAY, "UTC").items["odd"].null_count() == 4


def test_availability_is_counted_in_the_days_of_the_workspace(tmp_path: Path) -> None:
    """26 February 00:00 in Tokyo is 25 February 15:00 UTC."""
    start = datetime(2024, 2, 25, 15)
    zoned = pl.Series([start] * 4, dtype=pl.Datetime("us", "UTC"))
    for column in (zoned, zoned.dt.convert_time_zone("Asia/Tokyo"), zoned.dt.to_string("%Y-%m-%dT%H:%M:%SZ")):
        data = with_items(tmp_path, ITEMS.with_columns(available_from=column))
        days = read_tables(data, InputFolder(tmp_path), DAY, "Asia/Tokyo").items["available_from"]
        assert days.unique().to_list() == [date(2024, 2, 26)]


def test_a_feature_without_a_value_or_type_is_a_warning(tmp_path: Path) -> None:
    items = ITEMS.with_columns(price=pl.lit(None))
    data = with_items(tmp_path, items, features=["price", "maker"])
    tables, problems = inspect_tables(data, InputFolder(tmp_path), DAY, "UTC")
    assert tables is not None
    assert [(one.severity, one.what) for one in problems] == [
        ("warning", "feature 'price' has no value in 4 rows")
    ]
    items.write_csv(tmp_path / "items.csv")
    table = data.items.model_copy(update={"path": "items.csv"})
    again = inspect_tables(data.model_copy(update={"items": table}), InputFolder(tmp_path), DAY, "UTC")[1]
    assert [one.what for one in again] == ["feature 'price' has no value in 4 rows"]

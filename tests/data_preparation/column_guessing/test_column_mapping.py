from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys_cli.configs.data_sections import DataSettings, InteractionsSettings
from recsys_cli.data_preparation.column_guessing.column_mapping import (
    Guess,
    GuessedData,
    UnusedColumn,
    guess_data,
)
from recsys_cli.data_preparation.column_guessing.feature_columns import guess_features
from recsys_cli.data_preparation.column_guessing.timestamps import day_after, guess_timestamp
from recsys_cli.data_preparation.readers.csv_dialect import sniff_dialect
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.contract import read_tables
from recsys_cli.utils.errors import InputError, UsageError

EVENTS = pl.DataFrame(
    {
        "user_id": [1, 2, 1],
        "item_id": ["a", "b", "b"],
        "timestamp": [datetime(2026, 1, day) for day in (1, 2, 3)],
    }
)


def guessed(folder: Path, *named: tuple[str, str], **tables: pl.DataFrame | str) -> DataSettings:
    """Write frames as parquet and text as CSV, and return the guessed settings."""
    return everything_guessed(folder, *named, **tables).data


def everything_guessed(folder: Path, *named: tuple[str, str], **tables: pl.DataFrame | str) -> GuessedData:
    paths = {}
    for name, table in tables.items():
        paths[name] = f"{name}.csv" if isinstance(table, str) else f"{name}.parquet"
        if isinstance(table, str):
            (folder / paths[name]).write_text(table, encoding="utf-8")
        else:
            table.write_parquet(folder / paths[name])
    return guess_data({name: {"path": path} for name, path in paths.items()}, InputFolder(folder), named)


def of_folder(folder: Path) -> GuessedData:
    return guess_data(
        {name: {"path": f"{name}.parquet"} for name in ("interactions", "users", "items")},
        InputFolder(folder),
    )


def test_online_retail_is_mapped(retail: Path) -> None:
    data, guesses, unused = of_folder(retail)
    assert data.interactions.columns == {"user_id": "user_id", "item_id": "item_id", "timestamp": "timestamp"}
    assert (data.user_id_type, data.item_id_type) == ("integer", "text")
    assert data.users.features == ["country"]
    assert data.items.columns == {"item_id": "item_id", "title": "title"}
    assert data.items.features == ["price"]
    assert Guess("items", "title", "title") in guesses
    assert [(one.table, one.column) for one in unused] == [
        ("interactions", "quantity"),
        ("interactions", "price"),
    ]
    assert day_after(data.interactions, InputFolder(retail)) == date(2010, 12, 10)


def test_ml_100k_is_mapped(shared_data: Path) -> None:
    data, _, unused = of_folder(shared_data / "ml-100k")
    assert data.interactions.columns == {"user_id": "user_id", "item_id": "item_id", "timestamp": "timestamp"}
    assert (data.user_id_type, data.item_id_type) == ("integer", "integer")
    assert data.users.features == ["age", "gender", "occupation"]
    assert data.items.features == ["release_year", "genres"]
    assert data.items.columns["title"] == "title"
    assert data.items.list_features == data.items.category_features == []
    assert unused == [
        UnusedColumn("interactions", "rating", "not a column of the contract", ""),
        UnusedColumn(
            "users",
            "zip_code",
            "795 values in 943 filled rows hardly repeat",
            "name it in data.users.features to use it anyway",
        ),
    ]


def test_every_column_of_complete_journey_is_mapped_taken_or_named(shared_data: Path) -> None:
    data, guesses, unused = of_folder(shared_data / "complete-journey")
    assert data.users.columns == {"user_id": "user_id"}
    assert data.users.features == [
        "age",
        "income",
        "home_ownership",
        "marital_status",
        "household_size",
        "household_comp",
        "kids_count",
    ]
    assert data.items.columns == {"item_id": "item_id", "title": "title"}
    narrow, wide = ["department", "brand"], ["manufacturer_id", "product_category", "package_size"]
    assert data.items.features == narrow + wide
    assert data.items.category_features == ["manufacturer_id"]
    assert Guess("items", "category_features", "manufacturer_id") in guesses
    assert [(one.column, one.fix) for one in unused] == [
        ("basket_id", ""),
        ("store_id", ""),
        ("quantity", "--map weight=quantity"),
        ("sales_value", ""),
        ("retail_disc", ""),
    ]
    for table in (data.interactions, data.users, data.items):
        named = {*table.columns.values(), *getattr(table, "features", ()), *(one.column for one in unused)}
        assert set(pl.read_parquet_schema(shared_data / "complete-journey" / table.path)) <= named


@pytest.mark.parametrize(
    ("user", "item", "time"),
    [
        ("userId", "movieId", "timestamp"),
        ("Customer ID", "StockCode", "InvoiceDate"),
        ("visitorid", "itemid", "event_time"),
        ("uid", "isbn", "ts"),
        ("CLIENT_ID", "sku", "DateTime"),
    ],
)
def test_usual_names_are_known_in_any_spelling(tmp_path: Path, user: str, item: str, time: str) -> None:
    events = EVENTS.rename({"user_id": user, "item_id": item, "timestamp": time})
    columns = guessed(tmp_path, interactions=events).interactions.columns
    assert columns == {"user_id": user, "item_id": item, "timestamp": time}


def test_a_rating_is_no_weight_and_a_weight_is(tmp_path: Path) -> None:
    events = EVENTS.with_columns(rating=pl.lit(5.0))
    assert "weight" not in guessed(tmp_path, interactions=events).interactions.columns
    weighted = guessed(tmp_path, interactions=events.rename({"rating": "weight"}))
    assert weighted.interactions.columns["weight"] == "weight"


def test_the_id_column_of_users_and_items_may_be_called_id(tmp_path: Path) -> None:
    users, items = pl.DataFrame({"id": [1, 2]}), pl.DataFrame({"id": ["a", "b"], "name": ["Ape", "Bee"]})
    data = guessed(tmp_path, interactions=EVENTS, users=users, items=items)
    assert data.users.columns == {"user_id": "id"}
    assert data.items.columns == {"item_id": "id", "title": "name"}


def test_a_missing_column_names_those_there_are_and_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        guessed(tmp_path, interactions=EVENTS.rename({"user_id": "who", "item_id": "what"}))
    assert "the columns are who, what, timestamp" in caught.value.what
    assert caught.value.fix == "name the column: --map user_id=COLUMN --map item_id=COLUMN"


def test_named_columns_win_and_count_in_each_table_that_has_them(tmp_path: Path) -> None:
    events = EVENTS.rename({"user_id": "who"}).with_columns(user=pl.lit("x"))
    users = pl.DataFrame({"person": [1, 2], "user": ["x", "x"]})
    named = (("user_id", "who"), ("user_id", "person"))
    data = guessed(tmp_path, *named, interactions=events, users=users)
    assert data.interactions.columns["user_id"] == "who"
    assert data.users.columns["user_id"] == "person"


@pytest.mark.parametrize("pair", [("user_id", "nobody"), ("usr_id", "user_id")])
def test_what_is_named_in_vain_is_refused(tmp_path: Path, pair: tuple[str, str]) -> None:
    with pytest.raises(UsageError, match="no table has a column|the contract has no column"):
        guessed(tmp_path, pair, interactions=EVENTS)


CSV = "user;item;date\n1;007;31.12.2025 23:10\n2;8;01.01.2026 08:00\n"


def test_a_csv_is_read_as_it_is_written(tmp_path: Path) -> None:
    data = guessed(tmp_path, interactions=CSV)
    assert data.interactions.separator == ";"
    assert data.interactions.timestamp_format == "%d.%m.%Y %H:%M"
    assert (data.user_id_type, data.item_id_type) == ("integer", "text")
    tables = read_tables(data, InputFolder(tmp_path), date(2026, 2, 1), "UTC")
    assert tables.items["item_id"].to_list() == ["007", "8"]
    assert tables.events["timestamp"].to_list() == [datetime(2025, 12, 31, 23, 10), datetime(2026, 1, 1, 8)]
    assert day_after(data.interactions, InputFolder(tmp_path)) == date(2026, 1, 2)


def test_a_csv_without_header_gets_numbered_columns(tmp_path: Path) -> None:
    rows = "1\t10\t5\t881250949\n2\t11\t3\t881250950\n"
    with pytest.raises(InputError, match="column_1, column_2, column_3, column_4"):
        guessed(tmp_path, interactions=rows)
    named = [("user_id", "column_1"), ("item_id", "column_2"), ("timestamp", "column_4")]
    data = guessed(tmp_path, *named, interactions=rows)
    assert data.interactions.header == ["column_1", "column_2", "column_3", "column_4"]
    assert data.interactions.timestamp_unit == "s"
    assert len(read_tables(data, InputFolder(tmp_path), date(1998, 1, 1), "UTC").events) == 2


def test_ids_are_integers_only_if_all_tables_agree(tmp_path: Path) -> None:
    users = "user_id,age\n01,30\n2,40\n"
    assert guessed(tmp_path, interactions=EVENTS).user_id_type == "integer"
    assert guessed(tmp_path, interactions=EVENTS, users=users).user_id_type == "text"


def test_integers_of_a_parquet_text_column_stay_text(tmp_path: Path) -> None:
    assert guessed(tmp_path, interactions=EVENTS.cast({"user_id": pl.String})).user_id_type == "text"


@pytest.mark.parametrize(
    ("content", "encoding", "separator"),
    [
        (b"a,b\n1,x\n", "utf8", ","),
        (b"\xef\xbb\xbfa|b|c\n1|x,y|2\n", "utf8", "|"),
        (b"a\tb\n1\t\xe9\n", "latin1", "\t"),
        (b'a,b\n"x;y;z",1\n', "utf8", ","),
    ],
)
def test_dialects(tmp_path: Path, content: bytes, encoding: str, separator: str) -> None:
    file = tmp_path / "table.csv"
    file.write_bytes(content)
    assert sniff_dialect(file) == (encoding, separator, [])


def test_an_empty_csv_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty"):
        guessed(tmp_path, interactions="")


@pytest.mark.parametrize(
    ("value", "unit"),
    [(881250949, "s"), (1767225600000, "ms"), (1767225600000000, "us"), (1767225600000000000, "ns")],
)
def test_units_follow_the_magnitude(tmp_path: Path, value: int, unit: str) -> None:
    assert guess_timestamp(pl.Series([value])) == {"timestamp_unit": unit}
    events = EVENTS.with_columns(timestamp=pl.lit(value))
    events.write_parquet(tmp_path / "events.parquet")
    table = InteractionsSettings(path="events.parquet", timestamp_unit=unit)
    expected = date(1997, 12, 5) if unit == "s" else date(2026, 1, 2)
    assert day_after(table, InputFolder(tmp_path)) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["2026-01-31", "2026-02-01"], {"timestamp_format": "%Y-%m-%d"}),
        (["12/1/2010 8:26", "12/31/2010 9:00"], {"timestamp_format": "%m/%d/%Y %H:%M"}),
        (["31/12/2010", "1/12/2010"], {"timestamp_format": "%d/%m/%Y"}),
        (["2026-01-31 10:00:00.5", "2026-01-31 10:00:00"], {"timestamp_format": "%Y-%m-%d %H:%M:%S%.f"}),
        (["2026-01-31T10:00:00Z"], {"timestamp_format": "%Y-%m-%dT%H:%M:%S%.fZ", "time_zone": "UTC"}),
        (["2026-01-31T10:00:00+02:00"], {"timestamp_format": "%Y-%m-%dT%H:%M:%S%.f%#z"}),
        (["2026-01-31 10:00:00 +0200"], {"timestamp_format": "%Y-%m-%d %H:%M:%S%.f%#z"}),
        (["2026-01-31T10:00:00Z", "2026-01-31T10:00:00+02"], {"timestamp_format": "%Y-%m-%dT%H:%M:%S%.f%#z"}),
        ([" 2026-01-31 10:00"], {"timestamp_format": "%Y-%m-%d %H:%M"}),
    ],
)
def test_formats_of_text_times(texts: list[str], expected: dict[str, str]) -> None:
    assert guess_timestamp(pl.Series(texts)) == expected


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([20260131, 20260201], {"timestamp_format": "%Y%m%d"}),
        ([202601312359], {"timestamp_format": "%Y%m%d%H%M"}),
        ([20260131235959], {"timestamp_format": "%Y%m%d%H%M%S"}),
        ([20260131, 20260231], {"timestamp_unit": "s"}),
        ([1767225600.5, None, float("nan")], {"timestamp_unit": "s"}),
        ([1767225600000.0], {"timestamp_unit": "ms"}),
    ],
)
def test_numbers_are_days_where_all_of_them_can_be(numbers: list[Any], expected: dict[str, str]) -> None:
    assert guess_timestamp(pl.Series(numbers)) == expected


def doubts(guess: GuessedData) -> dict[str, str]:
    return {one.setting: one.doubt for one in guess.guesses if one.doubt}


@pytest.mark.parametrize(
    ("times", "doubt"),
    [
        (("03/04/2024", "05/06/2024"), "as well %d/%m/%Y: which one?"),
        (("03/13/2024", "05/06/2024"), None),
        (("3/4/24 10:00", "5/6/24 11:00"), "as well %d/%m/%y %H:%M: which one?"),
        (("2024-03-04", "2024-05-06"), None),
        (("07/07/2024", "08/08/2024"), None),  # the same days either way
    ],
)
def test_two_orders_of_day_and_month_are_a_doubt(
    tmp_path: Path, times: tuple[str, ...], doubt: str | None
) -> None:
    rows = "".join(f"{number},a,{time}\n" for number, time in enumerate(times))
    guess = everything_guessed(tmp_path, interactions=f"user_id,item_id,timestamp\n{rows}")
    assert doubts(guess) == ({"timestamp_format": doubt} if doubt else {})


def test_signs_of_numbers_and_stray_spaces_are_guessed(tmp_path: Path) -> None:
    items = "item_id; price; colour\n 7;12,50;red\n 8;3,99;red\n"
    guess = everything_guessed(tmp_path, interactions=EVENTS, items=items)
    table = guess.data.items
    assert (table.decimal, table.thousands, table.strip_spaces) == (",", "", True)
    assert table.features == ["price"] and not doubts(guess)
    grouped = everything_guessed(tmp_path, interactions=EVENTS, items="item_id;price\na;1,234\nb;2,345\n")
    assert grouped.data.items.thousands == ","
    assert doubts(grouped)["thousands"] == 'as well `decimal = ","`: which one?'


def test_float_ids_are_integers(tmp_path: Path) -> None:
    events = "user_id,item_id,timestamp\n12644.0,a,2026-01-01\n7.0,b,2026-01-02\n"
    data = guessed(tmp_path, interactions=events, users="user_id,age\n12644,30\n7,40\n")
    assert data.user_id_type == "integer"
    known = read_tables(data, InputFolder(tmp_path), date(2026, 2, 1), "UTC")
    assert known.users["user_id"].to_list() == [7, 12644]
    assert guessed(tmp_path, interactions=EVENTS.cast({"user_id": pl.Float64})).user_id_type == "integer"
    halves = EVENTS.with_columns(user_id=pl.Series([1.5, 2.0, 3.0]))
    assert guessed(tmp_path, interactions=halves).user_id_type == "text"


def test_the_types_in_recboles_names_are_no_part_of_them(tmp_path: Path) -> None:
    text = "user_id:token\titem_id:token\ttimestamp:float\n1\t10\t1709280000.0\n"
    table = guessed(tmp_path, interactions=text).interactions
    assert list(table.columns) == ["user_id", "item_id", "timestamp"]
    assert table.timestamp_unit == "s"


@pytest.mark.parametrize("name", ["__index_level_0__", "Unnamed: 0", "", "index", "level_0"])
def test_row_numbers_of_pandas_are_no_feature(name: str) -> None:
    table = pl.DataFrame({name: [*range(30), *range(30)], "price": [n % 7 for n in range(60)]})
    guess = guess_features(table, "data.items")
    assert guess.settings == {"features": ["price"]}
    assert guess.unfit[name].reason == "row numbers that pandas wrote, by the name"


def test_a_key_of_folders_is_the_time_only_where_no_column_of_the_files_is(tmp_path: Path) -> None:
    for name, frame in {
        "bare": EVENTS.drop("timestamp"),
        "full": EVENTS.rename({"timestamp": "created_at"}),
    }.items():
        folder = tmp_path / name / "date=2026-01-01"
        folder.mkdir(parents=True)
        frame.write_parquet(folder / "a.parquet")
    times = {
        name: guess_data({"interactions": {"path": name}}, InputFolder(tmp_path)).data.interactions.columns[
            "timestamp"
        ]
        for name in ("bare", "full")
    }
    assert times == {"bare": "date", "full": "created_at"}


def test_times_in_no_known_format_are_refused() -> None:
    with pytest.raises(InputError, match="in an unknown format"):
        guess_timestamp(pl.Series("when", ["yesterday", "now"]))


def test_features_are_columns_that_repeat_or_count() -> None:
    rows = 40
    table = pl.DataFrame(
        {
            "age": list(range(20, 30)) * 4,
            "score": [n / 7 for n in range(rows)],
            "cost": pl.Series([f"{n}.50" for n in range(rows)]).cast(pl.Decimal(6, 2)),
            "member": [n % 2 == 0 for n in range(rows)],
            "has_email": [n % 2 == 0 for n in range(rows)],
            "city": ["Rome", "Oslo"] * 20,
            "plan": pl.Series(["free", "paid"] * 20, dtype=pl.Enum(["free", "paid"])),
            "tags": [["x"], ["y", "z"]] * 20,
            "genres": ["Drama|War", "Comedy"] * 20,
            "shop_id": [1, 2] * 20,
            "zip_code": ["10115", "20095"] * 20,
        }
    )
    guess = guess_features(table, "data.users")
    assert guess.settings == {
        "features": table.columns,
        "list_features": ["genres"],
        "list_separator": "|",
        "category_features": ["shop_id"],
    }
    assert not guess.unfit


NAME_IT = "name it in data.items.features to use it anyway"
NAME_CATEGORY = "name it in data.items.features and category_features to use it anyway"
ONCE = "name it in data.items.features once its values differ"
AS_NUMBER = "turn it into a number in the source, such as an age in days, to use it"
STORE = "store it as text, a number or a list of texts to use it"
ROWS = range(1_000)


@pytest.mark.parametrize(
    ("name", "values", "reason", "fix"),
    [
        ("colour", ["red"] * 1_000, "constant", ONCE),
        ("empty", [None] * 1_000, "no values", ONCE),
        ("nan", [float("nan")] * 1_000, "no values", ONCE),
        ("flag", ["yes"] * 300 + [None] * 700, "constant except for 700 empty rows", NAME_IT),
        ("weight_g", [1.5, 2.0, *[None] * 998], "empty in all but 2 of 1,000 rows", NAME_IT),
        ("row_number", ROWS, "a different number in every row", NAME_IT),
        ("barcode", [f"B{n}" for n in ROWS], "a different value in every row", NAME_IT),
        ("zip", [f"{n % 600}" for n in ROWS], "600 values in 1,000 filled rows hardly repeat", NAME_IT),
        ("bio", [f"Item {n}" for n in ROWS], "free text: a different value in every row", NAME_IT),
        (
            "series",
            [f"Part {n % 600}" for n in ROWS],
            "free text: 600 values in 1,000 filled rows hardly repeat",
            NAME_IT,
        ),
        (
            "maker_id",
            [n % 600 for n in ROWS],
            "looks like an id: 600 values in 1,000 filled rows hardly repeat",
            NAME_CATEGORY,
        ),
        ("partId", ROWS, "looks like an id: a different value in every row", NAME_CATEGORY),
        ("released", [date(2020, 1, 1 + n % 9) for n in ROWS], "dates or times", AS_NUMBER),
        ("sold", ["2020-01-01", "2020-01-02"] * 500, "dates or times", AS_NUMBER),
        ("seen", ["13/1/2020 10:00", "14/1/2020 11:30"] * 500, "dates or times", AS_NUMBER),
        ("cover", [f"s3://shop/{n % 4}.png" for n in ROWS], "links", NAME_IT),
        ("image", ["a.png", "b.png"] * 500, "links, by the name", NAME_IT),
        ("phone", ["1", "2"] * 500, "contact details, by the name", NAME_IT),
        ("raw", [b"a", b"b"] * 500, "Binary is not supported", STORE),
        ("vector", [[0.1, 0.2]] * 1_000, "List(Float64) is not supported", STORE),
        ("title", ["a", "b"] * 500, "the name is reserved", "rename it in the source to use it"),
    ],
)
def test_a_column_that_is_left_out_has_its_reason_and_a_way_out(
    name: str, values: Any, reason: str, fix: str
) -> None:
    guess = guess_features(pl.DataFrame({name: values}), "data.items")
    assert not guess.settings
    assert (guess.unfit[name].reason, guess.unfit[name].fix) == (reason, fix)


def test_more_values_than_training_keeps_are_a_feature_where_the_frequent_ones_cover_half() -> None:
    values = [n % 149 if n % 5 < 3 else 200 + n % 251 for n in ROWS]
    assert len(set(values)) == 399
    table = pl.DataFrame(
        {
            "brand": [f"b{value}" for value in values],
            "supplier_id": values,
            "words": [f"w{value}, new" for value in values],
            "pack": ["box", "bag"] * 500,
        }
    )
    guess = guess_features(table, "data.items")
    assert guess.settings == {
        "features": ["words", "pack", "brand", "supplier_id"],
        "list_features": ["words"],
        "list_separator": ", ",
        "category_features": ["supplier_id"],
    }


@pytest.mark.parametrize("kind", [pl.Int16, pl.UInt64, pl.Float64, pl.Decimal(9, 0)])
def test_whole_numbers_that_name_something_are_categories(kind: Any) -> None:
    table = pl.DataFrame({"brandId": pl.Series([7, 8, None, 9] * 5).cast(kind), "year": [1999, 2000] * 10})
    settings = guess_features(table, "data.items").settings
    assert settings == {"features": ["brandId", "year"], "category_features": ["brandId"]}


@pytest.mark.parametrize("name", ["paid", "grid", "price", "rooms"])
def test_other_numbers_are_amounts(name: str) -> None:
    table = pl.DataFrame({name: [1, 2] * 20, "shop_code": [1.5, 2.5] * 20})
    assert guess_features(table, "data.items").settings == {"features": [name, "shop_code"]}


def test_columns_of_events_that_count_something_may_be_weights(tmp_path: Path) -> None:
    events = EVENTS.with_columns(
        quantity=pl.Series([1, 2, 3]), plays=pl.Series([1, -1, 2]), total_dur=pl.Series([1.0, None, 2.0])
    )
    tables = {"interactions": events.with_columns(pl.col("quantity").alias("my quantity"))}
    fixes = {one.column: one.fix for one in everything_guessed(tmp_path, **tables).unused}
    assert fixes == {
        "quantity": "--map weight=quantity",
        "my quantity": "--map 'weight=my quantity'",
        "plays": "see `recsys guide data`",  # below 0: returns
        "total_dur": "",
    }
    mapped = everything_guessed(tmp_path, ("weight", "my quantity"), **tables)
    assert {one.fix for one in mapped.unused} == {""}


def test_reasons_speak_of_the_rows_that_were_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users = pl.DataFrame({"user_id": [1, 2, 3], "city": ["Rome", "Rome", "Oslo"]})
    assert not everything_guessed(tmp_path, interactions=EVENTS, users=users).unused
    monkeypatch.setattr("recsys_cli.data_preparation.column_guessing.column_mapping._SAMPLE_ROWS", 2)
    cut = everything_guessed(tmp_path, interactions=EVENTS, users=users).unused
    assert [one.reason for one in cut] == ["constant (of the first 2 rows)"]


def test_availability_is_mapped_where_it_holds_days(tmp_path: Path) -> None:
    items = pl.DataFrame(
        {"item_id": ["a", "b"], "valid_from": ["2026-01-01", None], "available_until": ["soon", "later"]}
    )
    columns = guessed(tmp_path, interactions=EVENTS, items=items).items.columns
    assert columns == {"item_id": "item_id", "available_from": "valid_from"}


def test_a_missing_file_names_the_option(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        guess_data({"interactions": {"path": "nowhere.parquet"}}, InputFolder(tmp_path))
    assert caught.value.fix == "correct the path after --interactions"


def test_names_that_stand_for_several_columns_are_left_out(tmp_path: Path) -> None:
    users = pl.DataFrame({"user_id": [1, 2], "*": [1.0, 2.0], "^user_id$": ["a", "b"]})

    found = everything_guessed(tmp_path, interactions=EVENTS, users=users)

    assert found.data.users.features == []
    assert [(one.column, one.reason) for one in found.unused] == [
        ("*", "the name stands for several columns"),
        ("^user_id$", "the name stands for several columns"),
    ]
    with pytest.raises(UsageError, match="no table has a column"):
        guessed(tmp_path, ("user_id", "*"), interactions=EVENTS, users=users)


@pytest.mark.parametrize(
    ("newest", "day"),
    [
        (datetime(9999, 12, 30), date(9999, 12, 31)),
        (datetime(9999, 12, 31), None),
        (pl.datetime(9999, 1, 1).dt.offset_by("9999y"), None),
    ],
)
def test_the_day_after_the_calendars_last_is_none(
    tmp_path: Path, newest: datetime | pl.Expr, day: date | None
) -> None:
    EVENTS.with_columns(timestamp=newest if isinstance(newest, pl.Expr) else pl.lit(newest)).write_parquet(
        tmp_path / "events.parquet"
    )
    assert day_after(InteractionsSettings(path="events.parquet"), InputFolder(tmp_path)) == day

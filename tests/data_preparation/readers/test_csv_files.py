"""Cells of CSV become numbers where all of them are numbers, whatever their style."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys_cli.configs.data_sections import DataSettings, FeatureTableSettings, InteractionsSettings
from recsys_cli.data_preparation.readers.csv_files import NumberStyle, fitting_casts
from recsys_cli.data_preparation.readers.local_files import scan_source
from recsys_cli.data_preparation.readers.number_styles import guess_style, style_hint
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.contract import inspect_tables
from recsys_cli.utils.errors import InputError

COMMA, DOTS = NumberStyle(","), NumberStyle(",", ".")


def read(folder: Path, text: str, **settings: Any) -> pl.DataFrame:
    (folder / "table.csv").write_text(text, encoding="utf-8")
    table = FeatureTableSettings.model_validate({"path": "table.csv", **settings})
    return scan_source(table, InputFolder(folder)).collect()


def column(folder: Path, *cells: str, **settings: Any) -> list[Any]:
    """Return how the program reads these cells of one column."""
    rows = "".join(f"{number};{cell}\n" for number, cell in enumerate(cells))
    return read(folder, f"item_id;value\n{rows}", separator=";", **settings)["value"].to_list()


@pytest.mark.parametrize(
    ("last", "expected"),
    [("12.5", pl.Float64), ("C510001", pl.String), ("7", pl.Int64), ("", pl.Int64), ('" "', pl.Int64)],
)
def test_the_type_of_a_column_fits_its_last_cell_too(tmp_path: Path, last: str, expected: Any) -> None:
    rows = "".join(f"{number},{number % 50}\n" for number in range(10_001))
    frame = read(tmp_path, f"item_id,price\n{rows}x,{last}\n")
    assert frame.schema["price"] == expected
    assert len(frame) == 10_002


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("1", "2"), [1, 2]),
        (("007", "7"), [7, 7]),
        (("1.5", "2"), [1.5, 2.0]),
        ((" 1.5", "2 "), [1.5, 2.0]),
        (("5%", "12.5 %"), [5.0, 12.5]),
        (("5%", "5"), ["5%", "5"]),
        (("1e3", "-2"), [1000.0, -2.0]),
        (("true", "FALSE"), [True, False]),
        (("true", "1"), ["true", "1"]),
        (("1,5", "2"), ["1,5", "2"]),
        (("", ""), [None, None]),
        (("9223372036854775808", "1"), [2.0**63, 1.0]),
    ],
)
def test_what_cells_are(tmp_path: Path, cells: tuple[str, ...], expected: list[Any]) -> None:
    assert column(tmp_path, *cells) == expected


@pytest.mark.parametrize(
    ("settings", "cells", "expected"),
    [
        ({"decimal": ","}, ("12,50", "3"), [12.5, 3.0]),
        ({"decimal": ","}, ("12,50", "3.25"), ["12,50", "3.25"]),
        ({"decimal": ",", "thousands": "."}, ("1.234,5", "12"), [1234.5, 12.0]),
        ({"decimal": ",", "thousands": "."}, ("1.23,5", "12"), ["1.23,5", "12"]),
        ({"thousands": ","}, ("1,234", "1,234,567"), [1234, 1234567]),
        ({"thousands": ","}, ("1,23", "4"), ["1,23", "4"]),
        (
            {"decimal": ",", "thousands": " "},
            ("1 234,5", "1\u00a0234", "1\u202f234"),
            [1234.5, 1234.0, 1234.0],
        ),
        ({"thousands": "'"}, ("1'234.5", "-1"), [1234.5, -1.0]),
        ({"decimal": ","}, ("5,5 %", "1%"), [5.5, 1.0]),
    ],
)
def test_styles_of_numbers(
    tmp_path: Path, settings: dict[str, str], cells: tuple[str, ...], expected: list[Any]
) -> None:
    assert column(tmp_path, *cells, **settings) == expected


def test_both_signs_cannot_be_the_same() -> None:
    with pytest.raises(ValueError, match="must differ"):
        FeatureTableSettings(decimal=",", thousands=",")


def test_ids_categories_and_times_with_a_format_stay_text(tmp_path: Path) -> None:
    frame = read(tmp_path, "item_id,maker,size\n007,08,09\n", category_features=["maker"])
    assert frame.row(0) == ("007", "08", 9)
    (tmp_path / "events.csv").write_text("user_id,item_id,timestamp\n1,2,01022024\n")
    table = InteractionsSettings(path="events.csv", timestamp_format="%d%m%Y")
    assert scan_source(table, InputFolder(tmp_path)).collect().row(0) == ("1", "2", "01022024")


def test_stray_spaces_are_removed_from_names_and_values(tmp_path: Path) -> None:
    frame = read(tmp_path, "item_id, colour , price\n 7 , red ,  \n8,red, 2\n", strip_spaces=True)
    assert frame.to_dict(as_series=False) == {
        "item_id": ["7", "8"],
        "colour": ["red", "red"],
        "price": [None, 2],
    }


def test_files_of_a_folder_join_by_the_names_of_their_columns(tmp_path: Path) -> None:
    (tmp_path / "table").mkdir()
    (tmp_path / "table/a.csv").write_text("item_id,price\n1,5\n")
    (tmp_path / "table/b.csv").write_text("price,item_id,colour\n7.5,2,red\n")
    frame = scan_source(FeatureTableSettings(path="table"), InputFolder(tmp_path)).collect()
    assert frame.rows() == [("1", 5.0, None), ("2", 7.5, "red")]


@pytest.mark.parametrize(
    ("cells", "style", "other"),
    [
        (["1.5", "2"], NumberStyle(), None),
        (["12,5", "3"], COMMA, None),
        (["1.234,5", "12,25"], DOTS, None),
        (["1,234", "2,345"], NumberStyle(".", ","), COMMA),
        (["1,234.5", "12"], NumberStyle(".", ","), None),
        (["1 234,50", "7"], NumberStyle(",", " "), None),
        (["1,5,7", "2"], NumberStyle(), None),
        (["red", "blue"], NumberStyle(), None),
    ],
)
def test_the_style_is_guessed_with_its_doubt(
    cells: list[str], style: NumberStyle, other: NumberStyle | None
) -> None:
    assert guess_style(pl.DataFrame({"value": cells})) == (style, other)


def test_a_hint_names_the_setting_that_helps() -> None:
    hint = style_hint(pl.Series(["12,50", "3,25", None]), NumberStyle())
    assert hint is not None
    assert (hint.what, hint.fix) == (
        "its values are numbers such as '12,50'",
        'set `decimal = ","` of the table in settings/settings.toml',
    )
    faulty = style_hint(pl.Series([*map(str, range(19)), "n/a"]), NumberStyle())
    assert faulty is not None and faulty.what == "1 of 20 values are no numbers: 'n/a'"
    assert style_hint(pl.Series(["red", "blue"]), NumberStyle()) is None
    assert style_hint(pl.Series([None, ""], dtype=pl.String), NumberStyle()) is None


def test_a_price_that_is_read_as_text_is_a_warning_until_the_setting_is_there(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,item_id,timestamp\nu,1,2026-01-01\n")
    (tmp_path / "items.csv").write_text("item_id;price\n1;12,50\n2;3,99\n")
    items = {"path": "items.csv", "separator": ";", "features": ["price"]}
    for decimal, severities in ((".", ["warning"]), (",", [])):
        data = DataSettings.model_validate(
            {"interactions": {"path": "events.csv"}, "items": items | {"decimal": decimal}}
        )
        tables, problems = inspect_tables(data, InputFolder(tmp_path), date(2026, 2, 1), "UTC")
        assert [problem.severity for problem in problems] == severities
        assert tables is not None
    assert tables.items["price"].to_list() == [12.5, pytest.approx(3.99)]


def test_no_cast_is_offered_for_a_column_that_differs_after_the_head() -> None:
    cells = pl.LazyFrame({"a": ["1"] * 10_001 + ["x"], "b": ["1"] * 10_001 + ["1.5"]})
    casts = fitting_casts(cells, NumberStyle())
    assert list(casts) == ["b"]


def test_a_line_with_more_cells_than_the_header_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="more fields"):
        read(tmp_path, "item_id,price\n1,2\n1,2,3\n")


@pytest.mark.parametrize("row", ["", "1,2,2026-01-01,\n"])
def test_a_weight_without_values_is_still_a_number(tmp_path: Path, row: str) -> None:
    (tmp_path / "events.csv").write_text(f"user_id,item_id,timestamp,weight\n{row}")
    table = InteractionsSettings(path="events.csv", columns={"weight": "weight"})
    assert scan_source(table, InputFolder(tmp_path)).collect_schema()["weight"] == pl.Float64

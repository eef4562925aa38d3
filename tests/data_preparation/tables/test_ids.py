"""Ids as other programs write them."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys_cli.configs.data_sections import DataSettings
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.contract import inspect_tables
from recsys_cli.data_preparation.tables.ids import cast_ids, id_problems


def read(ids: pl.Series, id_type: Any = "auto") -> tuple[list[Any], list[str]]:
    """Return the ids as the program keeps them, and what it says."""
    frame = ids.rename("item_id").to_frame()
    cast, problems = cast_ids(frame, "item_id", id_type, "items")
    said = id_problems(frame, "items", "item_id") + problems
    return cast["item_id"].to_list(), [f"{one.severity}: {one.what}" for one in said]


@pytest.mark.parametrize(
    ("ids", "id_type", "expected"),
    [
        (pl.Series([12644.0, 7.0]), "auto", [12644, 7]),
        (pl.Series([12644.0, -7.0]), "integer", [12644, -7]),
        (pl.Series([12644.0, 7.0]), "text", ["12644", "7"]),
        (pl.Series([7.0], dtype=pl.Float32), "auto", [7]),
        (pl.Series(["12644.0", "7"]), "integer", [12644, 7]),
        (pl.Series(["007", "7.50"]), "auto", ["007", "7.50"]),
        (pl.Series([2**63 - 1]), "integer", [2**63 - 1]),
    ],
)
def test_whole_floats_are_integers(ids: pl.Series, id_type: str, expected: list[Any]) -> None:
    assert read(ids, id_type) == (expected, [])


@pytest.mark.parametrize("wrong", [1.5, 2.0**53 * 2, float("inf")])
def test_other_floats_are_refused(wrong: float) -> None:
    said = read(pl.Series([1.0, wrong]))[1]
    assert said == [f"error: 1 values of item_id are no whole numbers up to 2^53: {wrong!r}"]


def test_a_float_that_is_no_number_is_a_missing_id() -> None:
    assert read(pl.Series([1.0, float("nan"), None]))[1] == ["error: 2 of 3 rows have no item_id"]


def test_text_that_may_be_other_ids_is_a_warning() -> None:
    assert read(pl.Series(["12644.0", "x"])) == (
        ["12644.0", "x"],
        ["warning: 1 values of item_id look like integers written as floats: '12644.0'"],
    )
    assert read(pl.Series([" 7", "7"]))[1] == ["warning: 1 values of item_id have spaces around them: ' 7'"]
    assert read(pl.Series(["7a.0b", "a 7"]))[1] == []


def test_a_float_in_one_table_and_an_integer_in_another_are_one_item(tmp_path: Path) -> None:
    events = pl.DataFrame({"user_id": ["u", "v"], "item_id": [7.0, 8.0], "timestamp": [date(2026, 1, 1)] * 2})
    events.write_parquet(tmp_path / "events.parquet")
    pl.DataFrame({"item_id": [7, 8], "price": [1.0, 2.0]}).write_parquet(tmp_path / "items.parquet")
    data = DataSettings.model_validate(
        {
            "interactions": {"path": "events.parquet"},
            "items": {"path": "items.parquet", "features": ["price"]},
        }
    )
    tables, problems = inspect_tables(data, InputFolder(tmp_path), date(2026, 2, 1), "UTC")
    assert tables is not None and not problems
    assert tables.items.select("item_id", "price").rows() == [(7, 1.0), (8, 2.0)]

"""Columns and features by SQL, and what nulls mean in the conditions of the settings."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from recsys_cli.configs.data_sections import DataSettings
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.contract import Tables, inspect_tables
from recsys_cli.utils.errors import SettingsError

DAY = date(2026, 11, 1)
ITEMS = """item_id,brand,name,price,cost,until
1,Ada,Cup,5.0,2.0,2026-12
2,Bo,Pan,9.0,4.0,2026-10
3,,Pot,7.0,,2026-11
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "events.csv").write_text("user_id,item_id,timestamp\n7,1,2026-10-01\n7,2,2026-10-02\n")
    (tmp_path / "items.csv").write_text(ITEMS)
    return tmp_path


def read(folder: Path, exclude: str = "", **tables: Any) -> tuple[Tables, list[str]]:
    """Return the tables, and their problems, none of which is an error."""
    settings = DataSettings.model_validate({"interactions": {"path": "events.csv"}, **tables})
    found, problems = inspect_tables(settings, InputFolder(folder), DAY, "UTC", exclude)
    assert found is not None, problems
    return found, [problem.what for problem in problems]


def items_of(folder: Path, **settings: Any) -> dict[str, list[Any]]:
    return read(folder, items={"path": "items.csv", **settings})[0].items.to_dict(as_series=False)


def test_columns_of_items_by_sql(folder: Path) -> None:
    columns = {"title": "concat(brand, ' ', name)", "available_until": "concat(until, '-15')"}
    items = items_of(folder, columns=columns)
    assert items["title"] == ["Ada Cup", "Bo Pan", " Pot"]
    assert items["available_until"] == [date(2026, 12, 15), date(2026, 10, 15), date(2026, 11, 15)]


def test_features_by_sql_stand_behind_the_others(folder: Path) -> None:
    expressions = {"margin": "price - cost", "dear": "price > 6", "maker": "COALESCE(brand, 'none')"}
    items = items_of(folder, features=["price"], feature_expressions=expressions)
    assert list(items)[-4:] == ["price", "margin", "dear", "maker"]
    assert (items["margin"], items["dear"]) == ([3.0, 5.0, None], [0.0, 1.0, 1.0])
    assert items["maker"] == ["Ada", "Bo", "none"]


def test_a_number_by_sql_may_be_a_category(folder: Path) -> None:
    items = items_of(folder, feature_expressions={"band": "price // 4"}, category_features=["band"])
    assert items["band"] == ["1", "2", "1"]


def test_features_of_users_by_sql(folder: Path) -> None:
    (folder / "users.csv").write_text("user_id,born\n7,1996\n")
    users = {"path": "users.csv", "feature_expressions": {"age": "2026 - born"}}
    assert read(folder, users=users)[0].users["age"].to_list() == [30.0]


def test_ids_and_times_of_events_by_sql(folder: Path) -> None:
    """What is in an id's expression is text in CSV: 007 stays 007."""
    (folder / "events.csv").write_text("shop,customer,item_id,day,clock\n1,007,1,2026-10-01,09:30\n")
    columns = {"user_id": "concat(shop, '-', customer)", "timestamp": "concat(day, ' ', clock)"}
    tables, _ = read(folder, interactions={"path": "events.csv", "columns": columns})
    assert tables.users["user_id"].to_list() == ["1-007"]
    assert str(tables.events["timestamp"][0]) == "2026-10-01 09:30:00"


@pytest.mark.parametrize(
    ("settings", "where", "what"),
    [
        (
            {"feature_expressions": {"margin": "price - costs"}},
            "data.items.feature_expressions.margin",
            "costs",
        ),
        ({"columns": {"title": "concat(brands, name)"}}, "data.items.columns.title", "brands"),
    ],
)
def test_an_expression_over_a_missing_column_names_the_setting(
    folder: Path, settings: dict[str, Any], where: str, what: str
) -> None:
    with pytest.raises(
        SettingsError, match=f"uses the column '{what}', which is missing; did you mean"
    ) as error:
        items_of(folder, **settings)
    assert error.value.where == where


@pytest.mark.parametrize(
    "text", ["read_csv('/etc/passwd')", "(SELECT 1)", "", "CURRENT_DATE", "price + " * 300 + "1"]
)
def test_what_is_not_allowed_is_refused_when_the_settings_are_read(text: str) -> None:
    with pytest.raises(ValidationError):
        DataSettings.model_validate({"items": {"path": "items.csv", "feature_expressions": {"bad": text}}})


def test_a_name_may_be_declared_once(folder: Path) -> None:
    settings = {"path": "items.csv", "features": ["price"], "feature_expressions": {"price": "price * 2"}}
    data = DataSettings.model_validate({"interactions": {"path": "events.csv"}, "items": settings})
    tables, problems = inspect_tables(data, InputFolder(folder), DAY, "UTC")
    assert tables is None and [one.what for one in problems] == ["feature 'price' is declared twice"]


def test_an_item_whose_exclusion_is_unknown_is_not_excluded_and_told_of(folder: Path) -> None:
    tables, problems = read(folder, exclude="cost > 3", items={"path": "items.csv"})
    assert tables.items["excluded"].to_list() == [False, True, False]
    assert problems == [
        "the condition 'cost > 3' is unknown for 1 of 3 items, because values are missing: "
        "they are not excluded"
    ]


def test_a_row_whose_filter_is_unknown_is_dropped_and_told_of(folder: Path) -> None:
    tables, problems = read(folder, items={"path": "items.csv", "filter": "cost < 3"})
    assert tables.items.filter(pl.col("excluded").is_not_null())["item_id"].to_list() == ["1"]
    assert problems[0] == (
        "the filter 'cost < 3' is unknown for 1 rows, because values are missing: they are dropped"
    )


def test_events_of_the_day_are_not_counted_among_the_unknown(folder: Path) -> None:
    rows = "7,1,2026-10-01,\n7,2,2026-10-02,5\n7,3,2026-11-01,\n"
    (folder / "events.csv").write_text(f"user_id,item_id,timestamp,secs\n{rows}")
    tables, problems = read(folder, interactions={"path": "events.csv", "filter": "secs > 3"})
    assert len(tables.events) == 1
    assert problems == [
        "the filter 'secs > 3' is unknown for 1 rows, because values are missing: they are dropped"
    ]


def test_a_condition_may_use_the_key_of_a_folder(folder: Path) -> None:
    for shop in ("north", "south"):
        to = folder / f"stock/shop={shop}"
        to.mkdir(parents=True)
        (to / "a.csv").write_text(f"item_id\n{1 if shop == 'north' else 2}\n")
    tables, _ = read(folder, exclude="shop = 'south'", items={"path": "stock"})
    assert tables.items["excluded"].to_list() == [False, True]


@pytest.mark.parametrize("condition", ["COALESCE(cost, 9) > 3", "cost IS NULL OR cost > 3"])
def test_a_condition_that_says_what_null_means_is_told_of_by_nobody(folder: Path, condition: str) -> None:
    tables, problems = read(folder, exclude=condition, items={"path": "items.csv"})
    assert tables.items["excluded"].to_list() == [False, True, True]
    assert not problems

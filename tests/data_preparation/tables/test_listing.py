"""What is not in the items table: evidence, but in no list."""

from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from recsys_cli.configs.data_sections import DataSettings
from recsys_cli.configs.sections import FeaturesSettings
from recsys_cli.data_preparation.features.day_features import build_features
from recsys_cli.data_preparation.features.eligibility import eligibility_problems
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.contract import Tables, inspect_tables

DAY = date(2026, 11, 1)
EVENTS = "user_id,item_id,timestamp\nann,old,2026-10-01\nann,tea,2026-10-02\nbob,old,2026-10-03\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Old was bought twice and is no longer listed; new is listed and was never bought."""
    (tmp_path / "events.csv").write_text(EVENTS)
    (tmp_path / "items.csv").write_text("item_id,price\nnew,1\ntea,2\n")
    return tmp_path


def read(folder: Path, **items: Any) -> tuple[Tables, list[str]]:
    data = {"interactions": {"path": "events.csv"}, "items": items}
    tables, problems = inspect_tables(DataSettings.model_validate(data), InputFolder(folder), DAY, "UTC")
    assert tables is not None
    return tables, [problem.what for problem in problems]


def eligible(tables: Tables) -> list[str]:
    items = build_features(tables, FeaturesSettings()).items
    return items.filter("eligible")["item_id"].to_list()


def test_an_item_that_is_not_in_the_table_is_evidence_but_not_recommended(folder: Path) -> None:
    tables, problems = read(folder, path="items.csv")
    assert tables.items["item_id"].to_list() == ["new", "old", "tea"]
    assert eligible(tables) == ["new", "tea"]
    assert len(tables.events) == 3
    told = "1 item_ids of the events, 66.7% of the events, are not in the table: they are not recommended"
    assert problems == [told]


def test_a_row_that_the_filter_drops_is_not_listed(folder: Path) -> None:
    assert eligible(read(folder, path="items.csv", filter="price > 1")[0]) == ["tea"]


def test_every_item_may_be_recommended_where_the_setting_says_so(folder: Path) -> None:
    tables, problems = read(folder, path="items.csv", only_listed=False)
    assert eligible(tables) == ["new", "old", "tea"]
    assert problems == ["1 item_ids of the events, 66.7% of the events, are not in the table"]


def test_without_an_items_table_every_item_may_be_recommended(folder: Path) -> None:
    tables, problems = read(folder)
    assert (eligible(tables), problems) == (["old", "tea"], [])


@pytest.mark.parametrize("only_listed", [True, False])
def test_a_table_with_every_item_gives_the_features_of_before(folder: Path, only_listed: bool) -> None:
    """No column tells of the listing where there is nothing to tell."""
    (folder / "items.csv").write_text("item_id,price\nnew,1\nold,3\ntea,2\n")
    tables, problems = read(folder, path="items.csv", only_listed=only_listed, features=["price"])
    assert not problems
    contract = ["item_id", "title", "available_from", "available_until", "excluded", "price"]
    assert tables.items.columns == contract


def test_that_none_is_listed_is_an_error(folder: Path) -> None:
    (folder / "items.csv").write_text("item_id,price\n")
    tables, _ = read(folder, path="items.csv")
    (problem,) = eligibility_problems(tables.items, DAY, "items.csv")
    assert problem.severity == "error" and "not in the items table" in problem.what


def test_ids_of_another_type_are_listed_by_their_text(tmp_path: Path) -> None:
    (tmp_path / "events.csv").write_text("user_id,item_id,timestamp\nann,7,2026-10-01\nann,8,2026-10-01\n")
    pl.DataFrame({"item_id": [7, 9]}).write_parquet(tmp_path / "items.parquet")
    assert eligible(read(tmp_path, path="items.parquet")[0]) == ["7", "9"]

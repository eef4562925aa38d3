"""Items as a table a day: each date sees the newest snapshot before it."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recsys_cli.configs.data_sections import DataSettings
from recsys_cli.configs.sections import FeaturesSettings, Settings
from recsys_cli.data_preparation.features.day_features import build_features
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.contract import Tables, inspect_tables
from recsys_cli.data_preparation.tables.past_entities import with_past_entities
from recsys_cli.models.candidates.stage import fit_encoders
from recsys_cli.models.training.label_window import TrainingTables
from recsys_cli.utils.errors import InputError

DAY, CUT = date(2026, 11, 10), date(2026, 11, 3)
PRICES = {
    "2026-11-01": {"cup": 1.0, "pan": 5.0},
    "2026-11-02": {"cup": 2.0, "pan": 5.0},  # what was known on the morning of the 3rd
    "2026-11-03": {"cup": 9.0, "pot": 7.0},
    "2026-11-09": {"cup": 3.0, "pot": 8.0},  # what is known on the morning of the 10th
    "2026-11-10": {"cup": 99.0, "lid": 1.0},
}


def write(folder: Path, day: str, prices: dict[str, float], key: str = "date") -> None:
    to = folder / f"items/{key}={day}"
    to.mkdir(parents=True, exist_ok=True)
    pl.DataFrame({"item_id": list(prices), "price": list(prices.values())}).write_parquet(to / "part.parquet")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    events = "ann,cup,2026-10-01\nann,pan,2026-10-02\nbob,pot,2026-11-05\n"
    (tmp_path / "events.csv").write_text(f"user_id,item_id,timestamp\n{events}")
    for day, prices in PRICES.items():
        write(tmp_path, day, prices)
    return tmp_path


def settings_of(**items: Any) -> DataSettings:
    table = {"path": "items", "features": ["price"], "snapshots": True, **items}
    return DataSettings.model_validate({"interactions": {"path": "events.csv"}, "items": table})


def read(folder: Path, day: date = DAY, **items: Any) -> Tables:
    data = settings_of(**items)
    tables, problems = inspect_tables(data, InputFolder(folder), day, "UTC")
    assert tables is not None, problems
    return with_past_entities(tables, data, InputFolder(folder), [CUT, day])


def prices_of(tables: Tables) -> dict[str, float | None]:
    return dict(tables.items.select("item_id", "price").iter_rows())


def eligible(tables: Tables) -> list[str]:
    return build_features(tables, FeaturesSettings()).items.filter("eligible")["item_id"].to_list()


def test_prices_and_listing_are_those_of_the_day(folder: Path) -> None:
    """On the 3rd pan was sold and pot was not; what its own snapshot says is not known in the morning."""
    tables = read(folder)
    assert (prices_of(tables), eligible(tables)) == ({"cup": 3.0, "pan": None, "pot": 8.0}, ["cup", "pot"])
    past = tables.as_of(CUT)
    assert (prices_of(past), eligible(past)) == ({"cup": 2.0, "pan": 5.0, "pot": None}, ["cup", "pan"])


def test_nothing_of_a_later_snapshot_reaches_an_earlier_day(folder: Path) -> None:
    before = build_features(read(folder).as_of(CUT), FeaturesSettings())
    for day in ("2026-11-03", "2026-11-09", "2026-11-10"):
        write(folder, day, {"cup": 1000.0, "pan": 1000.0, "pot": 1000.0})
    after = build_features(read(folder).as_of(CUT), FeaturesSettings())
    assert_frame_equal(after.items, before.items, check_exact=True)
    assert_frame_equal(after.users, before.users, check_exact=True)


def test_an_earlier_day_alone_has_the_same_items(folder: Path) -> None:
    """A label window of today's training sees what scoring saw then."""
    alone = read(folder, CUT)
    past = {name: price for name, price in prices_of(read(folder).as_of(CUT)).items() if price is not None}
    assert prices_of(alone) == past == {"cup": 2.0, "pan": 5.0}


def test_all_days_of_a_training_share_the_vocabulary_of_its_own_day(folder: Path) -> None:
    tables = read(folder, category_features=["price"])
    now, then = fit_encoders(tables, 200), fit_encoders(tables.as_of(CUT), 200)
    assert now.items == then.items and now.items.values == {"price": ("3", "8")}
    trained_then = TrainingTables.of(tables.as_of(CUT), Settings()).everybody
    assert fit_encoders(trained_then, 200).items.values == {"price": ("2", "5")}


@pytest.mark.parametrize("column", ["date", "day", "as_of", "concat('2026-', month_day)"])
def test_the_day_may_stand_in_a_column(folder: Path, column: str) -> None:
    rows = [(day, item, price) for day, prices in PRICES.items() for item, price in prices.items()]
    name = "month_day" if "concat" in column else column
    frame = pl.DataFrame(rows, schema=[name, "item_id", "price"], orient="row")
    if name == "month_day":
        frame = frame.with_columns(pl.col(name).str.slice(5))
    frame.write_csv(folder / "items.csv")
    columns = {} if column in ("date", "day") else {"snapshot_day": column}
    tables = read(folder, path="items.csv", columns=columns)
    assert prices_of(tables) == {"cup": 3.0, "pan": None, "pot": 8.0}
    assert prices_of(tables.as_of(CUT)) == {"cup": 2.0, "pan": 5.0, "pot": None}


def test_folders_may_be_named_by_a_number_and_another_key(tmp_path: Path, folder: Path) -> None:
    for day, prices in PRICES.items():
        write(tmp_path / "more", day.replace("-", ""), prices, key="ds")
    tables = read(folder, path="more/items", columns={"snapshot_day": "ds"})
    assert prices_of(tables) == {"cup": 3.0, "pan": None, "pot": 8.0}


def test_users_a_day(folder: Path) -> None:
    (folder / "users.csv").write_text("date,user_id,tier\n2026-11-02,ann,1\n2026-11-09,ann,2\n")
    data = settings_of().model_dump() | {
        "users": {"path": "users.csv", "features": ["tier"], "snapshots": True}
    }
    settings = DataSettings.model_validate(data)
    tables, _ = inspect_tables(settings, InputFolder(folder), DAY, "UTC")
    assert tables is not None
    tables = with_past_entities(tables, settings, InputFolder(folder), [CUT])
    assert [one.users["tier"][0] for one in (tables, tables.as_of(CUT))] == [2.0, 1.0]
    assert tables.as_of(CUT).of_users(pl.Series([0], dtype=pl.UInt32).to_numpy()).users["tier"].to_list() == [
        1.0
    ]


def test_an_old_snapshot_stops_scoring_and_is_a_warning_in_training(folder: Path) -> None:
    late = DAY + timedelta(days=7)
    assert inspect_tables(settings_of(), InputFolder(folder), late, "UTC")[0] is not None
    tables, problems = inspect_tables(settings_of(max_snapshot_age_days=4), InputFolder(folder), late, "UTC")
    told = "the newest snapshot before 2026-11-17 is that of 2026-11-10, 7 days before; 4 are allowed"
    assert tables is None and [one.what for one in problems if one.severity == "error"] == [told]
    old = date(2026, 11, 8)  # the newest before it is that of the 3rd
    known = with_past_entities(read(folder), settings_of(max_snapshot_age_days=4), InputFolder(folder), [old])
    assert prices_of(known.as_of(old))["cup"] == 9.0


def test_a_training_before_the_first_snapshot_is_refused_with_the_way_out(folder: Path) -> None:
    data = settings_of()
    tables, _ = inspect_tables(data, InputFolder(folder), DAY, "UTC")
    assert tables is not None
    with pytest.raises(
        InputError, match="as of 2026-11-01: there is no snapshot of a day before 2026-11-01"
    ) as error:
        with_past_entities(tables, data, InputFolder(folder), [date(2026, 11, 1), CUT])
    assert "snapshots = false" in str(error.value.fix)


def test_a_table_without_days_is_refused(folder: Path) -> None:
    (folder / "items.csv").write_text("item_id,price\ncup,1\n")
    _, problems = inspect_tables(settings_of(path="items.csv"), InputFolder(folder), DAY, "UTC")
    assert "no folder key and no column date or day" in problems[0].what
    assert "columns.snapshot_day" in problems[0].fix


def test_a_folder_that_names_no_day_is_refused(folder: Path) -> None:
    write(folder, "latest", {"cup": 1.0})
    _, problems = inspect_tables(settings_of(), InputFolder(folder), DAY, "UTC")
    assert problems[0].what == "the folder date=latest names no day"

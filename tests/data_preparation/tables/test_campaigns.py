"""Campaign tables: what runs on a day, with the ids of the day's users and items."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.campaigns import (
    CampaignIds,
    Campaigns,
    campaign_files,
    campaigns_key,
    inspect_campaigns,
)
from recsys_cli.data_preparation.tables.problems import raise_or_warn
from recsys_cli.utils.errors import InputError

DAY = date(2026, 7, 1)
IDS = CampaignIds(pl.Series("user_id", [1, 2, 3]), pl.Series("item_id", ["007", "a", "b"]))


def read_campaigns(
    paths: list[str], inputs: InputFolder, day: date, timezone: str, ids: CampaignIds
) -> Campaigns:
    campaigns, problems = inspect_campaigns(paths, inputs, day, timezone, ids)
    raise_or_warn(problems)
    return campaigns


def read(folder: Path, text: str, ids: CampaignIds = IDS) -> list[tuple[object, ...]]:
    (folder / "campaign.csv").write_text(text)
    return read_campaigns(["campaign.csv"], InputFolder(folder), DAY, "UTC", ids)["campaign.csv"].rows()


def problems_of(folder: Path, text: str) -> list[tuple[str, str]]:
    (folder / "campaign.csv").write_text(text)
    _, problems = inspect_campaigns(["campaign.csv"], InputFolder(folder), DAY, "UTC", IDS)
    return [(problem.severity, problem.what) for problem in problems]


def test_items_for_everybody_keep_their_ids(tmp_path: Path) -> None:
    assert read(tmp_path, "item_id\n007\na\na\n") == [("007",), ("a",)]


def test_only_rows_of_the_day_run_both_days_included(tmp_path: Path) -> None:
    text = """item_id,user_id,from,until
007,1,2026-06-01,2026-07-01
a,1,2026-07-01,
b,1,2026-07-02,2026-08-01
b,2,,2026-06-30
b,3,,
"""
    assert read(tmp_path, text) == [(1, "007"), (1, "a"), (3, "b")]


def test_a_parquet_table_of_instants_counts_their_local_days(tmp_path: Path) -> None:
    late = pl.Series("from", ["2026-06-30 22:30:00"]).str.to_datetime(time_zone="UTC")
    pl.DataFrame([pl.Series("item_id", ["a"]), late]).write_parquet(tmp_path / "c.parquet")
    inputs, june = InputFolder(tmp_path), date(2026, 6, 30)
    assert read_campaigns(["c.parquet"], inputs, june, "UTC", IDS)["c.parquet"].rows() == [("a",)]
    assert read_campaigns(["c.parquet"], inputs, june, "Europe/Berlin", IDS)["c.parquet"].rows() == []


def test_whole_numbers_fit_integer_ids(tmp_path: Path) -> None:
    ids = CampaignIds(IDS.users, pl.Series("item_id", [5, 7]))
    pl.DataFrame({"item_id": [7.0, 5.0]}).write_parquet(tmp_path / "c.parquet")
    found = read_campaigns(["c.parquet"], InputFolder(tmp_path), DAY, "UTC", ids)["c.parquet"]
    assert found.rows() == [(5,), (7,)] and found.schema["item_id"] == pl.Int64


@pytest.mark.parametrize(
    ("text", "severity", "what"),
    [
        ("item,user_id\na,1\n", "error", "column 'item_id' is missing"),
        ("item_id,user_id\na,1\nzz,1\nzz,9\n", "warning", "2 of 3 rows are left out: 1 user_ids and 1 item"),
        ("item_id,user_id\na,\n", "error", "1 of 1 rows have no user_id (rows 1)"),
        ("item_id,user_id\na,x\n", "error", "1 values of user_id are not plain 64-bit integers: 'x'"),
        ("item_id,from\na,soon\nb,2026-01-01\n", "error", "1 of 2 values of from are not days"),
        ("item_id,until\na,20260101\n", "error", "the column 'until' holds Int64, not days"),
        ("item_id,from,until\na,2026-08-01,2026-07-01\n", "warning", "1 of 1 rows end before they begin"),
        ("item_id,until\na,2026-01-01\n", "warning", "no row of the campaign runs on 2026-07-01"),
    ],
)
def test_what_is_wrong_is_said_with_counts(tmp_path: Path, text: str, severity: str, what: str) -> None:
    found = problems_of(tmp_path, text)
    assert any(one == severity and what in message for one, message in found), found


def test_all_problems_of_all_campaigns_come_together(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("item\na\n")
    with pytest.raises(InputError, match="(?s)2 problems.*one.csv.*missing.*gone.csv.*no such file"):
        read_campaigns(["one.csv", "gone.csv"], InputFolder(tmp_path), DAY, "UTC", IDS)


def test_the_key_is_that_of_the_contents(tmp_path: Path) -> None:
    file, inputs = tmp_path / "campaign.csv", InputFolder(tmp_path)
    file.write_text("item_id\na\n")
    before = campaigns_key(["campaign.csv"], inputs)
    assert campaign_files(["campaign.csv"], inputs) == {"campaign.csv": [file]}
    file.write_text("item_id\nb\n")
    assert campaigns_key(["campaign.csv"], inputs) != before
    file.write_text("item_id\na\n")
    assert campaigns_key(["campaign.csv"], inputs) == before
    assert campaigns_key([], inputs) == ""

"""A night on items that are a table a day."""

import json
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.cli.exit_status import ExitCode

DAY = date(2026, 3, 2)


@pytest.fixture
def nightly(workspace: Path) -> Path:
    """The workspace of 60 users and 40 items, with a snapshot of the items for each day up to its date."""
    items = pl.read_parquet(workspace / "data/items.parquet")
    for back in range(25):
        day = DAY - timedelta(days=back)
        folder = workspace / f"data/items/date={day}"
        folder.mkdir(parents=True)
        listed = items.filter(pl.col("item_id") != 100 + back)  # an item is sold out on each day
        listed.with_columns(pl.col("price") + back).write_parquet(folder / "items.parquet")
    settings = workspace / "settings/settings.toml"
    text = settings.read_text().replace(
        'path = "data/items.parquet"', 'path = "data/items"\nsnapshots = true'
    )
    settings.write_text(text)
    return workspace


def run(workspace: Path, *args: str) -> int:
    return main(["-q", "-C", str(workspace), *args])


def test_training_and_scoring_see_the_items_of_their_days(
    nightly: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Training checks itself that nothing made before a label window depends on what came later."""
    assert run(nightly, "train", "--date", str(DAY), "--no-promote") == ExitCode.OK
    newest = max(folder.name for folder in (nightly / "models").glob("2026-*"))
    assert run(nightly, "models", "promote", newest, "--force") == ExitCode.OK
    assert run(nightly, "score", "--date", str(DAY)) == ExitCode.OK
    lists = pl.read_parquet(nightly / f"recommendations/date={DAY}/recommendations.parquet")
    items = pl.read_parquet(nightly / f"features/date={DAY}/items.parquet")
    source = pl.read_parquet(nightly / "data/items.parquet")
    assert 101 not in lists["item_id"] and 100 in lists["item_id"]  # of the day before, not of the day itself
    assert items.filter(item_id=102)["price"].item() == pytest.approx(
        source.filter(item_id=102)["price"].item() + 1, rel=1e-6
    )
    capsys.readouterr()
    user = lists["user_id"][0]
    run(nightly, "--json", "explain", str(user), "--date", str(DAY), "--item", "101")
    item = json.loads(capsys.readouterr().out)["item"]
    assert "not listed" in item["blocked_by"]


def test_a_night_without_a_new_enough_snapshot_publishes_nothing(nightly: Path) -> None:
    for folder in sorted((nightly / "data/items").iterdir())[-9:]:
        (folder / "items.parquet").unlink()
    before = (nightly / f"recommendations/date={DAY}/recommendations.parquet").read_bytes()
    assert run(nightly, "score", "--date", str(DAY), "--force") == ExitCode.INPUT
    assert (nightly / f"recommendations/date={DAY}/recommendations.parquet").read_bytes() == before

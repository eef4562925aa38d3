"""Columns that rules may use and the ranker does not see: they need no training, and are checked."""

from pathlib import Path

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

DAY = "2026-03-04"
COLUMNS = """
[default.data.items]
rule_columns = ["stock", "delisted_on"]
[default.data.users]
rule_columns = ["segment"]
"""
LOOSE = """
[default.gates]
max_fallback_rows = 1
min_full_lists = 0
min_overlap = 0
"""
RULES = """
[[default.rules]]
name = "in stock"
items = "stock = 0"
block = true
[[default.rules]]
name = "gone by then"
items = "delisted_on <= '2026-03-04'::date"
block = true
[[default.rules]]
name = "no news for staff"
when = "segment = 'staff'"
items = "genre = 'news'"
block = true
[[default.rules]]
name = "pieces"
quota = { at_most_lists = "stock" }
"""


@pytest.fixture
def shop(workspace: Path) -> Path:
    """The scored workspace, whose model has seen none of these columns."""
    items, users = (pl.read_parquet(workspace / f"data/{name}.parquet") for name in ("items", "users"))
    row = pl.int_range(pl.len())
    items.with_columns(
        stock=pl.when(row % 10 == 9).then(0).otherwise(12),
        delisted_on=pl.when(row % 8 == 3).then(pl.lit("2026-03-01")).str.to_date(),
    ).write_parquet(workspace / "data/items.parquet")
    users.with_columns(
        segment=pl.when(row % 2 == 0).then(pl.lit("staff")).otherwise(pl.lit("guest"))
    ).write_parquet(workspace / "data/users.parquet")
    (workspace / "settings/rules.toml").write_text(RULES)
    (workspace / "settings/settings.local.toml").write_text(COLUMNS + LOOSE)
    return workspace


def test_they_hold_for_a_model_that_has_never_seen_them(shop: Path) -> None:
    assert main(["-q", "-C", str(shop), "score", "--date", DAY, "--force", "--accept-inputs"]) == ExitCode.OK
    rows = pl.read_parquet(shop / f"recommendations/date={DAY}/recommendations.parquet")
    items, users = (pl.read_parquet(shop / f"data/{name}.parquet") for name in ("items", "users"))
    rows = rows.join(items, on="item_id").join(users, on="user_id", how="left")
    assert len(rows) and rows["stock"].min() == 12 and rows["delisted_on"].is_null().all()
    assert rows["item_id"].value_counts()["count"].max() <= 12
    news = rows.filter(genre="news")["segment"].value_counts()
    assert "staff" not in set(news["segment"]), "no member of staff gets news"


def test_what_is_wrong_with_them_is_said_by_check(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = COLUMNS.replace('"stock"', '"stok", "genre", "item_events"')
    (shop / "settings/settings.local.toml").write_text(wrong)
    assert main(["-C", str(shop), "check", "--date", DAY]) == ExitCode.CHECK
    told = " ".join(capsys.readouterr().out.split())
    assert "data.items.rule_columns: column 'stok' is missing" in told and "'stock'" in told
    assert "'genre' is there already" in told


def test_a_rule_that_names_another_column_says_where_to_put_it(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "settings/settings.local.toml").write_text(COLUMNS.replace('"stock", ', ""))
    assert main(["-C", str(shop), "score", "--date", DAY, "--accept-inputs"]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert "rule 1, in stock" in told and "data.items.rule_columns" in told

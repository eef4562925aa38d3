"""A retailer's views, carts, purchases and returns through the whole program."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

DAY, LATER = "2026-06-20", "2026-06-21"
LIGHT = """
[default.candidates.lightfm]
epochs = 2
no_components = 8
[default.ranker]
iterations = 30
learning_rate = 0.1
members = 1
label_windows = 2
"""
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def scored_retailer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("retailer")
    assert main(["-q", "init", str(root), "--preset", "shop", "--users", "300", "--items", "80"]) == 0
    with (root / "settings/settings.toml").open("a") as file:
        file.write(LIGHT)
    assert main(["-q", "-C", str(root), "train", "--date", DAY]) == 0
    assert main(["-q", "-C", str(root), "score", "--date", DAY]) == 0
    return root


@pytest.fixture
def retailer(scored_retailer: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(scored_retailer, tmp_path / "retailer"))


@pytest.fixture
def run(retailer: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def command(*args: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["-C", str(retailer), *args])
        return code, *capsys.readouterr()

    return command


def events_before(root: Path, day: str) -> pl.DataFrame:
    events = pl.read_parquet(root / "data/interactions.parquet")
    return events.filter(pl.col("timestamp") < pl.lit(day).str.to_datetime())


def test_what_was_bought_is_in_no_list_and_what_was_looked_at_may_be(scored_retailer: Path) -> None:
    lists = pl.read_parquet(scored_retailer / f"recommendations/date={DAY}/recommendations.parquet")
    events = events_before(scored_retailer, DAY)
    pairs = ["user_id", "item_id"]
    amounts = events.with_columns(
        pl.when(pl.col("kind") == "return").then(-pl.col("quantity")).otherwise("quantity").alias("amount")
    )
    kept = (
        amounts.filter(pl.col("kind").is_in(["purchase", "return"]))
        .group_by(pairs)
        .agg(pl.col("amount").sum())
    )

    bought = kept.filter(pl.col("amount") > 0)
    looked_at = events.filter(pl.col("kind") == "view").select(pairs).unique()

    assert lists.join(bought, on=pairs, how="semi").is_empty()
    assert len(lists.join(looked_at, on=pairs, how="semi")) > len(lists) / 10


def test_the_ranker_knows_each_type(scored_retailer: Path) -> None:
    (file,) = (scored_retailer / "models").glob("*/manifest.json")
    manifest = json.loads(file.read_text())
    columns = set(manifest["ranker"]["columns"])
    assert {"user_view_events_7d", "item_purchase_events_30d", "pair_cart_days_since_last"} <= columns
    assert {"pair_view_events", "pair_weight", "item_weight_7d", "user_purchase_share"} <= columns
    assert manifest["stage"]["events"]["types"]["view"]["weight"] == 0.1


@pytest.mark.parametrize(
    ("setting", "line"),
    [
        ("data.events.view.weight=0.2", "data.events.view.weight: trained with 0.1; now 0.2"),
        ("data.events.cart.ignore=true", "data.events.cart.weight: trained with 0.3; now nothing"),
        (
            "data.interactions.columns.weight=price",
            "data.interactions.columns.weight: trained with 'quantity'; now 'price'",
        ),
    ],
)
def test_a_model_of_other_event_settings_is_refused(run: Run, setting: str, line: str) -> None:
    code, _, err = run("--set", setting, "score", "--date", DAY, "--force")
    assert code == ExitCode.MODEL and line in err and "recsys train" in err


def test_explain_names_the_types_of_the_latest_items(run: Run, scored_retailer: Path) -> None:
    events = events_before(scored_retailer, DAY).filter(pl.col("kind") != "return")
    user = events.filter(pl.col("kind") == "cart")["user_id"][0]

    _, out, _ = run("--json", "explain", str(user), "--date", DAY)

    last = json.loads(out)["events"]
    own = events.filter(pl.col("user_id") == user)
    counts = {(item, kind): count for item, kind, count in own.group_by("item_id", "kind").len().rows()}
    carts = {one["item_id"]: one["types"]["cart"] for one in last if "cart" in one["types"]}
    assert carts and all(counts[item, "cart"] == count for item, count in carts.items())
    assert "cart 1" in run("explain", str(user), "--date", DAY)[1]


def test_a_type_that_is_not_named_stops_the_run(run: Run, retailer: Path) -> None:
    file = retailer / "data/interactions.parquet"
    events = pl.read_parquet(file)
    events.with_columns(pl.col("kind").replace({"cart": "basket"})).write_parquet(file)

    code, _, err = run("score", "--date", LATER)

    assert code == ExitCode.INPUT
    assert "1 types of events are not named in data.events: 'basket'" in err
    assert "[default.data.events.basket]" in err and "ignore = true" in err


def test_lists_of_users_without_new_events_are_reused(run: Run, retailer: Path) -> None:
    code, _, err = run("score", "--date", LATER, "--changed-since", DAY, "--set", "scoring.max_stale_lists=1")
    assert code == ExitCode.OK, err
    manifest = json.loads((retailer / f"recommendations/date={LATER}/manifest.json").read_text())
    assert 0 < manifest["carried"]["ranked"] < 300


def test_check_notes_columns_that_may_be_types_and_weights(run: Run, retailer: Path) -> None:
    code, _, err = run("check", "--date", DAY)
    assert (code, err) == (ExitCode.OK, f"check of {DAY}: no problems\n")
    path = 'path = "data/interactions.parquet"'
    (retailer / "settings/settings.toml").write_text(f"[default.data.interactions]\n{path}\n")

    _, out, _ = run("--json", "check", "--date", DAY)

    notes = [one["what"] for one in json.loads(out)["problems"] if one["severity"] == "note"]
    assert notes == [
        "the column 'kind' is not used; it has 4 values: view, purchase, cart, return; "
        "may be the type of an event",
        "the column 'quantity' is not used; it may be a weight",
    ]

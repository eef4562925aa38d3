"""The made-up retailer: same arguments, same bytes, and the ground truth that it is made by."""

from pathlib import Path

import polars as pl
import pytest

from recsys_cli.data_preparation.demo_data.generate import DemoShape, generate, has_demo

SHAPE = DemoShape(400, 100, 60, 7, 40.0, "shop")
PAIR = ["user_id", "item_id"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("retailer") / "data"
    generate(SHAPE, folder)
    return folder


@pytest.fixture(scope="module")
def events(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / "interactions.parquet")


def test_the_same_arguments_give_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    generate(SHAPE, tmp_path / "data")
    for name in ("interactions", "users", "items"):
        file = f"{name}.parquet"
        assert (tmp_path / "data" / file).read_bytes() == (folder / file).read_bytes()
    assert has_demo(SHAPE, folder) and not has_demo(DemoShape(400, 100, 60, 7, 40.0), folder)


def test_every_step_follows_a_look_and_every_return_a_purchase(events: pl.DataFrame) -> None:
    first = events.group_by(*PAIR, "kind").agg(pl.col("timestamp").min())
    steps = first.pivot(on="kind", index=PAIR, values="timestamp")
    assert steps["view"].null_count() == 0
    for kind, before in (("cart", "view"), ("purchase", "view"), ("return", "purchase")):
        happened = steps.filter(pl.col(kind).is_not_null())
        assert len(happened) > 20 and (happened[kind] > happened[before]).all()


def test_what_draws_the_eye_is_not_what_is_bought(events: pl.DataFrame) -> None:
    counts = events.group_by("item_id").agg(
        (pl.col("kind") == "view").sum().alias("views"), (pl.col("kind") == "purchase").sum().alias("bought")
    )
    top = counts.sort("views", descending=True).head(5)
    assert top["bought"].sum() / top["views"].sum() < 0.75 * counts["bought"].sum() / counts["views"].sum()

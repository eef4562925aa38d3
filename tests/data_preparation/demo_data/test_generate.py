from datetime import date, datetime
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys_cli.data_preparation.demo_data.generate import DemoShape, foreign_tables, generate, has_demo
from recsys_cli.data_preparation.demo_data.titles import invent_titles
from recsys_cli.data_preparation.demo_data.weighted_draws import WeightedRows
from recsys_cli.utils.errors import UsageError

SHAPE = DemoShape(users=3_000, items=600, days=120, seed=7, events_per_user=20.0)
Tables = dict[str, pl.DataFrame]


def tables_of(shape: DemoShape, folder: Path) -> Tables:
    generate(shape, folder)
    return {name: pl.read_parquet(folder / f"{name}.parquet") for name in ("interactions", "users", "items")}


def bytes_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    return tables_of(SHAPE, tmp_path_factory.mktemp("demo"))


def test_same_arguments_give_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    shape = DemoShape(users=200, items=50, days=30, seed=1)
    generate(shape, tmp_path / "one")
    generate(shape, tmp_path / "two")
    generate(DemoShape(users=200, items=50, days=30, seed=2), tmp_path / "other")
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    for name, content in bytes_of(tmp_path / "other").items():
        assert content != bytes_of(tmp_path / "one")[name]


def test_the_columns_are_the_promised_ones(demo: Tables) -> None:
    assert demo["interactions"].schema == {
        "user_id": pl.Int64,
        "item_id": pl.Int64,
        "timestamp": pl.Datetime("us"),
        "watched_pct": pl.Float32,
        "total_dur": pl.Int32,
    }
    assert demo["users"].schema == {
        "user_id": pl.Int64,
        "age": pl.String,
        "income": pl.String,
        "sex": pl.String,
        "kids_flg": pl.Int8,
    }
    assert demo["items"].schema == {
        "item_id": pl.Int64,
        "title": pl.String,
        "content_type": pl.String,
        "genres": pl.List(pl.String),
        "release_year": pl.Int32,
        "age_rating": pl.Int32,
        "available_from": pl.Date,
        "available_until": pl.Date,
    }


def test_ids_are_unique_shuffled_and_not_contiguous(demo: Tables) -> None:
    for table, key, rows in (("users", "user_id", 3_000), ("items", "item_id", 600)):
        ids = demo[table][key]
        assert ids.n_unique() == len(ids) == rows
        assert not ids.is_sorted() and not ids.is_sorted(descending=True)
        assert int(ids.max()) - int(ids.min()) > 5 * rows


def test_users_have_the_asked_mean_of_events_with_a_heavy_tail_and_some_have_none(demo: Tables) -> None:
    counts = demo["interactions"].group_by("user_id").len()["len"].to_numpy()
    silent = 1 - len(counts) / 3_000
    assert counts.sum() / 3_000 == pytest.approx(20.0, rel=0.08)
    assert silent == pytest.approx(0.05, abs=0.015)
    assert counts.max() > 8 * np.median(counts)


def test_the_mean_holds_for_kions_activity_too(tmp_path: Path) -> None:
    events = tables_of(DemoShape(users=4_000, items=2_000, days=90, seed=3), tmp_path)["interactions"]
    assert len(events) / 4_000 == pytest.approx(5.7, rel=0.08)


def test_popularity_is_concentrated_as_zipf_says(demo: Tables) -> None:
    counts = demo["interactions"]["item_id"].value_counts(sort=True)["count"].to_numpy()
    assert 0.35 < counts[:60].sum() / counts.sum() < 0.75  # the top tenth of the items
    ranks = np.arange(10, 200)
    slope = np.polyfit(np.log(ranks), np.log(counts[ranks]), 1)[0]
    assert -1.3 < slope < -0.4


def test_some_items_have_no_event(demo: Tables) -> None:
    without = demo["items"].join(demo["interactions"], on="item_id", how="anti")
    assert 3 <= len(without) <= 60


def test_events_lie_in_the_span_and_while_the_item_is_available(demo: Tables) -> None:
    events = demo["interactions"].join(demo["items"], on="item_id", how="left", validate="m:1")
    assert events["timestamp"].min() >= datetime(2026, 3, 3)
    assert events["timestamp"].max() < datetime(2026, 7, 1)
    assert events["timestamp"].dt.date().n_unique() == 120
    day = pl.col("timestamp").dt.date()
    assert events.filter(day < pl.col("available_from")).is_empty()
    assert events.filter(day >= pl.col("available_until")).is_empty()


def test_items_are_released_during_the_span_and_some_leave(demo: Tables) -> None:
    items = demo["items"]
    released = items.filter(pl.col("available_from").is_between(date(2026, 3, 3), date(2026, 6, 30)))
    assert 0.2 < len(released) / 600 < 0.4
    assert 10 < items["available_until"].drop_nulls().len() < 60
    assert items.filter(pl.col("available_until") <= pl.col("available_from")).is_empty()
    assert items.filter(pl.col("release_year") > pl.col("available_from").dt.year()).is_empty()


def test_releases_wait_for_whole_periods_in_a_long_span(tmp_path: Path) -> None:
    demo = tables_of(DemoShape(users=300, items=60, days=700, seed=5, events_per_user=15.0), tmp_path)
    events = demo["interactions"].join(demo["items"], on="item_id", how="left")
    day = pl.col("timestamp").dt.date()
    assert events.filter((day < pl.col("available_from")) | (day >= pl.col("available_until"))).is_empty()
    assert events["timestamp"].min() > datetime(2024, 7, 31)


def test_fresh_items_are_watched_more_than_the_stock(demo: Tables) -> None:
    events = demo["interactions"].join(demo["items"], on="item_id", how="left")
    events = events.with_columns(
        age=(pl.col("timestamp").dt.date() - pl.col("available_from")).dt.total_days()
    )
    released = demo["items"].filter(pl.col("available_from").is_between(date(2026, 3, 3), date(2026, 4, 30)))
    new = events.join(released.select("item_id"), on="item_id")
    assert len(new.filter(pl.col("age") < 15)) > 1.5 * len(new.filter(pl.col("age").is_between(45, 59)))


def test_films_are_watched_once_and_series_sometimes_again(demo: Tables) -> None:
    pairs = demo["interactions"].group_by("user_id", "item_id").len()
    pairs = pairs.join(demo["items"].select("item_id", "content_type"), on="item_id")
    again = {kind: rows["len"].gt(1).mean() for (kind,), rows in pairs.group_by("content_type")}
    assert again["film"] == 0
    assert 0.01 < float(again["series"]) < 0.3


def test_demographics_matter(demo: Tables) -> None:
    events = demo["interactions"].join(demo["users"], on="user_id").join(demo["items"], on="item_id")
    events = events.explode("genres")

    def share(genre: str, condition: pl.Expr) -> float:
        return float(events.filter(condition)["genres"].eq(genre).mean())

    assert share("action", pl.col("sex") == "M") > 1.5 * share("action", pl.col("sex") == "F")
    assert share("romance", pl.col("sex") == "F") > 1.5 * share("romance", pl.col("sex") == "M")
    assert share("animation", pl.col("kids_flg") == 1) > 1.3 * share("animation", pl.col("kids_flg") == 0)


def test_a_users_past_genres_predict_the_next_ones(demo: Tables) -> None:
    """The genre that a user watched most, against its share with everybody, in the half that follows."""
    events = demo["interactions"].join(demo["items"].select("item_id", "genres"), on="item_id")
    events = events.explode("genres").rename({"genres": "genre"})
    middle = events["timestamp"].median()
    past, future = events.filter(pl.col("timestamp") < middle), events.filter(pl.col("timestamp") >= middle)
    favourite = (
        past.group_by("user_id", "genre").len().sort("user_id", "len", "genre").group_by("user_id").last()
    )
    kept = future.join(favourite.rename({"genre": "favourite"}), on="user_id")
    usual = future.group_by("genre").len().with_columns(share=pl.col("len") / len(future))
    by_chance = favourite.join(usual.select("genre", "share"), on="genre")["share"].mean()
    assert kept["genre"].eq(kept["favourite"]).mean() > 1.8 * by_chance


def test_a_folder_shows_which_shape_made_it(tmp_path: Path) -> None:
    shape = DemoShape(users=50, items=20, days=10, seed=1)
    assert not has_demo(shape, tmp_path)
    generate(shape, tmp_path)
    assert has_demo(shape, tmp_path)
    assert not has_demo(DemoShape(users=50, items=20, days=10, seed=2), tmp_path)
    assert foreign_tables(tmp_path) == []
    pl.DataFrame({"user_id": [1]}).write_parquet(tmp_path / "users.parquet")
    assert not has_demo(shape, tmp_path)
    assert foreign_tables(tmp_path) == [tmp_path / "users.parquet"]


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(DemoShape(users=50, items=20, days=10, seed=1), tmp_path / "data", stop)
    assert not list(tmp_path.iterdir())


def test_progress_counts_users(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    generate(DemoShape(users=50, items=20, days=10, seed=1), tmp_path, lambda *count: seen.append(count))
    assert seen == [(50, 50)]


@pytest.mark.parametrize("size", [{"users": 0}, {"items": 9}, {"days": 1}, {"seed": -1}])
def test_impossible_sizes_are_refused(size: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=next(iter(size))):
        DemoShape(**{"users": 10, "items": 10, "days": 10, "seed": 1} | size)


def test_draws_follow_the_weights_of_their_row() -> None:
    rows = WeightedRows.of(np.array([0.0, 1.0, 3.0, 0.0, 0.0, 2.0, 0.0]), np.array([3, 2, 2]))
    assert rows.empty.tolist() == [False, True, False]
    drawn = rows.draw(np.array([0] * 4_000 + [2] * 100), np.random.default_rng(1))
    counts = np.bincount(drawn, minlength=7)
    assert counts[[0, 3, 4, 6]].sum() == 0
    assert counts[5] == 100
    assert counts[2] / 4_000 == pytest.approx(0.75, abs=0.03)


def test_titles_never_repeat() -> None:
    titles = invent_titles(20_000, np.random.default_rng(1))
    assert len(set(titles)) == 20_000

"""Training never sees what it is asked to foretell."""

from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.tables import Tables, read_tables
from recsys_cli.data_preparation.training_set import label_cuts, window_pairs, with_negatives
from recsys_cli.models.bundle import read_bundle, write_bundle
from recsys_cli.models.training import train_two_stage, training_frame
from recsys_cli.models.two_stage import TwoStageModel
from recsys_cli.utils.dates import day_start
from recsys_cli.utils.errors import InputError, ModelError

DAY, CUT = date(1998, 4, 9), date(1998, 3, 26)


@pytest.fixture(scope="module")
def settings(shared_data: Path) -> Settings:
    data = shared_data / "ml-100k"
    return Settings.model_validate(
        {
            "data": {
                "interactions": {"path": str(data / "interactions.parquet")},
                "users": {"path": str(data / "users.parquet"), "features": ["age", "gender"]},
                "items": {"path": str(data / "items.parquet"), "features": ["release_year", "genres"]},
            },
            "candidates": {"lightfm": {"epochs": 2, "no_components": 8}},
            "ranker": {"iterations": 20, "label_windows": 2, "n_negatives": 20},
        }
    )


@pytest.fixture(scope="module")
def tables(settings: Settings) -> Tables:
    return read_tables(settings.data, Path("/"), DAY, "UTC")


@pytest.fixture(scope="module")
def model(tables: Tables, settings: Settings) -> TwoStageModel:
    return train_two_stage(tables, settings, threads=2)[0]


def test_the_window_shapes_the_labels_alone(tables: Tables, settings: Settings) -> None:
    """With the items of the window's events shuffled, the same candidates get the same features."""
    in_window = pl.col("timestamp") >= day_start(CUT, "UTC")
    shuffled = tables.events.with_columns(
        pl.when(in_window).then(pl.col("item").shuffle(seed=1)).otherwise("item").alias("item")
    )
    other = Tables(tables.day, tables.timezone, shuffled, tables.users, tables.items)
    everything = settings.model_copy(
        update={"ranker": settings.ranker.model_copy(update={"n_negatives": 1_000})}
    )
    frames = [training_frame(known, CUT, everything)[0] for known in (tables, other)]
    assert not frames[0]["label"].equals(frames[1]["label"])
    both = set(frames[0]["user"]) & set(frames[1]["user"])
    assert len(both) > 20
    kept = [frame.filter(pl.col("user").is_in(list(both))).drop("label") for frame in frames]
    assert_frame_equal(kept[0], kept[1], check_exact=True)


def test_positives_are_the_windows_own_pairs(tables: Tables, settings: Settings) -> None:
    frame, window = training_frame(tables, CUT, settings)
    later = tables.events.filter(
        pl.col("timestamp").is_between(day_start(CUT, "UTC"), day_start(DAY, "UTC"), "left")
    )
    pairs = set(later.select("user", "item").iter_rows())
    assert window.reachable == len(pairs)
    told = {(row["user"], row["item"]): row["label"] for row in frame.iter_rows(named=True)}
    assert all((label == 1) == (pair in pairs) for pair, label in told.items())
    per_user = frame.group_by("user").agg(
        pl.col("label").sum(), (pl.col("label") == 0).sum().alias("negatives")
    )
    assert per_user["label"].min() >= 1 and per_user["negatives"].max() == settings.ranker.n_negatives
    assert (frame["group"].rle().struct.field("value")).is_unique().all()  # a group's rows are adjacent


def test_a_person_stays_on_one_side_of_the_validation_split(tables: Tables, settings: Settings) -> None:
    frames = [training_frame(tables, cut, settings)[0] for cut in label_cuts(DAY, 14, 2)]
    sides = pl.concat(frames).group_by("user").agg(pl.col("validation").n_unique())
    assert sides["validation"].max() == 1
    share = pl.concat(frames).unique("user")["validation"].mean()
    assert 0.05 < share < 0.3


def test_label_windows_end_at_the_training_day(tables: Tables) -> None:
    assert label_cuts(DAY, 14, 2) == [date(1998, 3, 12), CUT]
    pairs = window_pairs(tables, CUT, 14)
    assert pairs.is_unique().all() and len(pairs) > 0
    assert window_pairs(tables, DAY, 14).is_empty()


def test_negatives_are_drawn_alike_whatever_the_chunk() -> None:
    frame = pl.DataFrame({"user": [1] * 6 + [2] * 6, "item": [*range(6), *range(6)]}).cast(pl.UInt32)
    positives = pl.DataFrame({"user": [1, 2, 2], "item": [3, 0, 99]}).cast(pl.UInt32)
    drawn = with_negatives(frame, positives, 2, seed=5)
    alone = [with_negatives(frame.filter(pl.col("user") == user), positives, 2, seed=5) for user in (1, 2)]
    assert_frame_equal(drawn, pl.concat(alone))
    assert drawn.group_by("user").agg(pl.col("label").sum(), pl.len()).sort("user").rows() == [
        (1, 1, 3),
        (2, 1, 3),
    ]


def test_the_same_training_gives_the_same_files(
    model: TwoStageModel, tables: Tables, settings: Settings, tmp_path: Path
) -> None:
    again = train_two_stage(tables, settings, threads=2)[0]
    for name, trained in (("a", model), ("b", again)):
        (tmp_path / name).mkdir()
        write_bundle(trained, tmp_path / name, {})
    files = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert len(files) == 10
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_a_damaged_file_is_never_loaded(model: TwoStageModel, tmp_path: Path) -> None:
    write_bundle(model, tmp_path, {})
    assert read_bundle(tmp_path).model.trained_through == DAY
    for name in ("ranker.cbm", "users_vectors.npy", "items_ids.parquet", "items_encoder.json"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
        with pytest.raises(ModelError, match="differs from its recorded hash") as told:
            read_bundle(tmp_path)
        assert told.value.where.endswith(name)
        (tmp_path / name).write_bytes(whole)


def test_too_short_a_history_is_told(tables: Tables, settings: Settings) -> None:
    first = tables.events.select(pl.col("timestamp").min().dt.date()).item() + timedelta(days=1)
    with pytest.raises(InputError, match="no event lies before"):
        train_two_stage(tables.as_of(first), settings, threads=1)

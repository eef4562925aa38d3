"""The ranker's rows as bytes: the same trees as over the numbers, whatever the chunks."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from catboost import CatBoost, Pool

from recsys_cli.configs.sections import RankerSettings
from recsys_cli.models.reranking.tree_ensemble import as_numbers, bind_forest, open_trees
from recsys_cli.models.training.checkpoint import StepCheckpoint
from recsys_cli.models.training.quantised_rows import QuantisedRows, quantise, row_weights
from recsys_cli.models.training.ranker_training import Fitting, continue_ranker, fit_ranker, refit_ranker
from recsys_cli.models.training.window_rows import WindowRows, write_chunk

COLUMNS = ("user_age", "lightfm_rank", "item_kind", "lightfm_score")
SETTINGS = RankerSettings(iterations=30, learning_rate=0.2, members=3, depth=4, rsm=1.0)
ROWS = 6_000


def rows_of(rng: np.random.Generator, size: int) -> pl.DataFrame:
    """Return rows of users with ten candidates each; who likes what depends on all four columns."""
    age = np.repeat(rng.normal(40, 10, size // 10), 10).astype(np.float32)
    age[::70] = np.nan
    rank = rng.integers(1, 100, size).astype(np.float32)
    rank[::3] = np.nan
    score, kind = rng.normal(size=size).astype(np.float32), rng.integers(0, 7, size)
    liked = score + (kind == 3) + np.nan_to_num(age - 40) / 20 - np.nan_to_num(rank) / 100
    return pl.DataFrame(
        {
            "user_age": age,
            "lightfm_rank": rank,
            "item_kind": pl.Series(kind, dtype=pl.Int32),
            "lightfm_score": score,
            "label": (liked + rng.normal(size=size) > 1.5).astype(np.int8),
            "group": np.repeat(np.arange(size // 10, dtype=np.uint64), 10),
            "validation": np.repeat(rng.random(size // 10) < 0.3, 10),
        }
    )


def window_of(frame: pl.DataFrame, folder: Path, chunk: int) -> WindowRows:
    """Return the rows as those of a label window, in chunks of so many."""
    folder.mkdir()
    parts = list(frame.iter_slices(chunk))
    for number, part in enumerate(parts):
        write_chunk(part, folder, number)
    label = int(frame["label"].sum())
    return WindowRows(
        date(2026, 3, 1), folder, len(parts), tuple(frame.columns), len(frame) // 10, len(frame), label, label
    )


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    return rows_of(np.random.default_rng(3), ROWS)


@pytest.fixture
def rows(frame: pl.DataFrame, tmp_path: Path) -> QuantisedRows:
    windows = [window_of(part, tmp_path / f"{n}", 500) for n, part in enumerate(frame.iter_slices(2_000))]
    return quantise(windows, COLUMNS, ("item_kind",))


def test_a_bin_is_the_number_of_borders_below(rows: QuantisedRows, frame: pl.DataFrame) -> None:
    assert rows.ends == (2_000, 4_000, 6_000) and rows.bins.dtype == np.uint8
    for place, column in enumerate(COLUMNS):
        values = frame[column].to_numpy()
        if column == "item_kind":
            np.testing.assert_array_equal(rows.bins[place], values)
            continue
        expected = np.searchsorted(rows.borders[column], values, side="left")
        expected[np.isnan(values)] = 0
        np.testing.assert_array_equal(rows.bins[place], expected)
        assert rows.borders[column].dtype == np.float32 and 50 < len(rows.borders[column]) <= 254
    np.testing.assert_array_equal(rows.label, frame["label"])
    np.testing.assert_array_equal(rows.validation, frame["validation"])


def test_chunks_and_windows_change_nothing(rows: QuantisedRows, frame: pl.DataFrame, tmp_path: Path) -> None:
    whole = quantise([window_of(frame, tmp_path / "whole", 10_000)], COLUMNS, ("item_kind",))
    np.testing.assert_array_equal(rows.bins, whole.bins)
    assert all(np.array_equal(rows.borders[name], whole.borders[name]) for name in whole.borders)


def test_borders_of_drawn_rows_are_of_all_windows(frame: pl.DataFrame, tmp_path: Path) -> None:
    """The second window's ages lie far above the first one's: both have borders among the drawn rows."""
    later = frame.with_columns(pl.col("user_age") + 1_000)
    windows = [window_of(one, tmp_path / f"{n}", 700) for n, one in enumerate((frame, later))]
    rows = quantise(windows, COLUMNS, ("item_kind",), border_rows=1_000)
    ages = rows.borders["user_age"]
    assert (ages < 500).sum() > 20 and (ages > 500).sum() > 20


def test_trees_over_bytes_score_the_numbers(rows: QuantisedRows, frame: pl.DataFrame, tmp_path: Path) -> None:
    """In terms of the real borders the mean of the members gives what it gave for the bins."""
    fitting = Fitting(SETTINGS, 2, StepCheckpoint(tmp_path / "steps"))
    ranker = fit_ranker(rows, fitting)
    raw = ranker.model.predict(
        Pool(frame.select(COLUMNS), cat_features=["item_kind"]), prediction_type="RawFormulaVal"
    )
    own = bind_forest(ranker.forests.all, pl.DataFrame({"item_price": [0.0]}))
    scores = own.raw_scores(
        {}, np.zeros(ROWS, int), np.zeros(ROWS, np.int32), as_numbers(frame.select(COLUMNS))
    )
    np.testing.assert_array_equal(scores, raw.astype(np.float32))
    members = [fitting.checkpoint.step(f"ranker-holdout-{n}", lambda _: {}).folder for n in range(3)]
    bins = rows.pool(weighted=False)
    of_bins = np.mean([open_trees(one / "trees.json").predict(bins) for one in members], axis=0)
    np.testing.assert_allclose(raw, of_bins, atol=1e-12)
    assert np.corrcoef(raw, frame["label"].to_numpy())[0, 1] > 0.4
    assert ranker.columns == COLUMNS and ranker.categories == ("item_kind",)


def test_members_that_are_there_are_not_learnt_again(rows: QuantisedRows, tmp_path: Path) -> None:
    fitting, done = Fitting(SETTINGS, 2, StepCheckpoint(tmp_path / "steps")), []
    first = fit_ranker(rows, fitting)
    again = fit_ranker(rows, replace(fitting, progress=lambda now, _all: done.append(now)))
    np.testing.assert_array_equal(first.forests.all.leaves, again.forests.all.leaves)
    assert done == [90]  # no iteration was shown: none took place


def test_the_final_ranker_has_the_trees_of_the_evaluated_one(rows: QuantisedRows, tmp_path: Path) -> None:
    fitting = Fitting(SETTINGS, 2, StepCheckpoint(tmp_path / "steps"))
    evaluated = fit_ranker(rows.first_windows(2), fitting)
    final = refit_ranker(rows, evaluated, fitting)
    assert final.model.tree_count_ == 3 * round(evaluated.model.tree_count_ / 3)


def test_a_warm_start_adds_trees_to_what_there_is(
    rows: QuantisedRows, frame: pl.DataFrame, tmp_path: Path
) -> None:
    """Behind the base's scores the new trees lower the loss that CatBoost's own continuation lowers."""
    fitting = Fitting(SETTINGS, 2, StepCheckpoint(tmp_path / "steps"))
    base = fit_ranker(rows.first_windows(1), fitting)
    pool = Pool(frame.select(COLUMNS), cat_features=["item_kind"])
    before = base.model.predict(pool, prediction_type="RawFormulaVal")
    ranker = continue_ranker(rows, base, before, fitting, 10)
    after = ranker.model.predict(pool, prediction_type="RawFormulaVal")
    label = frame["label"].to_numpy()

    def loss(raw: np.ndarray) -> float:
        return float(np.mean(np.logaddexp(0, raw) - label * raw))

    assert loss(after) < loss(before) - 0.005
    assert ranker.model.tree_count_ == base.model.tree_count_ + 10


def test_weights_by_hand() -> None:
    """Users with 4 and 1 positives: the first one's rows weigh half of the second one's, 1 on average."""
    weights = row_weights(np.array([1, 1, 1, 1, 0, 1], np.int8), np.array([7, 7, 7, 7, 2, 2], np.uint64))
    np.testing.assert_allclose(weights, np.array([0.5, 0.5, 0.5, 0.5, 1, 1]) / (4 / 6))


@pytest.mark.parametrize(("column", "value"), [("item_kind", 2), ("user_age", 30.0)])
@pytest.mark.parametrize("everywhere", [False, True])
def test_a_column_may_be_constant_among_the_validation_users(
    frame: pl.DataFrame, tmp_path: Path, column: str, value: float, everywhere: bool
) -> None:
    constant = pl.lit(value).cast(frame.schema[column])
    rows_in_question = pl.lit(everywhere) | pl.col("validation")
    changed = frame.with_columns(pl.when(rows_in_question).then(constant).otherwise(column).alias(column))
    rows = quantise([window_of(changed, tmp_path / "rows", 1_000)], COLUMNS, ("item_kind",))
    ranker = fit_ranker(rows, Fitting(SETTINGS, 2, StepCheckpoint(tmp_path / "steps")))
    raw = ranker.model.predict(Pool(changed.select(COLUMNS), cat_features=["item_kind"]))
    assert np.corrcoef(raw, frame["label"].to_numpy())[0, 1] > 0.3


def test_early_stopping_watches_the_loss_of_the_validation_users(rows: QuantisedRows) -> None:
    """CatBoost's own figure is the loss by hand: the categories of both pools mean the same."""
    learnt, held_out = rows.validation_pools(weighted=True)
    model = CatBoost(
        {"loss_function": "Logloss", "iterations": 20, "one_hot_max_size": 255, "allow_writing_files": False}
    )
    model.fit(learnt, eval_set=held_out, verbose=False, use_best_model=False)
    raw = model.predict(rows.pool(weighted=False), prediction_type="RawFormulaVal")[rows.validation]
    label, group = rows.label[rows.validation], rows.group[rows.validation]
    by_hand = np.average(np.logaddexp(0, raw) - label * raw, weights=row_weights(label, group))
    assert model.get_evals_result()["validation"]["Logloss"][-1] == pytest.approx(by_hand, abs=1e-6)

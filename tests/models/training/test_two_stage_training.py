"""Training never sees what it is asked to foretell."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.features.day_features import build_features
from recsys_cli.data_preparation.features.labels import draw_negatives, label_cuts, window_pairs
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.contract import Tables, read_tables
from recsys_cli.models.candidates.fit_cache import FitCache
from recsys_cli.models.candidates.stage import fit_candidate_stage
from recsys_cli.models.evaluation.daily_evaluation import TWO_STAGES
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.models.training.checkpoint import StepCheckpoint
from recsys_cli.models.training.context import TrainingContext
from recsys_cli.models.training.label_window import LabelWindow, TrainingTables, label_pairs
from recsys_cli.models.training.leakage_check import MadeBefore, check_leakage
from recsys_cli.models.training.quantised_rows import QuantisedRows, quantise
from recsys_cli.models.training.ranker_training import fit_ranker
from recsys_cli.models.training.two_stage_training import (
    Training,
    feature_columns,
    lightfm_ahead,
    train_two_stage,
)
from recsys_cli.models.two_stage import open_day, rank_users
from recsys_cli.models.versions.bundle import read_bundle, write_bundle
from recsys_cli.models.versions.manifest_schema import TrainingFacts
from recsys_cli.utils.columns import USER
from recsys_cli.utils.dates import day_start
from recsys_cli.utils.errors import InputError, ModelError, SettingsError
from recsys_cli.utils.stage_timer import StageTimer

DAY, CUT, EARLIER = date(2010, 11, 26), date(2010, 11, 12), date(2010, 10, 29)


FACTS = TrainingFacts.read(
    {  # that a training records of itself
        "run_id": "20260302T000000-train-012345",
        "created": "2026-03-02T00:00:00+00:00",
        "events": 0,
        "trees": 0,
        "label_windows": [],
        "exam": {
            "k": 10,
            "users": 0,
            "first_day": str(DAY),
            "models": {},
            "comparisons": [],
            "against_popularity": None,
            "cold_users": 0,
            "segments": {},
            "budget": {"relevant_pairs": 0, "candidate_recall": 0.0, "ranker_share": 0.0, "by_source": {}},
        },
        "feature_importance": {},
        "seconds": {},
        "settings": {"timezone": "UTC", "ranker": {}},
        "warm_start_of": None,
        "full_training": None,
    }
)


@pytest.fixture(scope="module")
def settings(retail_sample: Path) -> Settings:
    return settings_tree().model_validate(
        {
            "data": {
                "interactions": {"path": str(retail_sample / "interactions.parquet")},
                "users": {"path": str(retail_sample / "users.parquet"), "features": ["country"]},
                "items": {
                    "path": str(retail_sample / "items.parquet"),
                    "features": ["price", "range", "words"],
                },
            },
            "candidates": {"lightfm": {"epochs": 2, "no_components": 8}},
            "ranker": {"iterations": 40, "learning_rate": 0.1, "label_windows": 2, "n_negatives": 20},
        }
    )


@pytest.fixture(scope="module")
def tables(settings: Settings) -> Tables:
    return read_tables(settings.data, InputFolder(Path("/")), DAY, "UTC")


@pytest.fixture(scope="module")
def context(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> TrainingContext:
    folder = tmp_path_factory.mktemp("training")
    return TrainingContext(
        settings, 2, StageTimer(), StepCheckpoint(folder / "steps"), FitCache(folder / "fits")
    )


@pytest.fixture(scope="module")
def training(tables: Tables, context: TrainingContext) -> Training:
    return train_two_stage(tables, context)


def window_of(tables: Tables, cut: date, context: TrainingContext) -> LabelWindow:
    """Return a label window whose candidate models are learnt when they are asked for."""
    known = TrainingTables.of(tables, context.settings)
    one = replace(context, threads=1)
    with lightfm_ahead(known, [EARLIER, CUT], one, final=False) as fits:
        return LabelWindow(cut, known, context, fits.result)


@pytest.fixture(scope="module")
def windows(tables: Tables, context: TrainingContext) -> list[LabelWindow]:
    return [window_of(tables, cut, context) for cut in (EARLIER, CUT)]


WithRanker = Callable[..., TrainingContext]


@pytest.fixture(scope="module")
def with_ranker(context: TrainingContext, tmp_path_factory: pytest.TempPathFactory) -> WithRanker:
    """Return a context with other settings of the ranker, and with finished steps of its own."""

    def changed(**changes: object) -> TrainingContext:
        ranker = context.settings.ranker.model_copy(update=changes)
        settings = context.settings.model_copy(update={"ranker": ranker})
        return replace(
            context, settings=settings, checkpoint=StepCheckpoint(tmp_path_factory.mktemp("steps"))
        )

    return changed


@pytest.fixture(scope="module")
def every_candidate(tables: Tables, with_ranker: WithRanker) -> LabelWindow:
    """The earlier window with all candidates of its users among its rows."""
    return window_of(tables, EARLIER, with_ranker(n_negatives=10_000))


def quantised(window: LabelWindow, columns: tuple[str, ...], categories: tuple[str, ...]) -> QuantisedRows:
    return quantise([window.rows()], columns, categories)


def shuffled_after(tables: Tables, cut: date) -> Tables:
    """Return the tables with the items of the events from `cut` on dealt out anew."""
    later = pl.col("timestamp") >= day_start(cut, "UTC")
    item = pl.when(later).then(pl.col("item").shuffle(seed=1)).otherwise("item").alias("item")
    return replace(tables, events=tables.events.with_columns(item))


def test_the_window_shapes_the_labels_alone(tables: Tables, with_ranker: WithRanker) -> None:
    """With the items of the window's events shuffled, the same candidates get the same features."""
    frames = [
        window_of(known, CUT, with_ranker(n_negatives=1_000)).rows().frame()
        for known in (tables, shuffled_after(tables, CUT))
    ]
    assert not frames[0]["label"].equals(frames[1]["label"])
    both = set(frames[0]["user"]) & set(frames[1]["user"])
    assert len(both) > 20
    kept = [
        frame.filter(pl.col("user").is_in(list(both))).drop("label").sort("user", "item") for frame in frames
    ]
    assert_frame_equal(kept[0], kept[1], check_exact=True)


def test_positives_are_the_windows_own_new_pairs(tables: Tables, windows: list[LabelWindow]) -> None:
    window = windows[-1]
    start = day_start(CUT, "UTC")
    later = tables.events.filter(pl.col("timestamp").is_between(start, day_start(DAY, "UTC"), "left"))
    before = tables.events.filter(pl.col("timestamp") < start)
    pairs = set(later.select("user", "item").iter_rows()) - set(before.select("user", "item").iter_rows())
    frame = window.rows().frame()
    assert window.rows().positives_in_window == len(pairs)
    raised = {(row["user"], row["item"]): row["label"] for row in frame.iter_rows(named=True)}
    assert all((label == 1) == (pair in pairs) for pair, label in raised.items())
    per_user = frame.group_by("user").agg(
        pl.col("label").sum(), (pl.col("label") == 0).sum().alias("negatives")
    )
    assert per_user["label"].min() >= 1 and per_user["negatives"].max() == 20
    assert (frame["group"].rle().struct.field("value")).is_unique().all()  # its rows are adjacent


def test_repeats_count_where_they_may_be_recommended(tables: Tables, settings: Settings) -> None:
    repeats = settings.model_copy(
        update={"scoring": settings.scoring.model_copy(update={"filter_viewed": False})}
    )
    new, every = (label_pairs(tables, CUT, one) for one in (settings, repeats))
    start = day_start(CUT, "UTC")
    before = tables.events.filter(pl.col("timestamp") < start).select("user", "item").unique()
    within = tables.events.filter(pl.col("timestamp") >= start).select("user", "item").unique()
    assert 0 < len(new) < len(every)
    assert_frame_equal(every, within.sort("user", "item"))
    assert_frame_equal(new, within.join(before, on=["user", "item"], how="anti").sort("user", "item"))


def test_a_person_stays_on_one_side_of_the_validation_split(windows: list[LabelWindow]) -> None:
    frame = pl.concat([window.rows().frame() for window in windows])
    assert frame.group_by("user").agg(pl.col("validation").n_unique())["validation"].max() == 1
    assert 0.05 < frame.unique("user")["validation"].mean() < 0.3
    assert frame.group_by("group").agg(pl.col("user").n_unique())["user"].max() == 1
    assert frame["group"].n_unique() == sum(window.rows().users for window in windows)


def test_label_windows_end_at_the_training_day(tables: Tables) -> None:
    assert label_cuts(DAY, 14, 2) == [EARLIER, CUT]
    pairs = window_pairs(tables, CUT, 14)
    assert pairs.is_unique().all() and len(pairs) > 0
    assert window_pairs(tables, DAY, 14).is_empty()


def test_negatives_are_drawn_alike_whatever_the_chunk() -> None:
    frame = pl.DataFrame({"user": [1] * 6 + [2] * 6, "item": [*range(6), *range(6)]}).cast(pl.UInt32)
    positives = pl.DataFrame({"user": [1, 2, 2], "item": [3, 0, 99]}).cast(pl.UInt32)

    def draw(some: pl.DataFrame) -> pl.DataFrame:
        drawn = draw_negatives(some, positives, 2, seed=5)
        return some[drawn["row"]].with_columns(drawn["label"])

    drawn = draw(frame)
    alone = [draw(frame.filter(pl.col("user") == user)) for user in (1, 2)]
    assert_frame_equal(drawn, pl.concat(alone))
    assert drawn.group_by("user").agg(pl.col("label").sum(), pl.len()).sort("user").rows() == [
        (1, 1, 3),
        (2, 1, 3),
    ]


def test_the_exam_asks_a_ranker_that_has_not_seen_its_window(
    context: TrainingContext, with_ranker: WithRanker, windows: list[LabelWindow], training: Training
) -> None:
    """A ranker of the earlier window alone, calibrated or not, gives the lists that the holdout evaluated."""
    earlier, last = windows
    names, groups = earlier.rows().columns, context.settings.ranker.feature_groups
    columns, categories = feature_columns(names, last.stage.encoders, groups)
    rows = quantise([earlier.rows(), last.rows()], columns, categories).first_windows(1)  # borders are shared
    ranker = fit_ranker(rows, with_ranker().fitting())
    users = last.positives[USER].unique().sort().to_numpy()
    ranked = rank_users(users, last.day, ranker.on(last.day.tables.items), 0).top(10)
    hit = ranked.join(last.positives, on=["user", "item"], how="semi").group_by("user").len()
    evaluated = training.evaluation.by_user[TWO_STAGES].filter(pl.col("HitRate") > 0)
    assert dict(evaluated.select("user", pl.col("Precision") * 10).iter_rows()) == pytest.approx(
        dict(hit.iter_rows())
    )
    assert [window.first_day for window in training.windows] == [EARLIER, CUT]


@pytest.mark.parametrize("loss", ["QuerySoftMax", "Logloss"])
def test_shuffled_labels_bring_the_lists_down_to_chance(
    every_candidate: LabelWindow,
    context: TrainingContext,
    with_ranker: WithRanker,
    windows: list[LabelWindow],
    loss: str,
) -> None:
    """Labels that are drawn anew teach nothing: any order is as good.

    Drawn within each user they would still teach Logloss who takes much, and with it what these take. For
    Logloss half of the labels are 1: where few are, small leaves stay above large ones, whatever they hold.
    """
    last, known = windows[-1], every_candidate
    users = last.rows().frame()[USER].unique().sort().to_numpy()
    groups = context.settings.ranker.feature_groups
    columns, categories = feature_columns(known.rows().columns, last.stage.encoders, groups)
    rows = quantised(known, columns, categories)

    def gain(rows: QuantisedRows) -> pl.Series:
        """Hits in each user's first ten places in the last window, beyond those of a random order."""
        ranker = fit_ranker(rows, with_ranker(loss_function=loss, members=1).fitting())
        every = rank_users(users, last.day, ranker.on(last.day.tables.items), 0).frame(last.day)
        ranked = every.join(last.positives.with_columns(taken=1.0), on=["user", "item"], how="left")
        taken = pl.col("taken").fill_null(0.0)
        hits = taken.filter(pl.col("rank") <= 10).sum() - 10 * taken.mean()
        return ranked.group_by("user", maintain_order=True).agg(hits.alias("gain"))["gain"]

    learnt = gain(rows)

    def drawn(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        if loss == "Logloss":
            return rng.integers(0, 2, len(rows)).astype(rows.label.dtype)
        return rng.permutation(rows.label)

    dealt = [replace(rows, label=drawn(seed)) for seed in range(16)]
    assert learnt.mean() > 4 * learnt.std() / np.sqrt(len(learnt))
    assert abs(np.mean([gain(one).mean() for one in dealt])) < 0.25 * learnt.mean()


def test_the_alarm_is_silent_where_nothing_leaks(
    tables: Tables, context: TrainingContext, windows: list[LabelWindow]
) -> None:
    last = windows[-1]
    known = TrainingTables(tables, tables)
    check_leakage(known, CUT, MadeBefore(last.stage, last.day), context.settings.features, 2)


def test_the_alarm_is_silent_for_a_sample_of_the_users(tables: Tables, with_ranker: WithRanker) -> None:
    some = with_ranker(max_train_users=500)
    window = window_of(tables, CUT, some)
    assert len(window.features.users) == 500 < len(tables.users)
    check_leakage(window.tables, CUT, MadeBefore(window.stage, window.day), some.settings.features, 2)


def test_the_leakage_check_names_candidate_models_that_saw_the_window(
    tables: Tables, context: TrainingContext, windows: list[LabelWindow]
) -> None:
    late = fit_candidate_stage(tables.as_of(CUT + timedelta(days=1)), context.settings, 2)
    day = open_day(late, windows[-1].features, 2)
    with pytest.raises(ModelError, match="the candidate models were trained on an event of 2010-11-12"):
        check_leakage(
            TrainingTables(tables, tables), CUT, MadeBefore(late, day), context.settings.features, 2
        )


def test_the_leakage_check_names_features_that_saw_the_window(
    tables: Tables, context: TrainingContext, windows: list[LabelWindow]
) -> None:
    last = windows[-1]
    late = build_features(tables.as_of(CUT + timedelta(days=1)), context.settings.features)
    day = open_day(last.stage, late, 2)
    with pytest.raises(ModelError, match="features change without the window's events"):
        check_leakage(
            TrainingTables(tables, tables), CUT, MadeBefore(last.stage, day), context.settings.features, 2
        )


class NeverCut(Tables):
    """Tables that give every window the events to come."""

    def as_of(self, day: date) -> Tables:
        return replace(self, day=day)


def test_a_training_asks_the_alarm(tables: Tables, context: TrainingContext, with_ranker: WithRanker) -> None:
    leaking = NeverCut(tables.day, tables.timezone, tables.events, tables.users, tables.items)
    scoring = context.settings.scoring.model_copy(update={"filter_viewed": False})
    repeats = replace(with_ranker(), settings=context.settings.model_copy(update={"scoring": scoring}))
    with pytest.raises(ModelError, match="leakage: the label window from 2010-11-12 on has leaked"):
        train_two_stage(leaking, repeats)


def test_only_the_groups_of_the_settings_reach_the_ranker(
    context: TrainingContext, windows: list[LabelWindow]
) -> None:
    names, encoders = windows[-1].rows().columns, windows[-1].stage.encoders
    some, _ = feature_columns(names, encoders, ["ranks", "items"])
    assert {"lightfm_rank", "popular_segment_rank", "item_events_7d", "item_range"} <= set(some)
    assert all(name.endswith("_rank") or name.startswith("item_") for name in some)
    groups = context.settings.ranker.feature_groups
    on = [group for group in groups if group != "pairs"]  # history is for repeats alone
    with pytest.raises(SettingsError, match="the ranker has no feature in the groups: pairs"):
        feature_columns(names, encoders, ["pairs"])
    parts = [set(feature_columns(names, encoders, [group])[0]) for group in on]
    every, categories = feature_columns(names, encoders, groups)
    assert set().union(*parts) == set(every) and sum(map(len, parts)) == len(every)
    assert set(names) - set(every) == {"user", "item", "label", "group", "validation"}
    assert categories == ("user_country", "item_range")


@pytest.mark.parametrize("loss", ["QuerySoftMax", "YetiRank", "PairLogit"])
def test_every_loss_learns_an_order(with_ranker: WithRanker, windows: list[LabelWindow], loss: str) -> None:
    rows = [window.rows() for window in windows]
    frame = pl.concat([one.frame() for one in rows])
    columns, categories = feature_columns(frame.columns, windows[-1].stage.encoders, ["scores", "items"])
    fitting = with_ranker(loss_function=loss, iterations=15).fitting()
    raw = fit_ranker(quantise(rows, columns, categories), fitting).model.predict(frame.select(columns))
    means = frame.with_columns(raw=raw).group_by("label").agg(pl.col("raw").mean()).sort("label")["raw"]
    assert means[1] > means[0]


@pytest.mark.parametrize("loss", ["QuerySoftMax", "YetiRank", "PairLogit"])
def test_a_whole_training_with_every_loss(tables: Tables, with_ranker: WithRanker, loss: str) -> None:
    trained = train_two_stage(tables, with_ranker(loss_function=loss, iterations=5, members=2))
    assert set(trained.importance) == set(trained.model.ranker.columns)
    assert sum(trained.importance.values()) == pytest.approx(100)


def test_the_same_training_gives_the_same_files_with_and_without_kept_fits(
    training: Training, tables: Tables, context: TrainingContext, tmp_path: Path
) -> None:
    fresh = TrainingContext(context.settings, 2, StageTimer(), StepCheckpoint(tmp_path / "steps"))
    again = train_two_stage(tables, fresh)
    for name, trained in (("a", training.model), ("b", again.model)):
        (tmp_path / name).mkdir()
        write_bundle(trained, tmp_path / name)
    files = sorted(file.name for file in (tmp_path / "a").iterdir())
    assert len(files) == 20
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)


def test_a_damaged_file_is_never_loaded(training: Training, tmp_path: Path) -> None:
    write_bundle(training.model, tmp_path, FACTS)
    assert read_bundle(tmp_path).model.trained_through == DAY
    names = ("ranker.json", "lightfm_users_vectors.npy", "bm25_data.npy", "ease_ids.parquet")
    for name in (*names, "items_encoder.json"):
        whole = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(whole[:100] + bytes([whole[100] ^ 1]) + whole[101:])
        with pytest.raises(ModelError, match="differs from its recorded hash") as raised:
            read_bundle(tmp_path)
        assert raised.value.where.endswith(name)
        (tmp_path / name).write_bytes(whole)


def test_too_short_a_history_is_reported(tables: Tables, with_ranker: WithRanker) -> None:
    first = tables.events.select(pl.col("timestamp").min().dt.date()).item() + timedelta(days=1)
    with pytest.raises(InputError, match="no event before"):
        train_two_stage(tables.as_of(first), with_ranker())

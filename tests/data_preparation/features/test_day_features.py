"""Point-in-time features, by hand."""

from dataclasses import replace
from datetime import date, datetime

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from recsys_cli.configs.sections import FeaturesSettings
from recsys_cli.data_preparation.features.day_features import build_features
from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.utils.columns import EXCLUDED

DAY = date(2026, 3, 31)


def tables(events: list[tuple[int, int, str]]) -> Tables:
    """Three users and three items; Ann and Bob have events, Cy has none."""
    users = pl.DataFrame({"user_id": ["ann", "bob", "cy"], "age": [30.0, None, 40.0]})
    items = pl.DataFrame(
        {
            "item_id": ["a", "b", "c"],
            "title": ["A", "B", "C"],
            "available_from": [date(2026, 3, 1), None, date(2026, 4, 1)],
            "available_until": [None, date(2026, 3, 31), None],
            EXCLUDED: [False, None, False],
            "price": [2.0, 4.0, 8.0],
            "genres": [["war", "love"], ["love"], None],
        },
        schema_overrides={"price": pl.Float32},
    )
    frame = pl.DataFrame(events, schema=["user", "item", "timestamp"], orient="row").with_columns(
        pl.col("user", "item").cast(pl.UInt32),
        pl.col("timestamp").str.to_datetime(time_unit="us"),
        pl.lit(1.0, dtype=pl.Float32).alias("weight"),
    )
    return Tables(DAY, "UTC", frame.sort("user", "item", "timestamp"), users, items)


EVENTS = [
    (0, 0, "2026-03-30T00:00:00"),  # a day ago
    (0, 0, "2026-03-01T00:00:00"),  # 30 days ago
    (0, 1, "2026-03-21T00:00:00"),  # 10 days ago
    (1, 1, "2026-02-09T00:00:00"),  # 50 days ago
]


@pytest.fixture
def built() -> FeatureTables:
    return build_features(tables(EVENTS), FeaturesSettings(windows_days=[7, 30]))


def test_declared_features_named_like_a_count_keep_their_gaps() -> None:
    known = tables(EVENTS)
    users = known.users.with_columns(
        pl.Series("user_events_note", ["a", None, None]), pl.Series("user_events_2025", [1.0, None, None])
    )
    items = known.items.with_columns(pl.Series("item_events_note", ["a", None, None]))

    built = build_features(replace(known, users=users, items=items), FeaturesSettings())

    assert built.users["user_events_note"].to_list() == ["a", None, None]
    assert built.users["user_events_2025"].to_list() == [1.0, None, None]
    assert built.items["item_events_note"].to_list() == ["a", None, None]


def test_user_aggregates(built: FeatureTables) -> None:
    expected = {
        "user_events_7d": [1.0, 0.0, 0.0],
        "user_events_30d": [3.0, 0.0, 0.0],
        "user_events": [3.0, 1.0, 0.0],
        "user_days_since_last": [1.0, 50.0, None],
        "user_days_since_first": [30.0, 50.0, None],
        "user_active_days": [3.0, 1.0, None],
        "user_items": [2.0, 1.0, 0.0],
        "user_repeat_share": [0.5, 0.0, None],
        "user_mean_price": [3.0, 4.0, None],  # over the distinct items
    }
    assert built.users.select(*expected).to_dict(as_series=False) == expected


def test_item_aggregates(built: FeatureTables) -> None:
    expected = {
        "item_events_7d": [1.0, 0.0, 0.0],
        "item_events_30d": [2.0, 1.0, 0.0],
        "item_events": [2.0, 2.0, 0.0],
        "item_users": [1.0, 2.0, 0.0],
        "item_days_since_last": [1.0, 10.0, None],
        "item_age_days": [30.0, 50.0, -1.0],  # since the release, else since the first event
    }
    assert built.items.select(*expected).to_dict(as_series=False) == expected
    # a: 1 event in 7 days against 2 in 30, each with a thirtieth added to the daily rate
    assert built.items["item_trend"][0] == pytest.approx((1 / 7 + 1 / 30) / (2 / 30 + 1 / 30))


def test_items_are_eligible_from_their_first_to_their_last_day(built: FeatureTables) -> None:
    assert built.items["eligible"].to_list() == [True, True, False]


def test_affinity_knows_every_value_of_a_column_and_the_frequent_ones_of_a_list() -> None:
    known = tables(EVENTS)
    known = replace(known, items=known.items.with_columns(brand=pl.Series(["x", "y", "x"])))
    affinity = build_features(known, FeaturesSettings(windows_days=[7], max_categories=1)).affinity
    assert affinity.select("feature", "value").unique().sort("feature", "value").rows() == [
        ("brand", "x"),
        ("brand", "y"),
        ("genres", "love"),
    ]


def test_affinity_is_the_share_of_events_in_a_category(built: FeatureTables) -> None:
    expected = pl.DataFrame(
        [(0, "genres", "love", 1.0), (0, "genres", "war", 2 / 3), (1, "genres", "love", 1.0)],
        schema={"user": pl.UInt32, "feature": pl.String, "value": pl.String, "share": pl.Float32},
        orient="row",
    )
    assert_frame_equal(built.affinity, expected)


def test_pairs_hold_counts_days_and_recency(built: FeatureTables) -> None:
    halves = [0.5 ** (1 / 30) + 0.5, 0.5 ** (10 / 30), 0.5 ** (50 / 30)]  # the half-life is 30 days
    expected = pl.DataFrame(
        {
            "user": [0, 0, 1],
            "item": [0, 1, 1],
            "events": [2, 1, 1],
            "active_days": [2, 1, 1],
            "days_ago": [1.0, 10.0, 50.0],
            "first_days_ago": [30.0, 10.0, 50.0],
            "recency": halves,
        }
    )
    assert built.pairs.columns == expected.columns
    assert_frame_equal(built.pairs, expected, check_dtypes=False)


def test_as_of_an_earlier_day_equals_never_having_known_better() -> None:
    """The tables cut back to 15 March give what they gave on that day."""
    earlier = tables([event for event in EVENTS if event[2] < "2026-03-15"])
    earlier = Tables(date(2026, 3, 15), "UTC", earlier.events, earlier.users, earlier.items)
    settings = FeaturesSettings(windows_days=[7, 30])
    cut_back, at_the_time = (
        build_features(known, settings) for known in (tables(EVENTS).as_of(date(2026, 3, 15)), earlier)
    )
    for name in ("users", "items", "pairs", "affinity"):
        assert_frame_equal(getattr(cut_back, name), getattr(at_the_time, name))
    assert cut_back.users["user_events"].to_list() == [1.0, 1.0, 0.0]


def test_a_day_is_the_local_day() -> None:
    late = [(0, 0, "2026-03-30T21:30:00"), (0, 1, "2026-03-30T22:30:00")]  # UTC; midnight in Berlin is 22:00
    known = Tables(DAY, "Europe/Berlin", *_parts(late)).as_of(DAY)
    assert known.cut == datetime(2026, 3, 30, 22)
    assert known.events["item"].to_list() == [0]


def _parts(events: list[tuple[int, int, str]]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    parts = tables(events)
    return parts.events, parts.users, parts.items


@pytest.mark.parametrize("chosen", [[0], [1, 2], [0, 2], [0, 1, 2]])
def test_features_of_some_users_are_those_among_all(built: FeatureTables, chosen: list[int]) -> None:
    """The users' own come from their events alone; items, and what is asked of everybody, from all events."""
    everybody = tables(EVENTS)
    sample = everybody.of_users(np.array(chosen, dtype=np.uint32))
    some = build_features(everybody, FeaturesSettings(windows_days=[7, 30]), sample)

    assert_frame_equal(some.items, built.items)
    assert_frame_equal(some.users, built.users[chosen])
    places = pl.DataFrame({"user": chosen, "place": range(len(chosen))}).cast(pl.UInt32)
    for name in ("pairs", "affinity"):
        own = getattr(built, name).join(places, on="user", maintain_order="left")
        expected = own.with_columns(pl.col("place").alias("user")).drop("place")
        assert_frame_equal(getattr(some, name), expected)
    for name, columns in (("users", ["user_id", "age"]), ("pairs", ["user", "item", "days_ago"])):
        order = columns[:2]
        assert_frame_equal(
            some.lazy(name).select(columns).sort(order).collect(),
            built.lazy(name).select(columns).sort(order).collect(),
        )

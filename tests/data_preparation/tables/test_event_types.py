"""Types of events, worked out by hand: what counts, by which weight, what is a label, what is seen."""

from datetime import date
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from recsys_cli.configs.data_sections import DataSettings
from recsys_cli.configs.sections import FeaturesSettings
from recsys_cli.data_preparation.features.day_features import build_features
from recsys_cli.data_preparation.features.feature_tables import FeatureTables, seen_pairs
from recsys_cli.data_preparation.features.labels import window_pairs
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.contract import Tables, inspect_tables
from recsys_cli.data_preparation.tables.problems import Problem
from recsys_cli.utils.columns import GAIN, ITEM, ITEM_ID, TIMESTAMP, USER, USER_ID, WEIGHT
from recsys_cli.utils.errors import SettingsError

DAY = date(2026, 3, 31)
EVENTS = """
user_id item_id timestamp            kind     quantity
ann     tea     2026-03-21T00:00:00  view     1
ann     tea     2026-03-21T00:00:00  view     1
ann     tea     2026-03-21T08:00:00  view     1
ann     tea     2026-03-26T00:00:00  purchase 3
ann     tea     2026-03-30T09:00:00  return   1
ann     jam     2026-03-30T10:00:00  purchase 1
ann     jam     2026-03-30T12:00:00  return   2
bob     jam     2026-02-19T00:00:00  purchase 4
bob     cup     2026-03-11T00:00:00  view     1
bob     cup     2026-03-30T00:00:00  purchase 0
bob     cup     2026-03-30T00:00:00  scroll   1
bob     tea     2026-03-31T00:00:00  purchase 9
"""
TYPES: dict[str, dict[str, Any]] = {
    "purchase": {"seen_days": 30},
    "view": {"weight": 0.5, "label": False, "seen": False, "half_life_days": 10, "cap_per_day": 2},
    "return": {"cancels": "purchase"},
    "scroll": {"ignore": True},
}
COLUMNS = {"event_type": "kind", "weight": "quantity"}


def inspected(
    folder: Path, text: str, types: dict[str, dict[str, Any]], day: date = DAY, **interactions: Any
) -> tuple[Tables | None, list[Problem]]:
    rows = [",".join(line.split()) for line in text.strip().splitlines()]
    (folder / "events.csv").write_text("\n".join(rows) + "\n")
    settings = {"path": "events.csv", "columns": COLUMNS, **interactions}
    data = DataSettings.model_validate({"interactions": settings, "events": types})
    return inspect_tables(data, InputFolder(folder), day, "UTC")


def tables_of(folder: Path, text: str = EVENTS, types: Any = None, **interactions: Any) -> Tables:
    tables, problems = inspected(folder, text, TYPES if types is None else types, **interactions)
    assert tables is not None, problems
    items = tables.items.with_columns(shelf=tables.items[ITEM_ID].replace({"jam": "food", "tea": "food"}))
    return Tables(
        tables.day,
        tables.timezone,
        tables.events,
        tables.users,
        items,
        rules=tables.rules,
        delivered=tables.delivered,
    )


def features_of(tables: Tables) -> FeatureTables:
    return build_features(tables, FeaturesSettings(windows_days=[7, 30], half_life_days=5.0))


def named(tables: Tables, frame: pl.DataFrame, *columns: str) -> list[tuple[Any, ...]]:
    """Return rows with the ids of their users and items."""
    users, items = tables.users[USER_ID], tables.items[ITEM_ID]
    ids = frame.with_columns(pl.lit(users).gather(USER).alias(USER), pl.lit(items).gather(ITEM).alias(ITEM))
    return ids.select(USER, ITEM, *columns).rows()


def test_events_that_count_and_their_weights(tmp_path: Path) -> None:
    """Two looks a day; a tea came back, the jam too; a purchase of nothing and a scroll are no events."""
    tables = tables_of(tmp_path)

    assert named(tables, tables.events, WEIGHT) == [
        ("ann", "tea", 0.5),
        ("ann", "tea", 0.5),
        ("ann", "tea", 2.0),
        ("bob", "cup", 0.5),
        ("bob", "jam", 4.0),
    ]


def test_what_came_back_later_had_not_come_back_before(tmp_path: Path) -> None:
    tables = tables_of(tmp_path).as_of(date(2026, 3, 30))

    assert named(tables, tables.events, WEIGHT)[:3] == [
        ("ann", "tea", 0.5),
        ("ann", "tea", 0.5),
        ("ann", "tea", 3.0),
    ]
    (tmp_path / "other").mkdir()
    again, _ = inspected(tmp_path / "other", EVENTS, TYPES, date(2026, 3, 30))
    assert again is not None and tables.events.equals(again.events.with_columns(pl.col(ITEM) + 0))


def test_pairs_have_weights_ages_types_and_what_is_seen(tmp_path: Path) -> None:
    """A look of 10 days is worth a half of 0.5; recency halves a purchase every 5 days, a look every 10."""
    tables = tables_of(tmp_path)
    pairs = features_of(tables).pairs

    columns = ("events", "strength", "recency", "seen", "purchase_events", "view_events", "view_days_ago")
    assert named(tables, pairs, *columns) == [
        ("ann", "tea", 3, 2.5, 1.5, True, 1, 2, 10.0),
        ("bob", "cup", 1, 0.125, 0.125, False, 0, 1, 20.0),
        ("bob", "jam", 1, 4.0, pytest.approx(4 * 0.5**8), False, 1, 0, None),
    ]
    assert named(tables, seen_pairs(pairs)) == [("ann", "tea")]
    assert named(tables, tables.seen()) == [("ann", "tea")]


def test_users_and_items_have_features_of_each_type(tmp_path: Path) -> None:
    features = features_of(tables_of(tmp_path))

    users = features.users.rows_by_key(USER_ID, named=True, unique=True)
    expected = {
        "user_events": (3.0, 2.0),
        "user_weight": (2.5, 4.125),
        "user_weight_7d": (2.0, 0.0),
        "user_weight_30d": (2.5, 0.125),
        "user_view_events_7d": (0.0, 0.0),
        "user_view_events_30d": (2.0, 1.0),
        "user_view_events": (2.0, 1.0),
        "user_view_days_since_last": (10.0, 20.0),
        "user_purchase_events_7d": (1.0, 0.0),
        "user_purchase_days_since_last": (5.0, 40.0),
        "user_purchase_share": (pytest.approx(1 / 3), 0.5),
    }
    for name, (ann, bob) in expected.items():
        assert (users["ann"][name], users["bob"][name]) == (ann, bob), name
    items = features.items.rows_by_key(ITEM_ID, named=True, unique=True)
    assert [items[one]["item_weight_30d"] for one in ("cup", "jam", "tea")] == [0.125, 0.0, 2.5]
    assert [items[one]["item_view_events"] for one in ("cup", "jam", "tea")] == [1.0, 0.0, 2.0]


def test_affinities_are_shares_of_weights(tmp_path: Path) -> None:
    tables = tables_of(tmp_path)

    shares = features_of(tables).affinity.select(USER, "value", "share").rows()

    assert shares == [
        (0, "food", 1.0),
        (1, "cup", pytest.approx(0.125 / 4.125)),
        (1, "food", pytest.approx(4 / 4.125)),
    ]


def test_labels_are_graded_and_what_came_back_within_the_window_is_none(tmp_path: Path) -> None:
    tables = tables_of(tmp_path)

    assert named(tables, window_pairs(tables, date(2026, 3, 21), 10), GAIN) == [
        ("ann", "tea", pytest.approx(log2(3)))
    ]
    assert named(tables, window_pairs(tables, date(2026, 3, 21), 9), GAIN) == [("ann", "tea", 2.0)]
    assert window_pairs(tables, date(2026, 3, 1), 20).is_empty()  # looks are no labels


def test_labels_of_one_weight_are_not_graded(tmp_path: Path) -> None:
    tables = tables_of(tmp_path, columns={"event_type": "kind"})
    assert window_pairs(tables, date(2026, 2, 1), 50).columns == [USER, ITEM]


@pytest.mark.parametrize(
    ("signs", "left"),
    [
        ("3 -1", [2.0]),
        ("3 -3", []),
        ("1 2 -1", [1.0, 1.0]),  # the latest first
        ("1 2 -3", []),
        ("1 2 -9", []),
        ("-5 2", [2.0]),  # there was nothing to take back
        ("2 -5 2", [2.0]),
        ("2 -1 2 -2 3 -1", [1.0, 2.0]),
    ],
)
def test_cancellations_take_back_the_latest_events_before_them(
    tmp_path: Path, signs: str, left: list[float]
) -> None:
    text = "user_id item_id timestamp quantity\nother cup 2026-01-01 7\n" + "\n".join(
        f"ann tea 2026-03-{day:02} {sign}" for day, sign in enumerate(signs.split(), 1)
    )
    kind = "CASE WHEN quantity < 0 THEN 'back' ELSE 'sale' END"
    columns = {"weight": "quantity", "event_type": kind}
    tables, _ = inspected(tmp_path, text, {"sale": {}, "back": {"cancels": "sale"}}, columns=columns)

    assert tables is not None
    assert [weight for user, _, weight in named(tables, tables.events, WEIGHT) if user == "ann"] == left


def test_weights_by_sql(tmp_path: Path) -> None:
    text = "user_id item_id timestamp quantity price\nann tea 2026-03-01 2 1.5\nbob jam 2026-03-01 1 4"
    tables, _ = inspected(tmp_path, text, {"sale": {}}, columns={"weight": "quantity * price"})
    assert tables is not None and tables.events[WEIGHT].to_list() == [3.0, 4.0]


def test_caps_keep_the_first_of_a_local_day(tmp_path: Path) -> None:
    """In Tokyo the second look is of the next day."""
    text = "user_id item_id timestamp kind\n" + "\n".join(
        f"ann tea 2026-03-01T{hour}:00:00 view" for hour in ("14", "15", "23")
    )
    data = DataSettings.model_validate(
        {
            "interactions": {"path": "events.csv", "columns": {"event_type": "kind"}, "time_zone": "UTC"},
            "events": {"view": {"cap_per_day": 1}},
        }
    )
    (tmp_path / "events.csv").write_text("\n".join(",".join(line.split()) for line in text.splitlines()))

    kept = {}
    for zone in ("UTC", "Asia/Tokyo"):
        tables, _ = inspect_tables(data, InputFolder(tmp_path), DAY, zone)
        assert tables is not None
        kept[zone] = tables.events[TIMESTAMP].dt.hour().to_list()
    assert kept == {"UTC": [14], "Asia/Tokyo": [14, 15]}


def test_types_that_are_not_named_are_refused_with_the_fix(tmp_path: Path) -> None:
    types = {name: one for name, one in TYPES.items() if name not in ("scroll", "view")}

    tables, problems = inspected(tmp_path, EVENTS, types)

    (problem,) = problems
    assert tables is None and problem.severity == "error"
    assert "2 types of events are not named in data.events: 'view' (4 events), 'scroll' (1 events)" in (
        problem.what
    )
    assert "[default.data.events.view]" in problem.fix and "ignore = true" in problem.fix


def test_events_without_a_type_are_refused(tmp_path: Path) -> None:
    text = "user_id item_id timestamp kind\nann tea 2026-03-01 view\n"
    (tmp_path / "events.csv").write_text("user_id,item_id,timestamp,kind\nann,tea,2026-03-01,\n")
    tables, problems = inspected(
        tmp_path, text + "bob,tea,2026-03-01,", {"view": {}}, columns={"event_type": "kind"}
    )
    assert tables is None and [one.what for one in problems] == ["1 events have no type"]


def test_a_named_type_of_numbers_is_read_as_text(tmp_path: Path) -> None:
    text = "user_id item_id timestamp kind\nann tea 2026-03-01 01\nann tea 2026-03-02 1"
    types = {"01": {"weight": 2}, "1": {"weight": 3}}
    tables, _ = inspected(tmp_path, text, types, columns={"event_type": "kind"})
    assert tables is not None and tables.events[WEIGHT].to_list() == [2.0, 3.0]


def test_negative_weights_of_what_cancels_nothing_are_an_error(tmp_path: Path) -> None:
    text = "user_id item_id timestamp quantity\nann tea 2026-03-01 2\nann tea 2026-03-02 -1"
    tables, problems = inspected(tmp_path, text, {"sale": {}}, columns={"weight": "quantity"})
    assert tables is None
    (problem,) = problems
    assert "1 of 2 events have a negative weight" in problem.what and "cancels" in problem.fix


def test_events_of_weight_0_do_not_count_and_are_reported(tmp_path: Path) -> None:
    _, problems = inspected(tmp_path, EVENTS, TYPES)
    assert "1 of 10 events have a weight of 0: they do not count" in [one.what for one in problems]


@pytest.mark.parametrize(
    ("types", "columns"),
    [
        ({}, {}),
        ({"sale": {}}, {}),
        ({"sale": {"weight": 1.0}, "look": {"ignore": True}}, {"event_type": "kind"}),
    ],
)
def test_events_that_are_all_alike_have_no_rules(
    tmp_path: Path, types: dict[str, Any], columns: dict[str, str]
) -> None:
    text = "user_id item_id timestamp kind\nann tea 2026-03-01 sale\nbob jam 2026-03-01 sale"
    plain, _ = inspected(tmp_path, text, {}, columns={})

    tables, problems = inspected(tmp_path, text, types, columns=columns)

    assert not problems and tables is not None and plain is not None
    assert not tables.rules and tables.content_hash() == plain.content_hash()
    one, other = (build_features(each, FeaturesSettings()) for each in (plain, tables))
    assert one.users.equals(other.users) and one.items.equals(other.items) and one.pairs.equals(other.pairs)


@pytest.mark.parametrize(
    ("types", "message"),
    [
        ({"view": {"label": False}}, "no type is a label"),
        ({"sale": {}, "view": {}}, "names no event_type"),
        ({"back": {"cancels": "sold"}, "sale": {}}, "no such type that counts; choose one of: sale"),
        ({"sale": {"weight": 0}}, "a label needs a weight above 0"),
        ({"sale": {"half_life_days": 0.01}}, "half_life_days must be 0, for no decay, or at least"),
    ],
)
def test_types_that_contradict_each_other_are_refused(types: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataSettings.model_validate({"events": types})


def test_an_expression_of_unknown_columns_is_refused(tmp_path: Path) -> None:
    columns = {"event_type": "kind", "weight": "quantity * prize"}
    with pytest.raises(SettingsError, match="uses the column 'prize', which is missing"):
        inspected(tmp_path, EVENTS, TYPES, columns=columns)


def test_weights_do_not_depend_on_the_order_of_the_rows(tmp_path: Path) -> None:
    head, *rows = EVENTS.strip().splitlines()
    order = np.random.default_rng(3).permutation(len(rows))
    shuffled = "\n".join([head, *(rows[place] for place in order)])

    one, other = tables_of(tmp_path), tables_of(tmp_path, shuffled)

    assert one.events.equals(other.events) and one.content_hash() == other.content_hash()

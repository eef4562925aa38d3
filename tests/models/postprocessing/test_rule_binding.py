"""What each rule asks of the pairs of some users and items, by hand."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest

from recsys_cli.configs.rule_sections import Rule
from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.models.candidates.protocol import Pairs
from recsys_cli.models.postprocessing.rule_binding import BoundRules, DayRules, bind_rules
from recsys_cli.models.postprocessing.rule_tables import ItemGroups
from recsys_cli.utils.errors import InputError, SettingsError

_DAY = date(2026, 11, 23)
_ITEMS = pl.DataFrame(
    [
        # item_id, country, brand, tags, price, stock, since
        ("a", "DE", "Acme", ["red", "new"], 10.0, 5.0, date(2026, 11, 20)),
        ("b", "DE", "Acme", ["red"], 20.0, None, date(2026, 1, 1)),
        ("c", "FR", "Bolt", [], 30.0, -2.0, date(2026, 11, 23)),
        ("d", "FR", None, None, None, 0.0, None),
        ("e", None, "Bolt", ["new"], 50.0, 2.9, date(2025, 1, 1)),
        ("f", "IT", "Core", ["blue", "red", "red"], 60.0, float("nan"), date(2026, 11, 1)),
        ("g", "DE", "Core", ["blue"], 70.0, 9.0, date(2026, 11, 10)),
        ("h", "FR", "Acme", ["new"], 80.0, 1e12, date(2026, 11, 9)),
    ],
    schema={
        "item_id": pl.String,
        "country": pl.String,
        "brand": pl.String,
        "tags": pl.List(pl.String),
        "price": pl.Float64,
        "stock": pl.Float64,
        "since": pl.Date,
    },
    orient="row",
)
_USERS = pl.DataFrame(
    [
        ("u0", "DE", 30, ["red"]),
        ("u1", "FR", 15, []),
        ("u2", None, 40, None),
        ("u3", "DE", None, ["blue", "new"]),
        ("u4", "IT", 60, ["new"]),
    ],
    schema={"user_id": pl.String, "country": pl.String, "age": pl.Int64, "likes": pl.List(pl.String)},
    orient="row",
)
_PAIRS = pl.DataFrame(
    [(0, 0, 1.0), (0, 1, 20.0), (1, 2, 3.0)],
    schema={"user": pl.UInt32, "item": pl.UInt32, "days_ago": pl.Float32},
    orient="row",
)
_AFFINITY = pl.DataFrame(
    [
        (0, "brand", "Bolt", 0.5),
        (0, "brand", "Acme", 0.5),
        (0, "tags", "red", 0.9),
        (1, "brand", "Core", 0.7),
        (1, "brand", "Acme", 0.1),
        (3, "tags", "new", 0.1),
    ],
    schema={"user": pl.UInt32, "feature": pl.String, "value": pl.String, "share": pl.Float32},
    orient="row",
)
_ALL = "abcdefgh"
_ANYBODY = ("all items", *[_ALL] * 5)


def features_of(users: Sequence[int] = range(5)) -> FeatureTables:
    """Return the features of some of the users, whose indices start from 0."""
    own = {user: place for place, user in enumerate(users)}
    known = pl.DataFrame({"user": list(own), "new": list(own.values())}).cast(pl.UInt32)

    def chosen(frame: pl.DataFrame) -> pl.DataFrame:
        return frame.join(known, on="user").with_columns(user="new").drop("new").sort("user")

    return FeatureTables(
        _DAY,
        ("country", "age", "likes"),
        ("country", "brand", "tags", "price", "stock"),
        _USERS[list(users)],
        _ITEMS,
        chosen(_PAIRS),
        chosen(_AFFINITY),
    )


def day_rules(*rules: Mapping[str, Any], **options: Any) -> DayRules:
    read = [Rule.model_validate({"name": f"rule {place}", **rule}) for place, rule in enumerate(rules)]
    campaigns = options.pop("campaigns", {})
    return bind_rules(
        read, features_of(), options.pop("users_asked", 100), campaigns, list_length=10, **options
    )


def all_pairs(users: int) -> Pairs:
    return Pairs(np.arange(users + 1) * len(_ITEMS), np.tile(np.arange(len(_ITEMS), dtype=np.int32), users))


def marks_of(bound: BoundRules, users: int = 5) -> np.ndarray:
    return bound.marks(np.arange(users, dtype=np.uint32), all_pairs(users)).reshape(users, len(_ITEMS))


def met(bound: BoundRules, rule: int = 0) -> list[str]:
    """Return the items that meet the rule with each user."""
    bits = marks_of(bound) >> np.uint64(rule) & np.uint64(1)
    return ["".join(item for item, bit in zip(_ALL, row, strict=True) if bit) for row in bits]


def bound_rule(rule: Mapping[str, Any], **options: Any) -> BoundRules:
    shown = options.pop("shown", None)
    return day_rules(rule, **options).of_users(features_of(), shown)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"block": True, "items": "price > 55"}, ["fgh"] * 5),
        ({"block": True, "items": "price > 55", "when": "country = 'DE'"}, ["fgh", "", "", "fgh", ""]),
        ({"block": True, "when": "age < 18"}, ["", _ALL, "", "", ""]),
        (
            {"block": True, "when": "NOT users.age < 18", "items": "brand = 'Bolt'"},
            ["ce", "", "ce", "", "ce"],
        ),
        ({"block": True, "items": "1 = 1", "when": "1 = 1"}, [_ALL] * 5),
        # a pair condition that is null is broken
        (
            {"require": "items.country = users.country"},
            ["cdefh", "abefg", _ALL, "cdefh", "abcdegh"],
        ),
        ({"require": "country = users.country", "items": "price < 25"}, ["", "ab", "ab", "", "ab"]),
        ({"require": "price < 65"}, ["dgh"] * 5),
        ({"require": "users.age >= 18"}, ["", _ALL, "", _ALL, ""]),
        ({"boost": 2, "items": "array_contains(tags, 'new')"}, ["aeh"] * 5),
        ({"bury": 0.5, "items": "price > users.age"}, ["efgh", "bcefgh", "efgh", "", "gh"]),
        ({"at_least": 1, "items": "since >= DATE '2026-11-09'"}, ["acgh"] * 5),
        # equal shares: the smaller value; no events: null
        ({"at_least": 1, "items": "brand = users.favourite_brand"}, ["abh", "fg", "", "", ""]),
        ({"at_least": 1, "items": "array_contains(tags, users.favourite_tags)"}, ["abf", "", "", "aeh", ""]),
        (
            {"block": True, "items": "brand = 'Acme'", "when": "favourite_brand = 'Acme'"},
            ["abh", "", "", "", ""],
        ),
        ({"boost": 2, "items": "array_contains(users.likes, country)"}, [""] * 5),
        (
            {"boost": 2, "items": "array_contains(users.likes, 'new') AND brand = 'Core'"},
            ["", "", "", "fg", "fg"],
        ),
        ({"limit": {"by": "brand", "at_most": 1}}, [_ALL] * 5),
        ({"one_of": "brand", "items": "price >= 50"}, ["efgh"] * 5),
        ({"quota": {"at_most_lists": 3}, "items": "brand = 'Acme'"}, ["abh"] * 5),
        ({"pin": {"places": [1]}, "items": "brand = 'Bolt'", "when": "age > 35"}, ["", "", "ce", "", "ce"]),
        # both days of the dates are included
        ({"boost": 2, "items": "price = 10", "from": _DAY, "until": _DAY}, ["a"] * 5),
        ({"boost": 2, "items": "price = 10", "from": date(2026, 11, 24)}, [""] * 5),
        ({"boost": 2, "items": "price = 10", "until": date(2026, 11, 22)}, [""] * 5),
    ],
)
def test_a_rule_marks_the_pairs_that_it_says(rule: dict[str, Any], expected: list[str]) -> None:
    assert met(bound_rule(rule)) == expected


def test_users_have_the_bits_of_the_rules_that_hold_for_them() -> None:
    rules = (
        {"boost": 2, "items": "price > 1e9"},
        {"boost": 2, "items": "price = 10", "when": "country = 'DE'"},
        {"boost": 2, "items": "price = 10", "until": date(2026, 1, 1)},
        {"require": "items.country = users.country", "when": "age > 20"},
    )
    bound = day_rules(*rules).of_users(features_of())
    assert bound.user_marks(np.arange(5, dtype=np.uint32)).tolist() == [0b1011, 0b1, 0b1001, 0b11, 0b1001]
    assert marks_of(bound)[0].tolist() == [0b10, 0, 0b1000, 0b1000, 0b1000, 0b1000, 0, 0b1000]


_RULES = (
    {"require": "items.country = users.country", "when": "age > 20"},
    {"boost": 2, "items": "brand = users.favourite_brand OR price > users.age"},
    {"block": True, "items": "tags IS NULL"},
    {"pin": {"places": [2], "campaign": "c"}},
    {"cooldown": {"times": 1, "days": 7}},
)
_CAMPAIGN = pl.DataFrame({"item_id": ["a", "g", "x", "b", "c"], "user_id": ["u0", "u3", "u0", "u9", None]})
_SHOWN = pl.DataFrame(
    [(0, 0, 5, 4), (0, 1, 1, 4), (1, 2, 2, 4), (4, 7, 1, 4)],
    schema={"user": pl.UInt32, "item": pl.UInt32, "times": pl.UInt32, "rule": pl.Int8},
    orient="row",
)


def test_a_user_alone_has_the_marks_that_it_has_among_others() -> None:
    day = day_rules(*_RULES, campaigns={"c": _CAMPAIGN})
    bound = day.of_users(features_of(), _SHOWN)
    together = marks_of(bound)
    pairs = Pairs(np.array([0, 2, 5]), np.array([1, 7, 0, 2, 6], dtype=np.int32))
    some = bound.marks(np.array([0, 4], dtype=np.uint32), pairs)
    assert some.tolist() == [*together[0][[1, 7]], *together[4][[0, 2, 6]]]
    for user in range(5):
        shown = _SHOWN.filter(user=user).with_columns(pl.lit(0, pl.UInt32).alias("user"))
        alone = day.of_users(features_of([user]), shown)
        assert marks_of(alone, 1)[0].tolist() == together[user].tolist()


def test_values_in_a_table_decide_as_each_pair_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "recsys_cli.models.postprocessing.rule_conditions._CELLS_A_USER"
    found = []
    for cells in (0, 10**9):
        monkeypatch.setattr(path, cells)
        bound = day_rules(*_RULES[:3]).of_users(features_of())
        assert [test.table is None for _, test in bound.tests] == [cells == 0] * 2
        found.append(marks_of(bound).tolist())
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({}, ["abc"] * 5),
        ({"user_id": ["u0", "u0", "u4"]}, ["ab", "", "", "", "c"]),
        ({"user_id": ["u0", None, "nobody"]}, ["ab", "b", "b", "b", "b"]),
        ({"from": [None, date(2026, 11, 23), date(2026, 11, 24)]}, ["ab"] * 5),
        ({"until": ["2026-11-22", "2026-11-23", None]}, ["bc"] * 5),
    ],
)
def test_a_campaign_pins_its_items_for_its_users_on_its_days(
    columns: dict[str, Any], expected: list[str]
) -> None:
    campaign = pl.DataFrame({"item_id": ["a", "b", "c"], **columns})
    pin = {"pin": {"places": [3, 1], "campaign": "data/c.parquet"}}
    bound = bound_rule(pin, campaigns={"data/c.parquet": campaign})
    assert met(bound) == expected
    assert [(pin.rule, pin.places) for pin in bound.tables.pins] == [(0, (1, 3))]


def test_the_ids_of_a_campaign_may_be_of_another_type() -> None:
    rule = Rule.model_validate({"name": "x", "pin": {"share": 0.1, "campaign": "c"}})
    numbers = features_of()
    items = numbers.items.with_columns(pl.int_range(100, 108).alias("item_id"))
    features = FeatureTables(_DAY, (), (), numbers.users, items, numbers.pairs, numbers.affinity)
    campaign = pl.DataFrame({"item_id": ["103", "abc"], "user_id": ["u1", "u1"]})
    day = bind_rules([rule], features, 5, {"c": campaign}, list_length=10)
    assert met(day.of_users(features)) == ["", "d", "", "", ""]


def test_what_rests_is_a_pair_of_the_rule_where_its_items_hold() -> None:
    rule = {"cooldown": {"times": 2, "days": 14}, "items": "price < 75"}
    shown = pl.DataFrame(
        [
            (0, 0, 9, 0),
            (0, 1, 2, 0),
            (1, 2, 9, 0),
            (1, 3, 9, 0),  # its price is not known
            (2, 5, 9, 1),  # rests by another rule
            (3, 6, 3, 0),
            (3, 7, 3, 0),  # too dear
        ],
        schema=_SHOWN.schema,
        orient="row",
    )
    bound = bound_rule(rule, shown=shown)
    assert met(bound) == ["ab", "c", "", "g", ""]
    assert bound.tables.removing == 1
    assert met(bound_rule(rule)) == [""] * 5


def groups(found: ItemGroups) -> list[str]:
    """Return the names of each item's groups."""
    ends = zip(found.indptr[:-1], found.indptr[1:], strict=True)
    return ["+".join(found.names[code] for code in found.codes[begin:end]) for begin, end in ends]


def test_limits_count_by_a_value_by_each_of_a_list_and_without_a_column() -> None:
    tables = day_rules(
        {"limit": [{"by": "brand", "at_most": 2}, {"by": "tags", "at_most": 3}]},
        {"limit": {"at_most": 4}, "items": "price > 0"},
        {"one_of": "price"},
    ).tables
    assert [(one.rule, one.at_most) for one in tables.limits] == [(0, 2), (0, 3), (1, 4), (2, 1)]
    brand, tags, together, price = (one.groups for one in tables.limits)
    assert groups(brand) == ["Acme", "Acme", "Bolt", "", "Bolt", "Core", "Core", "Acme"]
    assert groups(tags) == ["red+new", "red", "", "", "new", "blue+red", "blue", "new"]
    assert together.names == ("",) and together.codes.tolist() == [0] * 8
    assert groups(price)[2:5] == ["30.0", "", "50.0"]
    assert brand.codes.dtype == np.int32 and brand.indptr.dtype == np.int64


def test_rules_become_tables_in_their_order() -> None:
    tables = day_rules(
        {"block": True, "items": "price > 1"},
        {"boost": 2.5, "items": "price > 1"},
        {"at_least": 3, "items": "price > 1"},
        {"bury": 0.25, "items": "price > 1"},
        {"require": "price > 1"},
        {"pin": {"places": [11, 4]}, "items": "price > 1"},
        {"pin": {"places": [11]}, "items": "price > 1"},
        {"pin": {"share": 0.2}, "items": "price > 1"},
    ).tables
    assert tables.names == tuple(f"rule {place}" for place in range(8))
    assert tables.removing == 0b10001 and tables.boosting == 0b1010
    assert tables.factors.tolist() == [1, 2.5, 1, 0.25, 1, 1, 1, 1]
    assert [(one.rule, one.at_least) for one in tables.needs] == [(2, 3)]
    assert [(one.rule, one.places) for one in tables.pins] == [(5, (4,)), (7, (3, 8))]


@pytest.mark.parametrize(
    ("share", "length", "places"),
    [
        (0.2, 5, [3]),
        (0.01, 10, [6]),
        (0.25, 10, [2, 6, 9]),
        (0.5, 4, [2, 4]),
        (1.0, 4, [1, 2, 3, 4]),
        (0.3, 1, [1]),
    ],
)
def test_places_of_a_share_are_evenly_spaced(share: float, length: int, places: list[int]) -> None:
    rule = Rule.model_validate({"name": "x", "pin": {"share": share}, "items": "price > 1"})
    tables = bind_rules([rule], features_of(), 5, {}, list_length=length).tables
    assert list(tables.pins[0].places) == places


@pytest.mark.parametrize(
    ("quota", "names", "at_most", "at_least"),
    [
        ({"at_most_lists": 3}, _ALL, [3] * 8, [0] * 8),
        # no number: no bound; below 0: none; rounded down
        ({"at_most_lists": "stock"}, _ALL, [5, -1, 0, 0, 2, -1, 9, 2**31 - 1], [0] * 8),
        ({"by": "brand", "at_most_share": 0.07}, ("Acme", "Bolt", "Core"), [7] * 3, [0] * 3),
        (
            {"by": "brand", "at_most_share": 0.079, "at_least_share": 0.011},
            ("Acme", "Bolt", "Core"),
            [7] * 3,
            [2] * 3,
        ),
        ({"at_most_lists": "stock", "at_most_share": 0.04}, _ALL, [4, 4, 0, 0, 2, 4, 4, 4], [0] * 8),
        ({"by": "brand", "at_least_share": 1.0}, ("Acme", "Bolt", "Core"), [-1] * 3, [100] * 3),
    ],
)
def test_quotas_bound_the_rows_of_each_group(
    quota: dict[str, Any], names: Sequence[str], at_most: list[int], at_least: list[int]
) -> None:
    (found,) = day_rules({"quota": quota}).tables.quotas
    assert found.groups.names == tuple(names)
    assert found.at_most.tolist() == at_most and found.at_least.tolist() == at_least
    assert found.at_most.dtype == found.at_least.dtype == np.int64


@pytest.mark.parametrize(
    ("rule", "where", "message", "fix"),
    [
        (
            {"block": True, "items": "pric > 3"},
            "items",
            "uses the column 'pric' of items, which is missing; did you mean 'price'?",
            "price",
        ),
        (
            {"block": True, "when": "contry = 'DE'"},
            "when",
            "uses the column 'contry' of users, which is missing; did you mean 'country'",
            "country",
        ),
        ({"require": "country = users.contry"}, "require", "the column 'contry' of users", "country"),
        ({"block": True, "when": "items.price > 3"}, "when", "uses the column 'items' of users", ""),
        ({"block": True, "items": "price + 1"}, "items", "is not a condition: it gives Float64", ""),
        ({"block": True, "items": "price = brand"}, "items", "cannot be used", ""),
        (
            {"limit": {"by": "brnd", "at_most": 1}},
            "limit",
            "it names the column 'brnd' of items, which is missing; did you mean 'brand'",
            "brand",
        ),
        ({"one_of": "zzz"}, "one_of", "there are item_id, country", "item_id"),
        (
            {"quota": {"at_most_lists": "brand"}},
            "quota",
            "the column 'brand' of items, which holds String",
            "a column of numbers",
        ),
        ({"quota": {"at_most_lists": "stok"}}, "quota", "did you mean 'stock'?", "stock"),
        ({"block": True, "items": "pric > 3", "until": date(2026, 1, 1)}, "items", "'pric'", "price"),
    ],
)
def test_what_cannot_be_used_names_the_rule(rule: dict[str, Any], where: str, message: str, fix: str) -> None:
    with pytest.raises(SettingsError) as caught:
        day_rules({"boost": 2, "items": "price > 1"}, rule)
    assert message in caught.value.what
    assert caught.value.where == f"rule 2, rule 1: {where}"
    assert fix in caught.value.fix


def test_all_that_cannot_be_used_is_reported_at_once_with_its_file_and_line() -> None:
    rules = [
        Rule(name="one", block=True, items="pric > 3", when="ag > 3").written_in(
            "settings/rules.toml, line 1"
        ),
        Rule(name="two", one_of="brnd").written_in("settings/rules.toml, line 9"),
    ]
    with pytest.raises(SettingsError) as caught:
        bind_rules(rules, features_of(), 100, {}, list_length=10)
    assert caught.value.where == (
        "settings/rules.toml, line 1: rule 1, one: when, settings/rules.toml, line 1: rule 1, one: items, "
        "settings/rules.toml, line 9: rule 2, two: one_of"
    )


@pytest.mark.parametrize(
    "rule",
    [{"block": True, "items": "CAST(brand AS INT) > 3"}, {"block": True, "when": "CAST(country AS INT) > 3"}],
)
def test_a_value_that_cannot_be_used_names_the_rule(rule: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        bound_rule(rule)
    assert "fails for some values: conversion from `str` to `i32` failed" in caught.value.what
    assert caught.value.where.startswith("rule 1, rule 0: ") and "TRY_CAST" in caught.value.fix


@pytest.mark.parametrize(
    ("campaign", "message"),
    [
        ({"item": ["a"]}, "the campaign c has no column item_id; there are item"),
        ({"item_id": ["a"], "from": ["soon"]}, "the campaign c has dates that cannot be read"),
    ],
)
def test_a_campaign_that_cannot_be_used_is_refused(campaign: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        bound_rule({"pin": {"places": [1], "campaign": "c"}}, campaigns={"c": pl.DataFrame(campaign)})
    assert caught.value.where == "rule 1, rule 0: pin"

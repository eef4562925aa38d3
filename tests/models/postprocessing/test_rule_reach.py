"""How many items rules meet and leave for each user, against counting by hand."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_cli.configs.rule_sections import Rule
from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.models.candidates.protocol import Pairs
from recsys_cli.models.postprocessing import rule_reach as module
from recsys_cli.models.postprocessing.rule_binding import BoundRules, bind_rules
from recsys_cli.models.postprocessing.rule_conflicts import group_sizes
from recsys_cli.models.postprocessing.rule_reach import rule_reach
from recsys_cli.models.postprocessing.rule_tables import ItemGroups

_ITEMS = pl.DataFrame(
    {
        "item_id": list("abcde"),
        "brand": ["A", "A", "B", None, "B"],
        "price": [1.0, 2.0, 3.0, 4.0, 5.0],
    }
)
_USERS = pl.DataFrame({"user_id": [0, 1, 2], "age": [10, 20, 30], "budget": [2.5, 9.0, 0.0]})
_NOTHING_SEEN = pl.DataFrame(schema={"user": pl.UInt32, "item": pl.UInt32})
_ALL = np.arange(5, dtype=np.int32)


def bound(*rules: Mapping[str, Any]) -> BoundRules:
    """Bind rules to the tables above."""
    features = FeatureTables(
        date(2026, 11, 23),
        ("age", "budget"),
        ("brand", "price"),
        _USERS,
        _ITEMS,
        pl.DataFrame(schema={"user": pl.UInt32, "item": pl.UInt32}),
        pl.DataFrame(
            schema={"user": pl.UInt32, "feature": pl.String, "value": pl.String, "share": pl.Float32}
        ),
    )
    read = [Rule.model_validate({"name": f"rule {place}", **rule}) for place, rule in enumerate(rules)]
    return bind_rules(read, features, 3, {}, list_length=3).of_users(features)


def seen(*pairs: tuple[int, int]) -> pl.DataFrame:
    return pl.DataFrame(list(pairs), schema=_NOTHING_SEEN.schema, orient="row")


def test_items_are_counted_that_rules_meet_and_leave() -> None:
    reach = rule_reach(
        bound(
            {"block": True, "items": "brand = 'B'", "when": "age > 15"},
            {"at_least": 1, "items": "price > 2.5"},
            {"at_least": 1, "items": "price > 3.5"},
        ),
        _ALL,
        seen((1, 4), (1, 0)),
    )
    assert reach.items.tolist() == [5, 3, 5]
    assert reach.left.tolist() == [5, 2, 3]  # u1: b d; u2: a b d
    assert reach.met.tolist() == [[0, 3, 2], [1, 2, 1], [2, 3, 2]]
    assert reach.open.tolist() == [[0, 3, 2], [0, 1, 1], [0, 1, 1]]
    assert reach.overlap == 2
    assert reach.holds(0).tolist() == [False, True, True]


def test_rules_of_pairs_are_counted_pair_by_pair() -> None:
    reach = rule_reach(bound({"require": "items.price <= users.budget"}), _ALL, seen((0, 0)))
    assert reach.items.tolist() == [4, 5, 5]
    assert reach.left.tolist() == [1, 5, 0]  # u0 has seen a and may have b


def test_of_very_many_pairs_some_users_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_PAIRS", 10)
    monkeypatch.setattr(module, "_PAIRS", 5)
    reach = rule_reach(bound({"require": "items.price <= users.budget"}), _ALL, seen((1, 0), (2, 3)))
    assert reach.rows.tolist() == [0, 2]
    assert reach.items.tolist() == [5, 4] and reach.left.tolist() == [2, 0]


def test_the_rule_that_removes_the_most_is_named() -> None:
    rules = bound(
        {"block": True, "items": "price > 4"},
        {"boost": 2, "items": "price > 0"},
        {"block": True, "items": "brand = 'A'"},
        {"at_least": 1, "items": "price > 4"},
    )
    reach = rule_reach(rules, _ALL, _NOTHING_SEEN)
    assert reach.remover(0, _ALL) == 2
    assert reach.remover(0, _ALL, 3) == 0


@given(st.data())
def test_counts_are_those_of_the_marks(data: st.DataObject) -> None:
    texts = ("brand = 'A'", "price > 2.5", "items.price > users.budget", "price > 9")
    actions: tuple[dict[str, Any], ...] = ({"block": True}, {"boost": 2}, {"at_least": 1})
    rules = [
        {**data.draw(st.sampled_from(actions)), "items": data.draw(st.sampled_from(texts))}
        for _ in range(data.draw(st.integers(1, 4)))
    ]
    if data.draw(st.booleans()):
        rules[0]["when"] = "age > 15"
    items = np.array(sorted(data.draw(st.sets(st.integers(0, 4)))), dtype=np.int32)
    had = data.draw(st.sets(st.tuples(st.integers(0, 2), st.integers(0, 4))))
    found, expected = rule_reach(bound(*rules), items, seen(*sorted(had))), bound(*rules)
    for user in range(3):
        own = [item for item in items.tolist() if (user, item) not in had]
        marks = expected.marks(np.array([user], dtype=np.uint32), _pairs(own)).tolist()
        left = [one for one in marks if not one & int(expected.tables.removing)]
        assert (found.items[user], found.left[user]) == (len(own), len(left))
        for rule in range(len(rules)):
            assert found.met[user, rule] == sum(one >> rule & 1 for one in marks)
            assert found.open[user, rule] == sum(one >> rule & 1 for one in left)


def _pairs(items: Sequence[int]) -> Pairs:
    return Pairs(np.array([0, len(items)], dtype=np.int64), np.array(items, dtype=np.int32))


def test_groups_have_the_sizes_of_some_items() -> None:
    groups = ItemGroups(np.array([0, 2, 2, 3, 4]), np.array([0, 1, 1, 2], dtype=np.int32), ("x", "y", "z"))
    sizes, without = group_sizes(groups, np.array([True, True, True, False]))
    assert (sizes.tolist(), without) == ([1, 2, 0], 1)

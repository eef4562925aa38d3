"""Candidates that no source proposes: for pins, for minimums, and to fill lists, by hand."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recsys_cli.configs.rule_sections import Rule
from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.models.candidates.protocol import Pairs, UserChunk
from recsys_cli.models.postprocessing.day_lists import DayLists, UserLists
from recsys_cli.models.postprocessing.list_settings import ListInputs, ListRequest, ListSettings
from recsys_cli.models.postprocessing.rule_binding import bind_rules

# Items 0 to 7 are a to h, the most popular first; lists have two places.
_ITEMS = pl.DataFrame(
    {
        "item_id": list("abcdefgh"),
        "brand": ["Acme", "Acme", "Bolt", "Bolt", "Core", "Core", "Acme", "Core"],
        "age": [1, 2, 3, 4, 5, 6, 7, 8],
    }
)
_USERS = pl.DataFrame({"user_id": ["u0", "u1", "u2"], "country": ["DE", "FR", "DE"]})
_NOTHING = np.zeros(0, dtype=np.int32)


def lists_of(*rules: Mapping[str, Any], fills: int = 0) -> UserLists:
    """Return what these rules ask of lists of two items, for the three users."""
    read = tuple(Rule.model_validate({"name": f"rule {number}", **one}) for number, one in enumerate(rules))
    pairs = pl.DataFrame(schema={"user": pl.UInt32, "item": pl.UInt32, "days_ago": pl.Float32})
    affinity = pl.DataFrame(
        schema={"user": pl.UInt32, "feature": pl.String, "value": pl.String, "share": pl.Float32}
    )
    features = FeatureTables(
        date(2026, 7, 1), ("country",), ("brand", "age"), _USERS, _ITEMS, pairs, affinity
    )
    day = bind_rules(read, features, 3, {}, list_length=2)
    popular = np.arange(8, dtype=np.int32)
    request = ListRequest(ListSettings(2, read), ListInputs(3))
    bound = DayLists(request, day, popular, _NOTHING, None)
    return UserLists(bound, day.of_users(features), np.arange(3, dtype=np.uint64), fills)


def extra(
    lists: UserLists, proposed: Sequence[Sequence[int]], viewed: Sequence[Sequence[int]] = ((), (), ())
) -> list[set[int]]:
    """Return what each user gets beside what sources propose."""
    rows = [(user, item) for user, items in enumerate(viewed) for item in items]
    places = tuple(np.array(side, dtype=int) for side in zip(*rows, strict=True)) if rows else ([], [])
    had = sparse.csr_matrix((np.ones(len(rows), dtype=np.float32), places), shape=(3, 8))
    chunk = UserChunk(np.arange(3, dtype=np.uint32), had)
    indptr = np.cumsum([0, *map(len, proposed)])
    pairs = Pairs(indptr, np.array([item for items in proposed for item in items], dtype=np.int32))
    found = lists.extra(chunk, pairs, lists.marks(chunk.users, pairs))
    return [{int(item) for item in row if item >= 0} for row in found]


_ANY = {"items": "age > 100", "boost": 2.0}  # a rule that meets no item
_FULL = [[0, 1], [0, 1], [0, 1]]


@pytest.mark.parametrize(
    ("rules", "proposed", "viewed", "expected"),
    [
        pytest.param([], _FULL, [(), (), ()], [set(), set(), set()], id="full lists need nothing"),
        pytest.param([], [[0], [], []], [(), (), ()], [set(), set(), set()], id="nothing without rules"),
        pytest.param(
            [_ANY], [[0], [], [5, 6]], [(), (0,), ()], [{1}, {1, 2}, set()], id="popular items fill"
        ),
        pytest.param(
            [{"items": "brand = 'Acme'", "block": True}],
            [[0, 1], [0, 2], [2, 3]],
            [(), (), ()],
            [{2, 3}, {3}, set()],
            id="removed candidates are replaced by allowed items",
        ),
        pytest.param(
            [{"items": "brand = 'Core'", "when": "country = 'DE'", "at_least": 1}],
            [[0, 1], [0, 1], [0, 7]],
            [(4,), (), ()],
            [{5}, set(), set()],
            id="a minimum that no candidate meets, for whom it holds",
        ),
        pytest.param(
            [{"items": "age > 7", "pin": {"places": [1]}}],
            _FULL,
            [(), (7,), ()],
            [{7}, set(), {7}],
            id="an item to pin, unless the user has had it",
        ),
        pytest.param(
            [
                {"items": "age > 7", "pin": {"places": [1]}},
                {"items": "brand = 'Core'", "when": "country = 'FR'", "block": True},
            ],
            _FULL,
            [(), (), ()],
            [{7}, set(), {7}],
            id="an item to pin that another rule removes",
        ),
    ],
)
def test_candidates_that_rules_add(
    rules: list[dict[str, Any]],
    proposed: list[list[int]],
    viewed: list[tuple[int, ...]],
    expected: list[set[int]],
) -> None:
    assert extra(lists_of(*rules), proposed, viewed) == expected


def test_a_second_choice_has_so_many_popular_items_more() -> None:
    assert extra(lists_of(_ANY, fills=3), _FULL, [(2,), (), ()]) == [{3, 4, 5}, {2, 3, 4}, {2, 3, 4}]


def test_a_rule_that_is_off_does_not_count() -> None:
    lists = lists_of({"items": "brand = 'Acme'", "block": True})
    off = UserLists(lists.day, lists.rules, lists.turns, off=np.uint64(1))
    assert extra(off, _FULL) == [set(), set(), set()]

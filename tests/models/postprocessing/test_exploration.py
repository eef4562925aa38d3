"""Exploration draws each item with the chance that it names, alike for a user alone and in a batch."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_cli.models.postprocessing.exploration import Draws, draws, explored_places, pool_of
from recsys_cli.utils.errors import SettingsError

ITEMS = pl.DataFrame(
    {
        "item_id": ["i0", "i1", "i2", "i3", "i4", "i5"],
        "eligible": [True, True, False, True, True, True],
        "item_events": [9.0, 2.0, 0.0, 2.0, 0.0, 2.0],
        "price": [1.0, 2.0, 3.0, 4.0, None, 6.0],
    }
)
WIDE = 2.576  # standard deviations either side of a 99 % interval


def turns(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2**64, count, dtype=np.uint64)


def test_the_pool_is_the_half_with_the_fewest_events_ties_by_id() -> None:
    assert pool_of(ITEMS, "").tolist() == [1, 3, 4]  # of five that may be recommended


def test_the_pool_is_what_the_condition_names_and_may_be_recommended() -> None:
    assert pool_of(ITEMS, "price >= 2").tolist() == [1, 3, 5]


def test_a_condition_over_a_missing_column_is_refused() -> None:
    with pytest.raises(SettingsError, match="prize"):
        pool_of(ITEMS, "prize > 1")


@pytest.mark.parametrize(
    ("explore", "length", "places"), [(0.0, 10, 0), (0.01, 10, 1), (0.2, 10, 2), (1.0, 3, 3)]
)
def test_a_share_of_the_places_is_drawn(explore: float, length: int, places: int) -> None:
    assert explored_places(explore, length) == places


@given(st.integers(0, 9), st.integers(1, 9), st.integers(0, 9), st.integers(1, 5), st.integers(0, 99))
def test_a_users_draws_are_different_items_of_the_pool_at_different_places(
    size: int, length: int, count: int, users: int, seed: int
) -> None:
    pool = np.arange(3, 3 + 2 * size, 2, dtype=np.int32)
    found = draws(turns(users, seed), pool, count, length)
    slots = min(size, length, count)
    assert found.items.shape == found.places.shape == (users, slots)
    assert found.chances.tolist() == pytest.approx([1 / (size - slot) for slot in range(slots)])
    for items, places in zip(found.items.tolist(), found.places.tolist(), strict=True):
        assert len(set(items)) == slots and set(items) <= set(pool.tolist())
        assert len(set(places)) == slots and set(places) <= set(range(1, length + 1))


def test_a_user_alone_draws_as_in_the_batch() -> None:
    pool, own = np.arange(50, dtype=np.int32), turns(20)
    batch = draws(own, pool, 3, 10)
    for user in range(20):
        alone = draws(own[user : user + 1], pool, 3, 10)
        assert alone.items[0].tolist() == batch.items[user].tolist()
        assert alone.places[0].tolist() == batch.places[user].tolist()


def test_draws_are_found_among_the_pairs_that_users_may_get() -> None:
    found = Draws(np.array([[7, 5], [5, 9], [1, 2]], np.int32), np.ones((3, 2), np.uint16), np.ones(2))
    indptr, items = np.array([0, 3, 5, 5]), np.array([5, 6, 7, 9, 8], np.int32)
    assert found.rows(indptr, items).tolist() == [[2, 0], [-1, 3], [-1, -1]]


def test_over_200_seeds_items_and_places_come_as_often_as_their_chances_say() -> None:
    users, pool, length = 500, np.arange(40, dtype=np.int32), 10
    items, places, second = np.zeros(40), np.zeros(length), np.zeros(40)
    for seed in range(200):
        found = draws(turns(users, seed), pool, 2, length)
        items += np.bincount(found.items.ravel(), minlength=40)
        places += np.bincount(found.places.ravel() - 1, minlength=length)
        second += np.bincount(found.items[found.items[:, 0] == 7, 1], minlength=40)
    assert_within(items, 200 * users, 2 / 40)
    assert_within(places, 200 * users, 2 / length)
    # where the first is known, the second has the chance that is named: one of the 39 that are left
    assert_within(np.delete(second, 7), int(second.sum()), 1 / 39)


def assert_within(counts: np.ndarray, trials: int, chance: float) -> None:
    """Assert that one count in a hundred, at most, and rounded up, is outside its 99 % interval."""
    spread = WIDE * np.sqrt(trials * chance * (1 - chance))
    outside = np.abs(counts - trials * chance) > spread
    assert outside.sum() <= np.ceil(len(counts) / 100), counts

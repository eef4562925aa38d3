from math import log2

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal
from scipy import sparse

from recsys_cli.models.evaluation.metrics import (
    HIT_RATE,
    MAP,
    MRR,
    NDCG,
    PER_USER,
    PRECISION,
    RECALL,
    RECTOOLS_MAP,
    RECTOOLS_NDCG,
    bootstrap_interval,
    catalogue_coverage,
    gini_of_exposure,
    intra_list_diversity,
    mean_inv_user_freq,
    top_item_share,
    user_metrics,
)
from recsys_cli.utils.columns import ITEM, RANK, USER

Lists = dict[int, list[int]]  # items by user, best first


def lists_frame(lists: Lists) -> pl.DataFrame:
    rows = [(user, item, rank) for user, items in lists.items() for rank, item in enumerate(items, 1)]
    return pl.DataFrame(rows, schema={USER: pl.UInt32, ITEM: pl.UInt32, RANK: pl.UInt16}, orient="row")


def pairs_frame(pairs: Lists) -> pl.DataFrame:
    rows = [(user, item) for user, items in pairs.items() for item in items]
    return pl.DataFrame(rows, schema={USER: pl.UInt32, ITEM: pl.UInt32}, orient="row")


def by_hand(items: list[int], relevant: list[int], k: int) -> dict[str, float]:
    """The definitions, place by place, in plain Python."""
    places = [place for place, item in enumerate(items[:k], 1) if item in relevant]
    reach = min(len(relevant), k)
    ideal = sum(1 / log2(place + 1) for place in range(1, reach + 1))
    return {
        MAP: sum(hits / place for hits, place in enumerate(places, 1)) / reach,
        NDCG: sum(1 / log2(place + 1) for place in places) / ideal,
        RECALL: len(places) / len(relevant),
        PRECISION: len(places) / k,
        HIT_RATE: float(bool(places)),
        MRR: 1 / places[0] if places else 0.0,
        RECTOOLS_MAP: sum(hits / place for hits, place in enumerate(places, 1)) / len(relevant),
        RECTOOLS_NDCG: sum(1 / log2(place + 1) for place in places)
        / sum(1 / log2(place + 1) for place in range(1, k + 1)),
    }


distinct_items = st.lists(st.integers(0, 15), max_size=12, unique=True)
some_lists = st.dictionaries(st.integers(0, 8), distinct_items, max_size=8)
some_truth = st.dictionaries(
    st.integers(0, 8), st.lists(st.integers(0, 20), min_size=1, max_size=14, unique=True), min_size=1
)
some_k = st.integers(1, 12)


def test_values_by_hand() -> None:
    lists = lists_frame({1: [10, 11, 12, 13], 2: [10, 11, 12, 13], 4: [10, 11]})
    truth = pairs_frame({1: [11, 13, 99], 2: [10], 3: [10]})

    measured = user_metrics(lists, truth, 3)

    # user 1 hits place 2 alone: 13 stands at place 4; user 3 has no list; user 4 has no truth
    ideal = 1 + 1 / log2(3) + 1 / 2
    expected = pl.DataFrame(
        {
            USER: pl.Series([1, 2, 3], dtype=pl.UInt32),
            MAP: [1 / 2 / 3, 1.0, 0.0],
            NDCG: [1 / log2(3) / ideal, 1.0, 0.0],
            RECALL: [1 / 3, 1.0, 0.0],
            PRECISION: [1 / 3, 1 / 3, 0.0],
            HIT_RATE: [1.0, 1.0, 0.0],
            MRR: [1 / 2, 1.0, 0.0],
            RECTOOLS_MAP: [1 / 2 / 3, 1.0, 0.0],
            RECTOOLS_NDCG: [1 / log2(3) / ideal, 1 / ideal, 0.0],
        }
    )
    assert_frame_equal(measured, expected)


def test_more_relevant_items_than_places_still_allow_a_perfect_list() -> None:
    measured = user_metrics(lists_frame({1: [1, 2]}), pairs_frame({1: [1, 2, 3, 4]}), 2)

    full = {MAP: 1.0, NDCG: 1.0, RECALL: 0.5, PRECISION: 1.0, HIT_RATE: 1.0, MRR: 1.0}
    assert measured.drop(USER).row(0, named=True) == pytest.approx(
        {**full, RECTOOLS_MAP: 0.5, RECTOOLS_NDCG: 1.0}
    )


@given(some_lists, some_truth, some_k)
def test_equals_the_definitions_in_plain_python(lists: Lists, truth: Lists, k: int) -> None:
    measured = user_metrics(lists_frame(lists), pairs_frame(truth), k)

    assert measured[USER].to_list() == sorted(truth)
    for row in measured.iter_rows(named=True):
        user = row.pop(USER)
        assert row == pytest.approx(by_hand(lists.get(user, []), truth[user], k))


@given(some_lists, some_truth, some_k)
def test_every_measure_stays_between_0_and_1(lists: Lists, truth: Lists, k: int) -> None:
    measured = user_metrics(lists_frame(lists), pairs_frame(truth), k).drop(USER).to_numpy()

    assert measured.min() >= 0.0
    assert measured.max() <= 1.0 + 1e-12


@given(some_lists, some_truth, some_k, st.integers(0, 1000))
def test_the_order_of_the_rows_changes_nothing(lists: Lists, truth: Lists, k: int, seed: int) -> None:
    ordered = lists_frame(lists), pairs_frame(truth)
    shuffled = (frame.sample(fraction=1.0, shuffle=True, seed=seed) for frame in ordered)

    assert_frame_equal(user_metrics(*shuffled, k), user_metrics(*ordered, k), check_exact=True)


@given(some_truth)
def test_the_relevant_items_first_are_a_perfect_list(truth: Lists) -> None:
    lists = {user: [*items, 50, 51] for user, items in truth.items()}

    for k in (1, 14):
        measured = user_metrics(lists_frame(lists), pairs_frame(truth), k)
        assert measured[NDCG].to_list() == pytest.approx([1.0] * len(truth))
        assert measured[MAP].to_list() == pytest.approx([1.0] * len(truth))
        assert measured[MRR].to_list() == [1.0] * len(truth)
    assert measured[RECALL].to_list() == [1.0] * len(truth)


def test_what_rectools_own_example_gives() -> None:
    """Of the docstring of its NDCG: three places, users with no, one, two and three hits."""
    lists = {1: [7, 8], 2: [1, 2], 3: [1, 2, 3, 4], 4: [1, 2, 3]}
    truth = {1: [1, 2], 2: [1], 3: [1, 3, 4], 4: [1, 2, 3]}
    measured = user_metrics(lists_frame(lists), pairs_frame(truth), 3)
    assert measured[RECTOOLS_NDCG].to_list() == pytest.approx([0.0, 0.46927873, 0.70391809, 1.0])


def test_no_lists_at_all_measure_0() -> None:
    measured = user_metrics(lists_frame({}), pairs_frame({5: [1]}), 10)

    assert measured.rows() == [(5, *[0.0] * (len(PER_USER) + 2))]


def test_coverage_counts_distinct_items_of_the_first_places() -> None:
    lists = lists_frame({1: [1, 2, 3], 2: [2, 1, 4]})

    assert catalogue_coverage(lists, 2, 8) == 2 / 8
    assert catalogue_coverage(lists, 3, 8) == 4 / 8


def test_novelty_is_the_mean_of_the_items_bits() -> None:
    owners = pl.DataFrame({"item": [1, 2], "users": [4, 1]}, schema={"item": pl.UInt32, "users": pl.UInt32})

    assert mean_inv_user_freq(lists_frame({9: [1, 2]}), owners, 4, 10) == pytest.approx((0 + 2) / 2)
    assert mean_inv_user_freq(lists_frame({9: [1, 2]}), owners, 4, 1) == 0.0
    assert mean_inv_user_freq(lists_frame({9: [77]}), owners, 4, 10) == pytest.approx(
        2.0
    )  # nobody: as one user


def test_interval_encloses_the_mean_and_repeats_itself() -> None:
    differences = np.random.default_rng(1).normal(0.1, 1.0, 400)

    low, high = bootstrap_interval(differences)

    error = differences.std() / np.sqrt(len(differences))
    assert (low, high) == bootstrap_interval(differences)
    assert low == pytest.approx(differences.mean() - 1.96 * error, abs=0.02)
    assert high == pytest.approx(differences.mean() + 1.96 * error, abs=0.02)


def test_diversity_is_the_mean_distance_of_two_items() -> None:
    half = np.sqrt(0.5)
    vectors = sparse.csr_matrix([[1, 0, 0], [half, half, 0], [0, 0, 1], [0, 0, 0]])
    three = lists_frame({1: [0, 1, 2]})

    # cosines: half, 0, 0; item 3 has no words
    assert intra_list_diversity(three, vectors, 10) == pytest.approx((1 - half + 1 + 1) / 3)
    assert intra_list_diversity(three, vectors, 2) == pytest.approx(1 - half)
    two = lists_frame({1: [0, 1, 3], 2: [0, 2], 3: [0], 4: [3]})
    assert intra_list_diversity(two, vectors, 10) == pytest.approx((1 - half + 1) / 2)
    assert intra_list_diversity(lists_frame({1: [3]}), vectors, 10) == 0.0
    assert intra_list_diversity(lists_frame({1: [0]}), vectors, 10) == 0.0


def test_graded_ndcg_by_hand() -> None:
    """Ann's list has the lesser item first; of Bob's three, two fit a list of two, and one is found last."""
    ground_truth = pl.DataFrame(
        {
            "user": [0, 0, 1, 1, 1],
            "item": [1, 2, 1, 2, 3],
            "gain": [2.0, 1.0, 3.0, 1.0, 2.0],
        },
        schema_overrides={"user": pl.UInt32, "item": pl.UInt32},
    )
    lists = pl.DataFrame(
        {"user": [0, 0, 1, 1], "item": [2, 1, 9, 3], "rank": [1, 2, 1, 2]},
        schema_overrides={"user": pl.UInt32, "item": pl.UInt32, "rank": pl.UInt16},
    )
    second = 1 / np.log2(3)

    graded, binary = (
        user_metrics(lists, relevant, 2) for relevant in (ground_truth, ground_truth.drop("gain"))
    )

    expected = [(1 + 2 * second) / (2 + second), 2 * second / (3 + 2 * second)]
    np.testing.assert_allclose(graded["NDCG"], expected)
    np.testing.assert_allclose(binary["NDCG"], [1.0, second / (1 + second)])
    assert graded.drop("NDCG").equals(binary.drop("NDCG"))


@pytest.mark.parametrize(
    ("lists", "catalogue", "gini", "top"),
    [
        ({0: [1, 2], 1: [3, 4]}, 4, 0.0, 0.5),  # all alike
        ({0: [1], 1: [1], 2: [1]}, 4, 0.75, 1.0),  # one has it all: 1 - 1 / 4
        ({0: [1, 2], 1: [1, 3]}, 3, 1 / 6, 1.0),  # 1, 1, 2 lists: (-2 * 1 + 0 * 1 + 2 * 2) / (3 * 4)
        ({0: [1, 2, 9], 1: [1, 3, 9]}, 3, 1 / 6, 1.0),  # the third place does not count
        ({0: [1], 1: []}, 2, 0.5, 0.5),
        ({}, 3, 0.0, 0.0),
    ],
)
def test_exposure_by_hand(lists: Lists, catalogue: int, gini: float, top: float) -> None:
    frame = lists_frame(lists)

    assert gini_of_exposure(frame, 2, catalogue) == pytest.approx(gini)
    assert top_item_share(frame, 2, len(lists)) == top


@given(st.lists(distinct_items, min_size=1, max_size=6), st.integers(1, 12))
def test_gini_is_half_the_mean_difference_over_the_mean(lists: list[list[int]], k: int) -> None:
    frame = lists_frame(dict(enumerate(lists)))
    held = [sum(item in items[:k] for items in lists) for item in range(16)]
    apart = sum(abs(one - other) for one in held for other in held)

    expected = apart / (2 * 16 * sum(held)) if sum(held) else 0.0
    assert gini_of_exposure(frame, k, 16) == pytest.approx(expected)
    assert top_item_share(frame, k, len(lists)) == pytest.approx(max(held) / len(lists))

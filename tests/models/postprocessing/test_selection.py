import numpy as np
import pytest
from scipy import sparse

from recsys_cli.models.postprocessing.item_similarity import ItemSimilarity
from recsys_cli.models.postprocessing.rule_tables import Limit, Need, Pin, PlacedBy, Quota, RuleTables
from recsys_cli.models.postprocessing.selection import (
    Chosen,
    Diversity,
    Explored,
    Ledger,
    Shortlist,
    select_lists,
)
from tests.models.postprocessing.selection_tables import (
    groups_of,
    lists_of,
    one_group,
    reasons_of,
    shortlist_of,
    tables_of,
)

SCORES = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]  # of items 0 to 7, for every user
BRANDS = groups_of([0], [0], [0], [1], [1], [], [0, 1], [])
SCORE = (PlacedBy.SCORE, -1)


def five_users(marks: dict[int, int], user_marks: list[int] | None = None) -> Shortlist:
    """Return five users with all items, in another order for each; `marks` are those of items."""
    users = []
    for user in range(5):
        items = np.roll(np.arange(8), user).tolist()
        users.append({item: (SCORES[item], marks.get(item, 0)) for item in items})
    return shortlist_of(users, user_marks or [1, 1, 0, 3, 2])


def unmet(chosen: Chosen) -> list[int]:
    return chosen.unmet(2).tolist()


# the lists of four: user 0 and 1 meet rule 0; user 2 none; user 3 rules 0 and 1; user 4 rule 1
@pytest.mark.parametrize(
    ("tables", "marks", "with_0", "with_both", "with_1", "missed"),
    [
        pytest.param(
            tables_of(2.0, 0.5),
            {4: 1, 0: 2},
            [4, 0, 1, 2],
            [4, 1, 2, 3],
            [1, 2, 3, 4],
            [0, 0],
            id="boost and bury",
        ),
        pytest.param(
            tables_of(1, 1, pins=(Pin(0, (1, 3)), Pin(1, (1,)))),
            {5: 1, 6: 1, 7: 2},
            [5, 0, 6, 1],
            [5, 7, 6, 0],
            [7, 0, 1, 2],
            [0, 0],
            id="pins: a place that is taken moves on",
        ),
        pytest.param(
            tables_of(1, 1, pins=(Pin(0, (1, 2)),)),
            {7: 1},
            [7, 0, 1, 2],
            [7, 0, 1, 2],
            [0, 1, 2, 3],
            [3, 0],
            id="a pin too many is unmet",
        ),
        pytest.param(
            tables_of(1, 1, limits=(Limit(0, BRANDS, 2), Limit(1, BRANDS, 1))),
            dict.fromkeys(range(8), 3),
            [0, 1, 3, 4],
            [0, 3, 5, 7],
            [0, 3, 5, 7],
            [0, 0],
            id="limits, the stricter one holds",
        ),
        pytest.param(
            tables_of(1, 1, limits=(Limit(0, one_group(8), 1),)),
            {0: 1, 1: 1, 2: 1},
            [0, 3, 4, 5],
            [0, 3, 4, 5],
            [0, 1, 2, 3],
            [0, 0],
            id="a limit of the items that match",
        ),
        pytest.param(
            tables_of(1, 1, needs=(Need(0, 1), Need(1, 2))),
            {6: 1, 7: 2, 5: 2},
            [0, 1, 2, 6],
            [0, 5, 6, 7],
            [0, 1, 5, 7],
            [0, 0],
            id="needs come in at the end",
        ),
        pytest.param(
            tables_of(1, 1, needs=(Need(0, 2), Need(1, 1))),
            {6: 3},
            [0, 1, 2, 6],
            [0, 1, 6, 2],
            [0, 1, 2, 6],
            [3, 0],
            id="an unmet need is counted and the list is full",
        ),
        pytest.param(
            tables_of(1, 1, pins=(Pin(0, (2,)),), limits=(Limit(1, BRANDS, 1),)),
            {0: 2, 1: 2, 2: 3, 6: 3},
            [0, 2, 1, 3],
            [3, 2, 4, 5],
            [0, 3, 4, 5],
            [0, 0],
            id="a pin counts for limits",
        ),
    ],
)
def test_each_action(
    tables: RuleTables,
    marks: dict[int, int],
    with_0: list[int],
    with_both: list[int],
    with_1: list[int],
    missed: list[int],
) -> None:
    shortlist = five_users(marks)
    chosen = select_lists(shortlist, tables, 4)
    assert lists_of(shortlist, chosen) == [with_0, with_0, [0, 1, 2, 3], with_both, with_1]
    assert unmet(chosen) == missed
    assert chosen.ranks.tolist() == [1, 2, 3, 4] * 5


def test_a_list_that_limits_keep_short_has_ranks_without_gaps() -> None:
    tables = tables_of(1, limits=(Limit(0, one_group(8), 2),), pins=(Pin(0, (7,)),))
    shortlist = shortlist_of([{item: (SCORES[item], 1) for item in range(8)}])
    chosen = select_lists(shortlist, tables, 8)
    assert lists_of(shortlist, chosen) == [[1, 0]] and chosen.ranks.tolist() == [1, 2]


def test_equal_values_are_ordered_by_item() -> None:
    shortlist = shortlist_of([{5: (0.5, 0), 3: (0.25, 1), 4: (0.5, 0), 2: (0.5, 0)}] * 2, [0, 1])
    assert lists_of(shortlist, select_lists(shortlist, tables_of(2.0), 3)) == [[2, 4, 5], [2, 3, 4]]


def test_one_place_goes_to_the_item_that_meets_most_needs() -> None:
    tables = tables_of(1, 1, needs=(Need(0, 1), Need(1, 1)))
    shortlist = shortlist_of([{0: (0.9, 1), 1: (0.8, 2), 2: (0.1, 3)}])
    chosen = select_lists(shortlist, tables, 1)
    assert lists_of(shortlist, chosen) == [[2]] and unmet(chosen) == [0, 0]


def test_what_placed_each_row_is_named() -> None:
    tables = tables_of(3.0, 1, 1, 1.0, pins=(Pin(1, (2,)),), needs=(Need(2, 1),))
    shortlist = shortlist_of(
        [
            {
                0: (0.9, 0),
                1: (0.8, 1),
                2: (0.7, 0),
                3: (0.5, 0),
                4: (0.4, 1),
                5: (0.3, 0),
                6: (0.2, 4),
                7: (0.1, 2),
            }
        ]
    )
    chosen = select_lists(shortlist, tables, 5)
    assert lists_of(shortlist, chosen) == [[1, 7, 4, 0, 6]]
    assert reasons_of(chosen) == [
        SCORE,
        (PlacedBy.PIN, 1),
        SCORE,  # it is the fifth by score as well
        SCORE,
        (PlacedBy.AT_LEAST, 2),
    ]
    boosted = select_lists(shortlist, tables, 3)
    assert lists_of(shortlist, boosted) == [[1, 7, 6]]
    only_boost = select_lists(shortlist, tables_of(3.0), 2)
    assert lists_of(shortlist, only_boost) == [[1, 4]]
    assert reasons_of(only_boost) == [SCORE, (PlacedBy.BOOST, 0)]


def test_explored_pairs_take_places_behind_pins() -> None:
    shortlist = five_users({7: 1})
    rows, places = np.full((5, 2), -1), np.full((5, 2), 2)
    rows[0], rows[2, 1] = [5, 7], 16 + int(np.flatnonzero(shortlist.items[16:24] == 6)[0])
    chosen = select_lists(
        shortlist, tables_of(1, 1, pins=(Pin(0, (2,)),)), 4, explored=Explored(rows, places)
    )
    assert lists_of(shortlist, chosen)[:3] == [[0, 7, 5, 1], [0, 7, 1, 2], [0, 6, 1, 2]]
    assert reasons_of(chosen)[:3] == [SCORE, (PlacedBy.PIN, 0), (PlacedBy.EXPLORE, -1)]


ALIKE = np.array([[1, 0], [1, 0], [0.6, 0.8], [0, 1]], dtype=np.float32)


@pytest.mark.parametrize(
    "similarity",
    [
        ItemSimilarity.of_vectors(ALIKE),
        ItemSimilarity.of_tokens(sparse.csr_matrix(ALIKE)),
        ItemSimilarity.of_neighbours(sparse.csr_matrix(ALIKE @ ALIKE.T)),
    ],
    ids=lambda similarity: similarity.form.name,
)
def test_diversity(similarity: ItemSimilarity) -> None:
    shortlist = shortlist_of([{0: (0.8, 0), 1: (0.8, 0), 2: (0.6, 0), 3: (0.2, 0)}] * 2)
    # second place: 1: 0.5 - 0.5 = 0; 2: 0.375 - 0.3 = 0.075; 3: 0.125 - 0. Third: 2: 0.375 - 0.4 < 1: 0
    chosen = select_lists(shortlist, tables_of(), 3, Diversity(similarity, 0.5))
    assert lists_of(shortlist, chosen) == [[0, 3, 1]] * 2
    assert reasons_of(chosen)[:3] == [SCORE, (PlacedBy.DIVERSITY, -1), SCORE]
    none = select_lists(shortlist, tables_of(), 3, Diversity(similarity, 0.0))
    assert lists_of(shortlist, none) == [[0, 1, 2]] * 2


def stock_of_two(prices: list[float] | None = None) -> tuple[RuleTables, Ledger]:
    """Return a quota of two lists for items 0 and 1 and none for others; the last users are served first."""
    items = groups_of(*([item] for item in range(8)))
    at_most = np.array([2, 2, -1, -1, -1, -1, -1, -1])
    tables = tables_of(1, 1, quotas=(Quota(1, items, at_most, np.zeros(8, dtype=np.int64)),))
    ledger = Ledger.full(tables, np.arange(5)[::-1])
    return tables, Ledger(np.array(prices or [0.0] * 8, dtype=np.float32), ledger.left, ledger.order)


def test_a_quota_serves_users_in_order_and_names_what_it_cut_off() -> None:
    tables, ledger = stock_of_two()
    shortlist = five_users(dict.fromkeys(range(8), 2), [2] * 5)
    chosen = select_lists(shortlist, tables, 2, ledger=ledger)
    assert lists_of(shortlist, chosen) == [[2, 3], [2, 3], [2, 3], [0, 1], [0, 1]]
    assert ledger.left.tolist() == [0, 0, -1, -1, -1, -1, -1, -1]
    assert reasons_of(chosen) == [(PlacedBy.QUOTA, 1)] * 6 + [SCORE] * 4
    assert chosen.cut.indptr.tolist() == [0, 2, 4, 6, 6, 6]
    assert shortlist.items[chosen.cut.rows].tolist() == [0, 1] * 3
    assert chosen.cut.ranks.tolist() == [1, 2] * 3 and set(chosen.cut.rules.tolist()) == {1}


def test_prices_come_off_the_value_and_not_off_other_pairs() -> None:
    tables, ledger = stock_of_two([0.75, 0.0, 0.0, -0.25, 0, 0, 0, 0])
    marks = dict.fromkeys(range(8), 2)
    shortlist = five_users(marks, [2, 0, 0, 0, 0])
    chosen = select_lists(shortlist, tables, 3, ledger=ledger)
    assert lists_of(shortlist, chosen) == [[3, 1, 2]] + [[0, 1, 2]] * 4
    assert reasons_of(chosen)[:3] == [(PlacedBy.QUOTA, -1), SCORE, SCORE]
    assert chosen.cut.rows.tolist() == []


def test_no_user_and_no_pair() -> None:
    tables = tables_of(1, needs=(Need(0, 1),))
    assert select_lists(shortlist_of([]), tables, 3).indptr.tolist() == [0]
    chosen = select_lists(shortlist_of([{}, {1: (0.5, 0)}]), tables, 3)
    assert chosen.indptr.tolist() == [0, 0, 1] and unmet(chosen) == [2, 0]

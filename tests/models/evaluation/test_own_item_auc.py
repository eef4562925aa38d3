"""The figure that separates learnt vectors from random ones, against cases that one can work out by hand."""

from typing import Any, cast

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recsys_cli.models.candidates.sources.lightfm_model import LightFMGenerator, LightFMItems, LightFMSide
from recsys_cli.models.evaluation.own_item_auc import own_item_auc
from recsys_cli.models.two_stage import BoundDay

NOBODY = LightFMSide(pl.Series("user_id", [], dtype=pl.String), np.zeros((0, 6), "f4"), np.zeros(0, "f4"))
HISTORY = np.array([[1, 1, 0, 0, 0, 1], [0, 1, 1, 0, 0, 0], [0, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 0]], "f4")


def day(taste: np.ndarray, biases: np.ndarray, history: np.ndarray = HISTORY) -> BoundDay:
    """Return a day on which a user's score of an item is her taste for it, and its bias."""
    items = np.column_stack([np.eye(6, dtype="f4"), biases.astype("f4")])
    queries = np.column_stack([taste.astype("f4"), np.ones(len(taste), "f4")])
    bound = LightFMItems(NOBODY, items, np.arange(6, dtype=np.int32), 3)
    generator = LightFMGenerator(queries, np.ones(len(taste), dtype=bool), bound)
    return BoundDay((generator,), cast(Any, None), sparse.csr_matrix(history), filter_viewed=True)


@pytest.mark.parametrize(
    ("taste", "biases", "expected"),
    [
        (HISTORY, np.zeros(6), 1.0),
        (-HISTORY, np.zeros(6), 0.0),
        (0 * HISTORY, np.zeros(6), 0.5),
        # User 0 has 0, 1, 5 against 2; user 1 has 1, 2 against 3, 4; user 3 has 3, 4 against 0, 1, 5: of
        # the scores 0 to 5, larger are 1 of 3, 0 of 4 and 4 of 6.
        (0 * HISTORY, np.arange(6), (1 / 3 + 0 + 4 / 6) / 3),
    ],
    ids=["her own", "all but her own", "all alike", "popular"],
)
def test_the_area_is_that_of_pairs_counted_by_hand(
    taste: np.ndarray, biases: np.ndarray, expected: float
) -> None:
    assert own_item_auc(day(taste, biases)) == pytest.approx(expected)


def test_too_few_say_nothing() -> None:
    assert own_item_auc(day(HISTORY[:1], np.zeros(6), HISTORY[:1])) is None
    assert own_item_auc(day(0 * HISTORY, np.zeros(6), 0 * HISTORY)) is None
    assert own_item_auc(day(np.ones((3, 6)), np.zeros(6), np.ones((3, 6), "f4"))) is None  # all had all

"""Item kNN and EASE against computations of their own in numpy."""

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recsys_cli.models.candidates.protocol import Pairs, UserChunk
from recsys_cli.models.candidates.sources.ease import EASESettings, fit_ease
from recsys_cli.models.candidates.sources.item_knn import fit_item_knn
from recsys_cli.models.candidates.sources.similarity import SimilarityModel

COUNTS = np.array(
    [
        [2, 1, 0, 0, 0, 1],
        [1, 0, 3, 0, 0, 0],
        [0, 1, 1, 1, 0, 0],
        [0, 0, 0, 5, 1, 0],
        [1, 1, 0, 0, 0, 0],
    ],
    dtype=np.float64,
)
IDS = pl.Series("id", list("abcdef"))
ITEMS = COUNTS.shape[1]


def cosine_of(counts: np.ndarray) -> np.ndarray:
    similarities = np.zeros((ITEMS, ITEMS))
    for one in range(ITEMS):
        for other in range(ITEMS):
            left, right = counts[:, one] > 0, counts[:, other] > 0
            similarities[one, other] = (left & right).sum() / np.sqrt(left.sum() * right.sum())
    return similarities


def bm25_of(counts: np.ndarray) -> np.ndarray:
    """An item is a document, its users are the words: k1 = 1.2, b = 0.75."""
    vectors = np.zeros((ITEMS, len(counts)))
    mean_length = counts.sum() / ITEMS
    for item in range(ITEMS):
        length = 0.25 + 0.75 * counts[:, item].sum() / mean_length
        for user, frequency in enumerate(counts[:, item]):
            rarity = np.log(ITEMS / (1 + (counts[user] > 0).sum()))
            vectors[item, user] = frequency * 2.2 / (1.2 * length + frequency) * rarity
    return np.asarray(vectors @ vectors.T)


def ease_of(counts: np.ndarray, regularization: float) -> np.ndarray:
    """Ridge regression of each item on all the others, one at a time."""
    seen, weights = (counts > 0).astype(float), np.zeros((ITEMS, ITEMS))
    for item in range(ITEMS):
        others = [one for one in range(ITEMS) if one != item]
        known = seen[:, others]
        ridge = known.T @ known + regularization * np.eye(ITEMS - 1)
        weights[others, item] = np.linalg.solve(ridge, known.T @ seen[:, item])
    return weights


@pytest.mark.parametrize(("name", "expected"), [("cosine", cosine_of), ("bm25", bm25_of)])
@pytest.mark.parametrize("neighbours", [3, 6])
def test_item_knn_keeps_the_largest_similarities(name: str, expected: object, neighbours: int) -> None:
    counts = COUNTS > 0 if name == "cosine" else COUNTS
    model = fit_item_knn(sparse.csr_matrix(counts, dtype=np.float32), IDS, name, neighbours, threads=1)

    whole = expected(COUNTS)  # type: ignore[operator]
    kept = np.asarray(model.weights.todense())
    assert [np.count_nonzero(row) for row in kept] == [
        min(neighbours, np.count_nonzero(row)) for row in whole
    ]
    assert model.ids.to_list() == list("abcdef") and kept.dtype == np.float32
    for item in range(ITEMS):
        chosen = np.flatnonzero(kept[item])
        np.testing.assert_allclose(kept[item, chosen], whole[item, chosen], rtol=1e-5)
        assert kept[item, chosen].min() >= np.sort(whole[item])[::-1][:neighbours].min() - 1e-6


def test_ease_is_a_ridge_regression_of_each_item_on_the_others() -> None:
    model = fit_ease(sparse.csr_matrix(COUNTS > 0, dtype=np.float32), IDS, EASESettings(regularization=2.0))

    np.testing.assert_allclose(model.weights, ease_of(COUNTS, 2.0), rtol=1e-4, atol=1e-6)
    assert isinstance(model.weights, np.ndarray) and model.weights.dtype == np.float32


@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
def test_scores_sum_what_the_users_items_say_even_if_the_catalogue_has_changed(dense: bool) -> None:
    """Of the model's items, "b" has left the catalogue; "new" has come."""
    weights = np.array([[0.0, 0.5, 0.25], [0.5, 0.0, 1.0], [2.0, 1.0, 0.0]], dtype=np.float32)
    model = SimilarityModel(
        pl.Series("id", ["a", "b", "c"]), weights if dense else sparse.csr_matrix(weights)
    )
    taste = sparse.csr_matrix(np.array([[1, 7, 3], [0, 7, 0]], dtype=np.float32))  # of a, new, c
    bound = model.on(pl.Series("item_id", ["a", "new", "c"])).bound(np.array([True, True, True]))
    generator = bound.of_users("one", taste, 5)
    nothing = sparse.csr_matrix((2, 3), dtype=np.float32)

    scores = generator.score(UserChunk(np.arange(2, dtype=np.uint32), nothing))

    every = scores.of_pairs(Pairs(np.array([0, 3, 6]), np.tile(np.arange(3, dtype=np.int32), 2)))
    assert every.tolist() == [3 * 2.0, 0.0, 1 * 0.25, 0.0, 0.0, 0.0]
    assert [[item for item in own if item >= 0] for own in scores.lists.tolist()] == [[0, 2], []]

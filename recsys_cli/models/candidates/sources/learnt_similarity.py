"""How alike two items are by the weights that item kNN and EASE have learnt of pairs of items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from recsys_cli.models.candidates.definition import S, SourceDay
from recsys_cli.models.candidates.sources.similarity import ItemWeights, SimilarityModel
from recsys_cli.utils.columns import ITEM_ID

if TYPE_CHECKING:
    from scipy import sparse

    from recsys_cli.models.postprocessing.item_similarity import ItemSimilarity

_NEIGHBOURS = 100  # of each item, where every pair of items has a weight
_ROWS = 512  # of such weights that are looked at together


def learnt_similarity(day: SourceDay[S]) -> ItemSimilarity | None:
    """Return the similarities of a day's items by their learnt weights; None where nothing was learnt.

    The larger weight of both directions counts. It is divided by the root of both items' own weights, or of
    their largest ones where an item has no weight with itself: so it is the cosine, if the weights are
    products of vectors, and 1 at most.
    """
    model: SimilarityModel | None = day.fitted
    if model is None:
        return None
    from recsys_cli.models.postprocessing.item_similarity import ItemSimilarity

    weights = model.on(day.features.items[ITEM_ID])
    return ItemSimilarity.of_neighbours(_spread(_scaled(_positive(weights)), weights))


def _positive(weights: ItemWeights) -> sparse.csr_matrix:
    """Return the weights above 0; of dense ones each item's largest, ties with the last included."""
    from scipy import sparse

    if sparse.issparse(weights.weights):
        return sparse.csr_matrix(weights.weights, dtype=np.float32)
    dense = np.asarray(weights.weights)
    size = len(dense)
    if size == 0:
        return sparse.csr_matrix(dense)
    blocks = []
    for start in range(0, size, _ROWS):
        block = dense[start : start + _ROWS]
        least = np.partition(block, max(size - _NEIGHBOURS, 0), axis=1)[:, [max(size - _NEIGHBOURS, 0)]]
        blocks.append(sparse.csr_matrix(np.where((block >= least) & (block > 0), block, np.float32(0.0))))
    return sparse.csr_matrix(sparse.vstack(blocks, format="csr"))


def _scaled(weights: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return symmetric similarities in [0, 1] without a diagonal."""
    from scipy import sparse

    own = weights.diagonal()
    largest = np.asarray(weights.max(axis=1).todense(), dtype=np.float32).ravel() if weights.nnz else own
    roots = np.sqrt(np.where(own > 0, own, np.where(largest > 0, largest, np.float32(1.0))))
    cells = sparse.coo_matrix(weights)
    others = cells.row != cells.col
    row, column = cells.row[others], cells.col[others]
    scaled = np.minimum(cells.data[others] / (roots[row] * roots[column]), np.float32(1.0))
    one_way = sparse.csr_matrix((scaled.astype(np.float32), (row, column)), shape=cells.shape)
    return sparse.csr_matrix(one_way.maximum(one_way.T))


def _spread(similarities: sparse.csr_matrix, weights: ItemWeights) -> sparse.csr_matrix:
    """Return (items, items) f32 over all of the day's items, the neighbours of a row ascending."""
    from scipy import sparse

    cells = sparse.coo_matrix(similarities)
    places = (weights.items[cells.row], weights.items[cells.col])
    spread = sparse.csr_matrix((cells.data, places), shape=(weights.size, weights.size), dtype=np.float32)
    spread.sort_indices()
    return spread

"""Items like those that a user has: item kNN, EASE and content share the serving."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from scipy import sparse
from sparse_dot_topn import sp_matmul, sp_matmul_topn

from recsys_cli.models.candidates.protocol import ChunkScores, Proposals, UserChunk
from recsys_cli.models.candidates.unseen import best_unseen, fetch_sizes, first_unseen, joined

Weights = sparse.csr_matrix | np.ndarray
_CELLS = 1_048_576  # of a score matrix that are made dense at a time


@dataclass(frozen=True)
class SimilarityModel:
    """What training learnt of each pair of items.

    Attributes:
        ids: external ids of the items, in the order of rows and columns.
        weights: (items, items) f32, dense or sparse; cell (i, j) is what having i says for j.
    """

    ids: pl.Series
    weights: Weights

    def is_finite(self) -> bool:
        """Return whether all that was learnt is a number."""
        cells = self.weights.data if sparse.issparse(self.weights) else self.weights
        return bool(np.isfinite(cells).all())

    def on(self, item_ids: pl.Series) -> "ItemWeights":
        """Return the weights bound to a day's items."""
        places = item_ids.rename("id").to_frame().with_row_index("item")
        found = self.ids.rename("id").to_frame().join(places, on="id", how="left", maintain_order="left")
        kept = np.flatnonzero(found["item"].is_not_null().to_numpy())
        items = found["item"].drop_nulls().to_numpy().astype(np.int64)
        weights = self.weights if len(kept) == len(self.ids) else self.weights[kept][:, kept]
        return ItemWeights(items, in_memory(weights), len(item_ids))


def in_memory(weights: Weights) -> Weights:
    """Return sparse weights as the product wants them: f32, int32 indices, no file behind them."""
    if not sparse.issparse(weights):
        return weights
    parts = (
        np.array(weights.data, np.float32),
        *(np.array(a, np.int32) for a in (weights.indices, weights.indptr)),
    )
    return sparse.csr_matrix(parts, shape=weights.shape)


@dataclass(frozen=True)
class ItemWeights:
    """Weights between some of a day's items.

    Attributes:
        items: internal indices of the weights' rows and columns, ascending.
        weights: as in the model.
        size: number of the day's items.
    """

    items: np.ndarray
    weights: Weights
    size: int

    def columns_of(self, items: np.ndarray) -> np.ndarray:
        """Return the column of each internal index, -1 where there is none."""
        columns = np.full(self.size, -1, dtype=np.int64)
        columns[self.items] = np.arange(len(self.items))
        return np.asarray(columns[items])


@dataclass(frozen=True)
class SimilarityGenerator:
    """The sum of what each of a user's items says.

    Attributes:
        taste: (users, items) how much each of the user's items counts.
        weights: between the items.
        eligible: whether each item may be proposed, by internal index.
    """

    name: str
    taste: sparse.csr_matrix
    weights: ItemWeights
    eligible: np.ndarray
    num_candidates: int
    threads: int = 1
    floor_is_last: bool = False

    def score(self, chunk: UserChunk) -> ChunkScores:
        """Return the unseen items with the largest sums above 0."""
        items = self.weights.items
        taste = self.taste[chunk.users][:, items]
        weights, eligible = self.weights.weights, self.eligible[items]
        served = UserChunk(chunk.users, chunk.viewed[:, items])
        if sparse.issparse(weights):
            scores = sp_matmul(in_memory(taste), weights, n_threads=self.threads)
            found = _best_sparse(scores, served, eligible, self.num_candidates, self.threads)
        else:
            scores = np.asarray(taste @ weights, dtype=np.float32)
            found = best_unseen(served, np.where(eligible, scores, 0.0), self.num_candidates)
        return _SimilarityScores(Proposals(found.rows, items[found.items], found.ranks), scores, self.weights)


@dataclass(frozen=True)
class _SimilarityScores:
    proposals: Proposals
    scores: Weights
    weights: ItemWeights

    def of_pairs(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        columns = self.weights.columns_of(items)
        known = np.flatnonzero(columns >= 0)
        values = np.zeros(len(rows), dtype=np.float32)
        values[known] = _cells(self.scores, rows[known], columns[known])
        return values


def _cells(scores: Weights, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the cells at ascending `rows`; of sparse scores by dense blocks, quicker than a search."""
    if not sparse.issparse(scores):
        return np.asarray(scores[rows, columns])
    values = np.empty(len(rows), dtype=np.float32)
    size = max(1, _CELLS // max(scores.shape[1], 1))
    for start in range(0, scores.shape[0], size):
        part = slice(*np.searchsorted(rows, (start, start + size)))
        if part.start < part.stop:
            values[part] = scores[start : start + size].toarray()[rows[part] - start, columns[part]]
    return values


def _best_sparse(
    scores: sparse.csr_matrix, chunk: UserChunk, eligible: np.ndarray, wanted: int, threads: int
) -> Proposals:
    keep = in_memory(sparse.diags(eligible.astype(np.float32), format="csr", dtype=np.float32))
    parts = []
    for rows, size in fetch_sizes(chunk, wanted, scores.shape[1]):
        best = sp_matmul_topn(
            in_memory(scores[rows]), keep, top_n=size, threshold=0.0, sort=True, n_threads=threads
        )
        counts = np.diff(best.indptr)
        owners = np.repeat(np.arange(len(rows)), counts)
        items = np.full((len(rows), int(counts.max(initial=0))), -1, dtype=np.int64)
        items[owners, np.arange(best.nnz) - best.indptr[:-1][owners]] = best.indices
        parts.append(first_unseen(chunk, rows, items, wanted))
    return joined(parts)

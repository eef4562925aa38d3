"""Items like those that a user has: what the sources of item kNN, EASE and content share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import polars as pl

from recsys_cli.data_preparation.tables.ids import indices_of
from recsys_cli.models.candidates.definition import (
    BoundSource,
    S,
    SourceDay,
    Stored,
    StoredArrays,
    UserSide,
)
from recsys_cli.models.candidates.protocol import ChunkScores, Pairs, UserChunk
from recsys_cli.utils.columns import ITEM_ID

if TYPE_CHECKING:
    from scipy import sparse

    from recsys_cli.utils.numba_kernels import CsrArrays

NEIGHBOUR_BYTES = 24  # of memory: learnt, transposed and bound to a day; measured

_PLACES = ("indptr", "indices")
_FLOAT = np.dtype(np.float32)
_INTEGERS = (np.dtype(np.int32), np.dtype(np.int64))

Weights: TypeAlias = "sparse.csr_matrix | np.ndarray"


@dataclass(frozen=True)
class SimilarityModel:
    """What training learnt of each pair of items.

    Attributes:
        ids: external ids of the items, in the order of rows and columns.
        weights: (items, items) f32, dense, or sparse without negative cells; cell (i, j): how much having i
            counts for j.
    """

    ids: pl.Series
    weights: Weights

    @property
    def is_dense(self) -> bool:
        """Whether every pair of items has a weight."""
        from scipy import sparse

        return not sparse.issparse(self.weights)

    def on(self, item_ids: pl.Series) -> "ItemWeights":
        """Return the weights bound to a day's items."""
        found = indices_of(self.ids, item_ids)
        kept = np.flatnonzero(found.is_not_null().to_numpy())
        items = found.drop_nulls().to_numpy().astype(np.int32)
        weights = self.weights if len(kept) == len(self.ids) else self.weights[kept][:, kept]
        return ItemWeights(items, weights, len(item_ids))


@dataclass(frozen=True)
class ItemWeights:
    """Weights between some of a day's items.

    Attributes:
        items: internal indices of the weights' rows and columns, i32, ascending.
        weights: as in the model.
        size: number of the day's items.
    """

    items: np.ndarray
    weights: Weights
    size: int

    @cached_property
    def columns(self) -> np.ndarray:
        """The column of each of the day's items, i32, -1 where there is none."""
        columns = np.full(self.size, -1, dtype=np.int32)
        columns[self.items] = np.arange(len(self.items), dtype=np.int32)
        return columns

    def bound(self, eligible: np.ndarray) -> "BoundWeights":
        """Return the weights bound to the day; `eligible`: whether each of its items may be proposed."""
        from scipy import sparse

        if not sparse.issparse(self.weights):
            return BoundWeights(self, None, eligible)
        weights, counts = sparse.csr_matrix(self.weights), np.zeros(self.size + 1, dtype=np.int64)
        counts[self.items.astype(np.int64) + 1] = np.diff(weights.indptr)
        cells = np.cumsum(counts), self.items[weights.indices], np.array(weights.data, np.float32)
        return BoundWeights(self, cells, eligible)


@dataclass(frozen=True)
class BoundWeights:
    """Weights of a day's items; sparse ones are spread over all of them."""

    weights: ItemWeights
    cells: CsrArrays | None
    eligible: np.ndarray

    def of_users(
        self, name: str, taste: sparse.csr_matrix, num_candidates: int
    ) -> "SparseSimilarity | DenseSimilarity":
        """Return the source that sums the weights of each user's items.

        Args:
            taste: (users, items) how much each of the user's items counts.
        """
        own = (taste.indptr, taste.indices, taste.data)
        if self.cells is not None:
            return SparseSimilarity(name, own, self.cells, self.eligible, num_candidates)
        return DenseSimilarity(name, own, self.weights, self.eligible, num_candidates)


@dataclass(frozen=True)
class SparseSimilarity:
    """Sums over the neighbours of a user's items."""

    name: str
    taste: CsrArrays
    weights: CsrArrays
    eligible: np.ndarray
    num_candidates: int
    floor_is_last: bool = False

    def score(self, chunk: UserChunk) -> ChunkScores:
        """Return the unseen items with the largest sums above 0."""
        from recsys_cli.models.kernels.top_k import best_sums

        viewed = chunk.viewed
        wanted = min(self.num_candidates, chunk.size)
        lists = best_sums(
            self.taste,
            self.weights,
            chunk.users,
            self.eligible,
            viewed.indptr,
            viewed.indices,
            wanted,
        )
        return _SparseScores(lists, self, chunk.users)


@dataclass(frozen=True)
class _SparseScores:
    lists: np.ndarray
    source: SparseSimilarity
    users: np.ndarray

    def of_pairs(self, pairs: Pairs) -> np.ndarray:
        from recsys_cli.models.kernels.pair_scores import sums_of_pairs

        source = self.source
        return np.asarray(sums_of_pairs(source.taste, source.weights, self.users, pairs.indptr, pairs.items))


@dataclass(frozen=True)
class DenseSimilarity:
    """Sums over whole rows of weights."""

    name: str
    taste: CsrArrays
    weights: ItemWeights
    eligible: np.ndarray
    num_candidates: int
    floor_is_last: bool = False

    def score(self, chunk: UserChunk) -> ChunkScores:
        """Return the unseen items with the largest sums above 0."""
        from recsys_cli.models.kernels.pair_scores import dense_sums
        from recsys_cli.models.kernels.top_k import best_cells

        weights, viewed = self.weights, chunk.viewed
        sums = dense_sums(self.taste, weights.columns, np.asarray(weights.weights), chunk.users)
        scores = np.where(self.eligible[weights.items], sums, np.float32(-np.inf))
        wanted = min(self.num_candidates, scores.shape[1])
        lists = best_cells(
            scores, weights.items, weights.columns, viewed.indptr, viewed.indices, np.float32(0.0), wanted
        )
        return _DenseScores(lists, sums, weights.columns)


@dataclass(frozen=True)
class _DenseScores:
    lists: np.ndarray
    sums: np.ndarray
    columns: np.ndarray

    def of_pairs(self, pairs: Pairs) -> np.ndarray:
        if self.sums.shape[1] == 0:  # none of the items was there at the training
            return np.zeros(len(pairs), dtype=np.float32)
        columns = self.columns[pairs.items]
        return np.where(columns >= 0, self.sums[pairs.rows, columns], np.float32(0.0))


Taste = Callable[[UserSide], "sparse.csr_matrix"]  # how much each of a user's items counts


def by_counts(users: UserSide) -> sparse.csr_matrix:
    """Weigh a user's items by how often the user had them."""
    return users.counts


def by_recency(users: UserSide) -> sparse.csr_matrix:
    """Weigh a user's items by how recently the user had them."""
    return users.recency


def bind_similarity(day: SourceDay[S], fit_section: str, taste: Taste) -> BoundSource | None:
    """Bind learnt similarities to a day's items; sources of one fit share the work."""
    model: SimilarityModel | None = day.fitted
    if model is None:
        return None
    bound = day.shared.get(fit_section, lambda: model.on(day.features.items[ITEM_ID]).bound(day.eligible))
    return lambda users: bound.of_users(day.name, taste(users), day.settings.num_candidates)


def store_similarity(model: SimilarityModel) -> Stored:
    """Return the ids and weights by the names that they are stored under."""
    if model.is_dense:
        return {"ids": model.ids, "weights": np.asarray(model.weights)}
    cells = {name: getattr(model.weights, name) for name in (*_PLACES, "data")}
    return {"ids": model.ids, **cells}


def read_similarity(stored: StoredArrays) -> SimilarityModel:
    """Return what training learnt of pairs of items.

    Raises: ModelError; OSError or ValueError for files that hold nothing of the kind.
    """
    weights = _dense(stored) if "weights" in stored.names else _sparse(stored)
    return SimilarityModel(stored.ids("ids", "items", weights.shape[0]), weights)


def _sparse(stored: StoredArrays) -> Weights:
    from scipy import sparse

    indptr, indices = (stored.array(name, _INTEGERS, 1) for name in _PLACES)
    data = stored.array("data", [_FLOAT], 1)
    weights = sparse.csr_matrix((data, indices, indptr), shape=(len(indptr) - 1, len(indptr) - 1))
    weights.check_format(full_check=True)
    return weights


def _dense(stored: StoredArrays) -> Weights:
    weights = stored.array("weights", [_FLOAT], 2)
    if weights.shape[0] != weights.shape[1]:
        raise stored.damaged("weights", "the model's similarities are not a square matrix")
    return weights

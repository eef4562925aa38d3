"""A trained LightFM as plain matrix products: over all users and items, a day's items, a chunk of users."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import polars as pl
from scipy import sparse

from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.models.candidates.protocol import ChunkScores, Pairs, UserChunk
from recsys_cli.models.candidates.sources.vector_index import VectorIndex, build_index
from recsys_cli.models.feature_encoding import Encoders, FeatureEncoder
from recsys_cli.models.kernels.pair_scores import best_products, products_of_pairs
from recsys_cli.models.kernels.top_k import best_cells, first_unviewed
from recsys_cli.utils.columns import ELIGIBLE, ITEM_ID, USER_ID
from recsys_cli.utils.storage.npy_files import release_pages

_BLOCK = 64  # queries are padded to blocks: BLAS then does nearly the same for one user as for a batch
_SPARE = 8  # items beyond the wanted ones whose products are equal but for the last digits of BLAS
_EXTRA = (16, 64, 256, 1024, 4096)  # items fetched beyond the wanted ones, by length of history
_CELLS = 2_097_152  # of the products of users and items that are made at a time


@dataclass(frozen=True)
class LightFMSide:
    """Learnt parameters of users or items.

    Attributes:
        ids: external ids that have an identity vector, in the order of its rows: ascending.
        vectors: (len(ids) + width of the features, dim) f32: identities, then features.
        biases: (len(ids) + width of the features,) f32.
    """

    ids: pl.Series
    vectors: np.ndarray
    biases: np.ndarray

    def known_rows(self, ids: pl.Series) -> np.ndarray:
        """Return the identity row of each id, -1 where training knew no event of it."""
        if len(self.ids) == 0:
            return np.full(len(ids), -1, dtype=np.int64)
        rows = self.ids.search_sorted(ids).clip(upper_bound=len(self.ids) - 1).cast(pl.Int64)
        return np.where((self.ids.gather(rows) == ids).to_numpy(), rows.to_numpy(), -1)


@dataclass(frozen=True)
class LightFMModel:
    """A trained LightFM: nothing but arrays and ids."""

    users: LightFMSide
    items: LightFMSide

    def is_finite(self) -> bool:
        """Return whether all that was learnt is a number."""
        arrays = (self.users.vectors, self.users.biases, self.items.vectors, self.items.biases)
        return all(bool(np.isfinite(array).all()) for array in arrays)

    def on(self, items: pl.DataFrame, encoders: Encoders, num_candidates: int) -> "LightFMItems":
        """Return the model bound to a day's items.

        An item without events at training is represented by its features and the mean identity bias; without
        features, too, it is not proposed.
        """
        rows = self.items.known_rows(items[ITEM_ID])
        one_hot = encoders.items.one_hot(items)
        vectors = _represent(self.items, rows, one_hot)
        identity_biases = self.items.biases[: len(self.items.ids)]
        biases = one_hot @ self.items.biases[len(self.items.ids) :]
        biases += np.where(rows >= 0, identity_biases[rows], identity_biases.mean())
        proposable = ((rows >= 0) | (np.diff(one_hot.indptr) > 0)) & items[ELIGIBLE].to_numpy()
        return LightFMItems(
            self.users,
            np.ascontiguousarray(np.column_stack([vectors, biases]), dtype=np.float32),
            np.flatnonzero(proposable).astype(np.int32),
            num_candidates,
        )

    def unit_vectors(self, items: pl.DataFrame, encoders: Encoders) -> np.ndarray:
        """Return the vectors of a day's items at length 1, (items, dim) f32; 0 for items without one."""
        rows, one_hot = self.items.known_rows(items[ITEM_ID]), encoders.items.one_hot(items)
        vectors = _represent(self.items, rows, one_hot)
        lengths = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
        return vectors / np.where(lengths > 0, lengths, np.float32(1.0))[:, np.newaxis]


@dataclass(frozen=True)
class LightFMItems:
    """LightFM over one day's items.

    Attributes:
        item_vectors: (items, dim + 1) f32, the bias last.
        proposable: internal indices of the items that may be proposed.
        index: finds among these; None: every one is looked at.
    """

    users: LightFMSide
    item_vectors: np.ndarray
    proposable: np.ndarray
    num_candidates: int
    index: VectorIndex | None = None

    @property
    def wanted(self) -> int:
        """Length of a list."""
        return min(self.num_candidates, len(self.proposable))

    @cached_property
    def base(self) -> np.ndarray:
        """(dim + 1, proposable items) f32."""
        return np.ascontiguousarray(self.item_vectors[self.proposable].T)

    @cached_property
    def columns(self) -> np.ndarray:
        """The column of `base` of each item, i32, -1 for none."""
        columns = np.full(len(self.item_vectors), -1, dtype=np.int32)
        columns[self.proposable] = np.arange(len(self.proposable), dtype=np.int32)
        return columns

    def best(self, queries: np.ndarray, viewed: sparse.csr_matrix) -> np.ndarray:
        """Return the lists of some users: unviewed items with the largest products."""
        wanted = min(self.wanted + _SPARE, len(self.proposable))
        if self.index is not None:
            found = self._found(self.index, queries, viewed, wanted)
        else:
            products = _products(queries, self.base)
            above, own = np.float32(-np.inf), (viewed.indptr, viewed.indices)
            found = best_cells(products, self.proposable, self.columns, *own, above, wanted)
        return best_products(queries, self.item_vectors, found, self.wanted)

    def _found(
        self, index: VectorIndex, queries: np.ndarray, viewed: sparse.csr_matrix, wanted: int
    ) -> np.ndarray:
        """Search for more items than wanted, by the length of the user's history, and drop viewed ones."""
        lists = np.full((len(queries), wanted), -1, dtype=np.int32)
        levels = np.searchsorted(_EXTRA, np.diff(viewed.indptr))
        for level in np.unique(levels):
            rows = np.flatnonzero(levels == level)
            extra = _EXTRA[level] if level < len(_EXTRA) else len(self.proposable)
            places = index.search(queries[rows], min(wanted + extra, len(self.proposable)))
            found = np.where(places >= 0, self.proposable[places], np.int32(-1))
            own, orders = viewed[rows], np.arange(len(rows))
            lists[rows] = first_unviewed(found, orders, own.indptr, own.indices, viewed.shape[1], wanted)
        return lists

    def with_index(self, kind: str) -> "LightFMItems":
        """Return the same, searching by an index: "ivf" or "hnsw"."""
        return replace(self, index=build_index(kind, self.item_vectors[self.proposable]))

    def of_users(self, features: FeatureTables, encoder: FeatureEncoder) -> "LightFMGenerator":
        """Return the source for these users."""
        rows = self.users.known_rows(features.users[USER_ID])
        one_hot = encoder.one_hot(features.users)
        vectors = _represent(self.users, rows, one_hot)
        return LightFMGenerator(
            queries=np.column_stack([vectors, np.ones(len(rows), dtype=np.float32)]),
            has_vector=(rows >= 0) | (np.diff(one_hot.indptr) > 0),
            items=self,
        )


@dataclass(frozen=True)
class LightFMGenerator:
    """LightFM over one day's users and items.

    Attributes:
        queries: (users, dim + 1) f32, the last column 1, the factor of the item's bias.
        has_vector: whether the model has a vector for the user.
    """

    name: ClassVar[str] = "lightfm"
    floor_is_last: ClassVar[bool] = True
    queries: np.ndarray
    has_vector: np.ndarray
    items: LightFMItems

    def without_index(self) -> "LightFMGenerator | None":
        """Return the same source looking at every item; None where it does so already."""
        return None if self.items.index is None else replace(self, items=replace(self.items, index=None))

    def score(self, chunk: UserChunk) -> ChunkScores:
        """Return the items with the largest product for each user that the model has a vector for."""
        queries, has_vector, items = self.queries[chunk.users], self.has_vector[chunk.users], self.items
        lists = np.full((len(chunk), items.wanted), -1, dtype=np.int32)
        rows = np.flatnonzero(has_vector)
        size = _BLOCK * max(1, _CELLS // (_BLOCK * max(len(items.proposable), 1)))
        for start in range(0, len(rows) if items.wanted else 0, size):
            block = rows[start : start + size]
            lists[block] = items.best(queries[block], chunk.viewed[block])
        return _LightFMScores(lists, queries, has_vector, items.item_vectors)


@dataclass(frozen=True)
class _LightFMScores:
    lists: np.ndarray
    queries: np.ndarray
    has_vector: np.ndarray
    item_vectors: np.ndarray

    def of_pairs(self, pairs: Pairs) -> np.ndarray:
        scores = products_of_pairs(self.queries, self.item_vectors, pairs.indptr, pairs.items)
        scores[~self.has_vector[pairs.rows]] = np.nan
        return np.asarray(scores)


def _represent(side: LightFMSide, rows: np.ndarray, one_hot: sparse.csr_matrix) -> np.ndarray:
    """Return identity plus features of each row, (rows, dim) f32."""
    vectors = np.asarray(one_hot @ side.vectors[len(side.ids) :], dtype=np.float32)
    known = rows >= 0
    vectors[known] += side.vectors[rows[known]]
    release_pages(side.vectors)
    return vectors


def _products(queries: np.ndarray, base: np.ndarray) -> np.ndarray:
    padding = -len(queries) % _BLOCK
    padded = np.concatenate([queries, np.zeros((padding, queries.shape[1]), dtype=np.float32)])
    return np.asarray((padded @ base)[: len(queries)])

"""How alike two items are, in one of three forms that kernels read: what a diverse list avoids."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from scipy import sparse

_NO_VECTORS = np.zeros((0, 0), dtype=np.float32)
_NO_ROWS = (np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32))


class SimilarityForm(IntEnum):
    """The form of an item similarity, as its code in kernels."""

    VECTORS = 1
    NEIGHBOURS = 2
    TOKENS = 3


@dataclass(frozen=True)
class ItemSimilarity:
    """The similarity of two items, at most 1; below 0 counts as 0. Make one with the class methods.

    Attributes:
        vectors: (items, dim) f32; (0, 0) for the other forms.
        indptr, indices, data: a CSR matrix, i64, i32, f32; no rows for VECTORS.
        width: number of columns of that matrix.
    """

    form: SimilarityForm
    vectors: np.ndarray
    indptr: np.ndarray
    indices: np.ndarray
    data: np.ndarray
    width: int

    @classmethod
    def of_vectors(cls, vectors: np.ndarray) -> "ItemSimilarity":
        """Return the cosine of dense vectors of length 1, (items, dim)."""
        dense = np.require(vectors, dtype=np.float32, requirements=["C", "W"])
        return cls(SimilarityForm.VECTORS, dense, *_NO_ROWS, width=0)

    @classmethod
    def of_neighbours(cls, rows: sparse.csr_matrix) -> "ItemSimilarity":
        """Return the cells of an (items, items) matrix in [0, 1]; the row is the item chosen before."""
        return cls(SimilarityForm.NEIGHBOURS, _NO_VECTORS, *_arrays(rows), width=rows.shape[1])

    @classmethod
    def of_tokens(cls, rows: sparse.csr_matrix) -> "ItemSimilarity":
        """Return the cosine of sparse rows of length 1, (items, tokens)."""
        return cls(SimilarityForm.TOKENS, _NO_VECTORS, *_arrays(rows), width=rows.shape[1])


def _arrays(rows: sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        np.require(rows.indptr, dtype=np.int64, requirements=["C", "W"]),
        np.require(rows.indices, dtype=np.int32, requirements=["C", "W"]),
        np.require(rows.data, dtype=np.float32, requirements=["C", "W"]),
    )

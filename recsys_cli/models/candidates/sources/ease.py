"""EASE: a linear model of each item from all others, in closed form."""

import numpy as np
import polars as pl
from scipy import sparse
from scipy.linalg import lapack
from threadpoolctl import threadpool_limits

from recsys_cli.configs.candidate_sections import EASESettings
from recsys_cli.models.candidates.sources.similarity import SimilarityModel


def fit_ease(counts: sparse.csr_matrix, ids: pl.Series, settings: EASESettings) -> SimilarityModel:
    """Learn (items, items) f32 with an empty diagonal; memory and time grow with items² and items³.

    Args:
        counts: (users, items) events of each pair; a pair counts once.
        ids: external ids of the items.

    Source: Steck (2019), Embarrassingly Shallow Autoencoders for Sparse Data.
    """
    seen = sparse.csr_matrix(counts > 0, dtype=np.float32)
    gram = (seen.T @ seen).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += settings.regularization
    inverse = _inverse(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return SimilarityModel(ids, np.ascontiguousarray(weights, dtype=np.float32))


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse of a symmetric positive definite matrix, the same whatever the number of cores.

    BLAS on one thread: how many share a sum would decide its last digits, and on busy cores they wait.
    """
    with threadpool_limits(1, "blas"):
        factor, _ = lapack.dpotrf(matrix, lower=True, overwrite_a=True)
        half, _ = lapack.dpotri(factor, lower=True, overwrite_c=True)
    lower = np.tril(half)
    return np.asarray(lower + np.tril(half, -1).T)

"""EASE: a linear model of each item from all others, in closed form."""

import numpy as np
import polars as pl
from scipy import linalg, sparse

from recsys_cli.configs.sections import EASESettings
from recsys_cli.models.candidates.similarity import SimilarityModel


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
    inverse = linalg.inv(gram, overwrite_a=True, check_finite=False)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return SimilarityModel(ids, np.ascontiguousarray(weights, dtype=np.float32))

"""EASE: a linear model of each item from all others, in closed form."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from pydantic import Field

from recsys_cli.configs.fields import Count
from recsys_cli.configs.source_sections import SourceSettings
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.definition import Between, CatalogueSize, FitTask, SourceDefinition
from recsys_cli.models.candidates.sources.learnt_similarity import learnt_similarity
from recsys_cli.models.candidates.sources.similarity import (
    SimilarityModel,
    bind_similarity,
    by_counts,
    by_recency,
    read_similarity,
    store_similarity,
)
from recsys_cli.utils.columns import ITEM

if TYPE_CHECKING:
    from scipy import sparse

_CELL_BYTES = 30  # of memory: two matrices of f64 at a time, f32 of two days; measured


class EASESettings(SourceSettings):
    """A linear model of each item from all others; its time grows with the cube of the catalogue."""

    regularization: float = Field(500.0, gt=0.0, le=1e9)
    max_items: Count = Field(6_000, description="off for catalogues with more items than this")


class RecentEASESettings(SourceSettings):
    """The same model, with the user's items weighted by recency."""


def fit_ease(presence: sparse.csr_matrix, ids: pl.Series, settings: EASESettings) -> SimilarityModel:
    """Learn (items, items) f32 with an empty diagonal; memory and time grow with items² and items³.

    Args:
        presence: (users, items) f32, how much each pair counts: 1 where events have no weights.
        ids: external ids of the items.

    Source: Steck (2019), Embarrassingly Shallow Autoencoders for Sparse Data.
    """
    gram = (presence.T @ presence).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += settings.regularization
    inverse = _inverse(gram)
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return SimilarityModel(ids, np.ascontiguousarray(weights, dtype=np.float32))


def _inverse(matrix: np.ndarray) -> np.ndarray:
    """Return the inverse of a symmetric positive definite matrix, the same whatever the number of cores.

    BLAS runs on one thread: the number of threads would change the last digits, and on busy cores
    threads wait for each other.
    """
    from scipy.linalg import lapack
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        factor, _ = lapack.dpotrf(matrix, lower=True, overwrite_a=True)
        half, _ = lapack.dpotri(factor, lower=True, overwrite_c=True)
    lower = np.tril(half)
    return np.asarray(lower + np.tril(half, -1).T)


def _fit(task: FitTask, settings: EASESettings) -> SimilarityModel | None:
    if len(task.learnt_items) > settings.max_items:
        return None
    return fit_ease(task.presence, task.item_ids, settings)


def _no_data(tables: Tables, settings: EASESettings) -> str:
    if tables.events[ITEM].n_unique() > settings.max_items:
        return "the catalogue has more items than candidates.ease.max_items"
    return ""


def _bytes(settings: EASESettings, size: CatalogueSize) -> int:
    return _CELL_BYTES * size.with_event**2 if size.with_event <= settings.max_items else 0


def _is_dense(model: SimilarityModel) -> bool:
    return model.is_dense


EASE = SourceDefinition(
    name="ease",
    summary="items that a linear model of all items predicts from the user's",
    settings=EASESettings,
    bind=partial(bind_similarity, fit_section="ease", taste=by_counts),
    fit=_fit,
    store=store_similarity,
    read=read_similarity,
    item_similarity=learnt_similarity,
    no_data=_no_data,
    fit_bytes=_bytes,
    scores_all_items=_is_dense,
    bounds={"num_candidates": Between(40, 200), "regularization": Between(50.0, 5_000.0)},
)
EASE_RECENT = SourceDefinition(
    name="ease_recent",
    summary="as ease, where the user's recent items count more",
    settings=RecentEASESettings,
    bind=partial(bind_similarity, fit_section="ease", taste=by_recency),
    fitted_by="ease",
    bounds={"num_candidates": Between(40, 200)},
)
SOURCES = (EASE, EASE_RECENT)

"""Item kNN: each item's nearest neighbours among the items that the same users have."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import polars as pl
from pydantic import Field

from recsys_cli.configs.source_sections import SourceSettings
from recsys_cli.models.candidates.definition import (
    Between,
    CatalogueSize,
    FitTask,
    SourceDefinition,
)
from recsys_cli.models.candidates.sources.learnt_similarity import learnt_similarity
from recsys_cli.models.candidates.sources.similarity import (
    NEIGHBOUR_BYTES,
    SimilarityModel,
    bind_similarity,
    by_counts,
    by_recency,
    read_similarity,
    store_similarity,
)
from recsys_cli.utils.progress import Progress, no_progress

if TYPE_CHECKING:
    from scipy import sparse

_K1, _B = 1.2, 0.75  # of BM25
_BLOCK = 4_096  # items whose neighbours are looked for at a time


class ItemKNNSettings(SourceSettings):
    """Neighbours of the user's items, by the users they share."""

    family: ClassVar[str] = "item_knn"
    neighbours: int = Field(100, ge=1, le=10_000, description="kept of each item, the most similar first")


class RecentItemKNNSettings(SourceSettings):
    """The same neighbours, with the user's items weighted by recency."""

    family: ClassVar[str] = "item_knn"


def fit_item_knn(
    counts: sparse.csr_matrix,
    ids: pl.Series,
    similarity: str,
    neighbours: int,
    threads: int,
    progress: Progress = no_progress,
) -> SimilarityModel:
    """Keep the largest similarities of each item, itself included.

    Args:
        counts: (users, items) events of each pair; for the cosine 1, or how much each pair counts.
        ids: external ids of the items.
        similarity: "bm25" or "cosine".

    Source: Sarwar et al. (2001), Item-based Collaborative Filtering; Robertson and Zaragoza (2009), The
    Probabilistic Relevance Framework, for BM25.
    """
    return SimilarityModel(ids, nearest(_WEIGHTING[similarity](counts), neighbours, threads, progress))


def nearest(
    vectors: sparse.csr_matrix, neighbours: int, threads: int, progress: Progress = no_progress
) -> sparse.csr_matrix:
    """Return (items, items) f32: in each row an item's largest products above 0 with the others' vectors.

    Args:
        vectors: (items, dimensions).
        progress: called with the items done.
    """
    from scipy import sparse
    from sparse_dot_topn import sp_matmul_topn

    vectors = sparse.csr_matrix(vectors, dtype=np.float32)
    others, size, blocks = sparse.csr_matrix(vectors.T), vectors.shape[0], []
    for start in range(0, size, _BLOCK):
        block = sp_matmul_topn(
            vectors[start : start + _BLOCK],
            others,
            top_n=min(neighbours, size),
            threshold=0.0,
            sort=True,
            n_threads=threads,
        )
        block.sort_indices()
        blocks.append(block)
        progress(min(start + _BLOCK, size), size)
    return sparse.csr_matrix(sparse.vstack(blocks, format="csr") if len(blocks) > 1 else blocks[0])


def _bm25(counts: sparse.csr_matrix) -> sparse.csr_matrix:
    """Weigh items as documents and users as their words."""
    from scipy import sparse

    cells = sparse.coo_matrix(counts.T, dtype=np.float64)
    items, users = cells.shape
    rarity = np.log(items) - np.log1p(np.bincount(cells.col, minlength=users))
    lengths = np.asarray(cells.sum(axis=1)).ravel()
    length = 1.0 - _B + _B * lengths / max(lengths.mean(), 1e-12)
    weights = cells.data * (_K1 + 1.0) / (_K1 * length[cells.row] + cells.data) * rarity[cells.col]
    return sparse.csr_matrix((weights, (cells.row, cells.col)), shape=cells.shape)


def _cosine(presence: sparse.csr_matrix) -> sparse.csr_matrix:
    from scipy import sparse

    return unit_rows(sparse.csr_matrix(presence.T, dtype=np.float64))


def unit_rows(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return the rows at length 1; empty rows stay empty."""
    from scipy import sparse

    lengths = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1.0 / np.where(lengths > 0, lengths, 1.0)) @ matrix)


_WEIGHTING: dict[str, Callable[[sparse.csr_matrix], sparse.csr_matrix]] = {"bm25": _bm25, "cosine": _cosine}


def _fit(task: FitTask, settings: ItemKNNSettings, similarity: str) -> SimilarityModel:
    counts = task.presence if similarity == "cosine" else task.counts
    return fit_item_knn(counts, task.item_ids, similarity, settings.neighbours, task.threads, task.progress)


def _bytes(settings: ItemKNNSettings, size: CatalogueSize) -> int:
    return NEIGHBOUR_BYTES * size.with_event * min(settings.neighbours, size.with_event)


def _source(similarity: str, summary: str) -> SourceDefinition[ItemKNNSettings]:
    return SourceDefinition(
        name=similarity,
        summary=f"neighbours of the user's items, {summary}",
        settings=ItemKNNSettings,
        bind=partial(bind_similarity, fit_section=similarity, taste=by_counts),
        fit=partial(_fit, similarity=similarity),
        store=store_similarity,
        read=read_similarity,
        item_similarity=learnt_similarity,
        fit_bytes=_bytes,
        bounds={"num_candidates": Between(40, 200), "neighbours": Between(20, 400)},
    )


def _recent_source(similarity: str) -> SourceDefinition[RecentItemKNNSettings]:
    return SourceDefinition(
        name=f"{similarity}_recent",
        summary=f"as {similarity}, where the user's recent items count more",
        settings=RecentItemKNNSettings,
        bind=partial(bind_similarity, fit_section=similarity, taste=by_recency),
        fitted_by=similarity,
        bounds={"num_candidates": Between(40, 200)},
    )


BM25 = _source("bm25", "by the users they share, weighted as BM25 weighs words")
COSINE = _source("cosine", "by the cosine of the users they share")
SOURCES = (BM25, _recent_source("bm25"), COSINE, _recent_source("cosine"))

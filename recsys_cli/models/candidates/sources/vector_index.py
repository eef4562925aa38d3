"""Approximate search among very many vectors: faiss, set up to find the largest products.

The largest product is the nearest vector once every item is as long as the longest one.
Source: Bachrach et al. (2014), Speeding Up the Xbox Recommender System Using a Euclidean Transformation.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

_CLUSTERS, _PROBED = 2_048, 48
_NEIGHBOURS, _BUILD_WIDTH, _SEARCH_WIDTH = 32, 100, 512
_SEED = 1


class VectorIndex(Protocol):
    """Finds vectors whose products with a query are large."""

    def search(self, queries: np.ndarray, wanted: int) -> np.ndarray:
        """Return (queries, wanted) places of vectors, i64, best first, -1 behind the last."""


@dataclass(frozen=True)
class _Nearest:
    index: Any

    def search(self, queries: np.ndarray, wanted: int) -> np.ndarray:
        level = np.zeros((len(queries), 1), dtype=np.float32)
        import faiss

        faiss.omp_set_num_threads(1)  # of this thread
        _, places = self.index.search(np.column_stack([queries, level]), wanted)
        return np.asarray(places)


def build_index(kind: str, vectors: np.ndarray) -> VectorIndex:
    """Return an index over the vectors, (items, dim) f32.

    Built on one thread: the number of threads would change the result.

    Args:
        kind: "ivf": the nearest clusters are searched; "hnsw": a graph of neighbours is walked.
    """
    squares = np.einsum("ij,ij->i", vectors, vectors)
    longest = float(squares.max(initial=0.0))
    rest = np.sqrt(np.maximum(longest - squares, 0.0), dtype=np.float32)
    import faiss

    faiss.omp_set_num_threads(1)
    level = np.ascontiguousarray(np.column_stack([vectors, rest]), dtype=np.float32)
    return _Nearest(_BUILD[kind](level))


def _clusters(vectors: np.ndarray) -> Any:
    import faiss

    count = int(min(_CLUSTERS, max(1, len(vectors) // 64)))
    quantizer = faiss.IndexFlatL2(vectors.shape[1])
    index = faiss.IndexIVFFlat(quantizer, vectors.shape[1], count)
    index.cp.seed, index.cp.niter, index.cp.max_points_per_centroid = _SEED, 6, 64
    index.train(vectors)
    index.add(vectors)
    index.nprobe = min(_PROBED, count)
    return index


def _graph(vectors: np.ndarray) -> Any:
    import faiss

    index = faiss.IndexHNSWFlat(vectors.shape[1], _NEIGHBOURS)
    index.hnsw.efConstruction, index.hnsw.efSearch = _BUILD_WIDTH, _SEARCH_WIDTH
    index.add(vectors)
    return index


_BUILD = {"ivf": _clusters, "hnsw": _graph}

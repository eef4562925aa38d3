"""The short way to write a source: a score of every item for every user of a chunk."""

from dataclasses import dataclass

import numpy as np

from recsys_cli.models.candidates.protocol import Pairs, UserChunk


@dataclass(frozen=True)
class DenseScores:
    """Lists and scores of a chunk from a score of each item: for catalogues of up to some ten thousand items.

    Example: scores = np.where(eligible, share, -np.inf); DenseScores.of(scores, chunk, 100)

    Attributes:
        lists: i32, (users, num_candidates), best first, none viewed, -1 for none.
        scores: f32, (users, items), -inf for an item that is not proposed.
    """

    lists: np.ndarray
    scores: np.ndarray

    @classmethod
    def of(cls, scores: np.ndarray, chunk: UserChunk, num_candidates: int) -> "DenseScores":
        """Return the best items that each user of the chunk has not viewed; equal ones by index.

        Args:
            scores: (users, items), -inf for an item that is not proposed.
        """
        scores = np.asarray(scores, dtype=np.float32)
        left = np.where(chunk.viewed.toarray() != 0, -np.inf, scores)
        wanted = min(num_candidates, chunk.size)
        order = np.argsort(-left, axis=1, kind="stable")[:, :wanted].astype(np.int32)
        proposed = np.isfinite(np.take_along_axis(left, order, axis=1))
        return cls(np.where(proposed, order, np.int32(-1)), scores)

    def of_pairs(self, pairs: Pairs) -> np.ndarray:
        """Return the score of each pair, f32; NaN for an item that is not proposed."""
        scores = self.scores[pairs.rows, pairs.items]
        return np.where(np.isfinite(scores), scores, np.float32(np.nan))

"""What every source of candidates promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse


@dataclass(frozen=True)
class UserChunk:
    """Users to be scored together.

    Attributes:
        users: internal indices, u32, ascending.
        viewed: (len(users), items) matrix; its stored cells are left out of every list.
    """

    users: np.ndarray
    viewed: sparse.csr_matrix

    def __len__(self) -> int:
        return len(self.users)

    @property
    def size(self) -> int:
        """Number of items that there are."""
        return int(self.viewed.shape[1])


@dataclass(frozen=True)
class Pairs:
    """Some items of each user of a chunk.

    Attributes:
        indptr: i64, (users + 1,): the items of place p are items[indptr[p]:indptr[p + 1]].
        items: internal item indices, i32.
    """

    indptr: np.ndarray
    items: np.ndarray

    def __len__(self) -> int:
        return len(self.items)

    @property
    def rows(self) -> np.ndarray:
        """The place of the user of each pair, i64."""
        return np.repeat(np.arange(len(self.indptr) - 1, dtype=np.int64), np.diff(self.indptr))


class ChunkScores(Protocol):
    """The proposals and scores of one source for a chunk of users."""

    @property
    def lists(self) -> np.ndarray:
        """Return the proposed items: i32, (users, num_candidates), best first, none viewed, -1 for none."""

    def of_pairs(self, pairs: Pairs) -> np.ndarray:
        """Return the source's score of each pair, f32; NaN for none."""


class CandidateGenerator(Protocol):
    """Proposes items; knows no files, no settings and no ranker.

    Attributes:
        name: the source's name, as rows of the output show it.
        floor_is_last: whether a score means something only against the user's other scores; its normalised
            score is then 0 at the last proposal, else at a score of 0.
    """

    @property
    def name(self) -> str:
        """The source's name."""

    @property
    def floor_is_last(self) -> bool:
        """Whether the normalised score is 0 at the last proposal."""

    def score(self, chunk: UserChunk) -> ChunkScores:
        """Score a chunk of users. A user's result does not depend on the other users of the chunk."""


class CandidateRules(Protocol):
    """What a day's rules make of candidates."""

    def marks(self, users: np.ndarray, pairs: Pairs) -> np.ndarray:
        """Return the rules that each pair meets, u64, a bit each."""

    def allowed(self, marks: np.ndarray) -> np.ndarray:
        """Return whether each pair may be in a list."""

    def offers(self, chunk: UserChunk) -> np.ndarray:
        """Return candidates beside the sources': i32, (users, most of them), none viewed, -1 for none."""

    def extra(self, chunk: UserChunk, pairs: Pairs, marks: np.ndarray) -> np.ndarray:
        """Return candidates that are not among a user's pairs: i32, (users, most of them), -1 for none.

        Args:
            pairs: what the sources propose, and offers; marks: the rules that each of these pairs meets.
        """

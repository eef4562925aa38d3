"""What every source of candidates promises."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import sparse


@dataclass(frozen=True)
class UserChunk:
    """Users to be served together.

    Attributes:
        users: internal indices, u32, ascending.
        viewed: (len(users), items) matrix; its stored cells are left out of every list.
    """

    users: np.ndarray
    viewed: sparse.csr_matrix

    def __len__(self) -> int:
        return len(self.users)


@dataclass(frozen=True)
class Proposals:
    """A source's best items for the users of a chunk, best first, none viewed; flat arrays of one length.

    Attributes:
        rows: place of the user in the chunk, i64, ascending.
        items: internal item indices, i64.
        ranks: i64 from 1 within a user.
    """

    rows: np.ndarray
    items: np.ndarray
    ranks: np.ndarray


class ChunkScores(Protocol):
    """What one source says about a chunk of users."""

    @property
    def proposals(self) -> Proposals:
        """The items that the source proposes."""

    def of_pairs(self, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return the source's score, f32, of each (place in the chunk, ascending; item); NaN for none."""


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
        """Where the normalised score is 0."""

    def score(self, chunk: UserChunk) -> ChunkScores:
        """Return the source's word on the users of a chunk; a user gets the same in every chunk."""

"""What every source of candidates promises."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
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


class CandidateGenerator(Protocol):
    """Proposes items; knows no files, no settings and no ranker."""

    @property
    def name(self) -> str:
        """The source's name, as rows of the output show it."""

    def propose(self, chunk: UserChunk) -> pl.DataFrame:
        """Return user u32, item u32, score f32, rank u16 from 1: the source's best items, none viewed."""

    def score_pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return the source's score, f32, of each (user, item); NaN where it has none."""

"""Shortlists of all users on the disk, between ranking and allocation: arrays that grow batch by batch.

They come from the batches of the checkpoint, which survive a killed run: another run writes the arrays again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
import polars as pl

from recsys_cli.models.postprocessing.allocation import Allocation
from recsys_cli.models.postprocessing.list_arrays import NO_ROW, SECOND_ROUND
from recsys_cli.models.postprocessing.selection import Shortlist
from recsys_cli.utils.columns import ITEM, MARKS, PLACED_BY, RANK, RULE, SCORE, SOURCES, USER, USER_MARKS
from recsys_cli.utils.storage.atomic_writes import as_output_error

_ARRAYS: Mapping[str, np.dtype[Any]] = {
    ITEM: np.dtype(np.int32),
    SCORE: np.dtype(np.float32),
    MARKS: np.dtype(np.uint64),
}
_KINDS = {**_ARRAYS, SOURCES: np.dtype(np.int64)}
BYTES_PER_PAIR = sum(kind.itemsize for kind in _ARRAYS.values())


@dataclass
class StoredShortlists:
    """Arrays of the pairs of users, in a folder of their own; the end of a `with` block closes them.

    Attributes:
        with_sources: whether the sources of the pairs are stored, too.
        sizes, marks: of each batch, by user: its pairs and its marks.
    """

    folder: Path
    with_sources: bool = False
    sizes: list[np.ndarray] = field(default_factory=list)
    marks: list[np.ndarray] = field(default_factory=list)
    _files: dict[str, IO[bytes]] = field(default_factory=dict)

    def __enter__(self) -> Self:
        with as_output_error(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            for name in [*_ARRAYS, *([SOURCES] if self.with_sources else [])]:
                self._files[name] = open(self._path(name), "wb")  # pylint: disable=consider-using-with
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def add(self, users: np.ndarray, pairs: pl.DataFrame) -> None:
        """Add the next users.

        Args:
            users: internal indices, ascending; some may have no pairs.
            pairs: user, item, score, marks, user_marks, sorted by user.

        Raises: OutputError.
        """
        ends = np.searchsorted(pairs[USER].to_numpy(), users, side="right")
        sizes = np.diff(np.concatenate([np.zeros(1, dtype=np.int64), ends]))
        marks = np.zeros(len(users), dtype=np.uint64)
        marks[sizes > 0] = pairs[USER_MARKS].to_numpy()[ends[sizes > 0] - 1]
        self.sizes.append(sizes.astype(np.int32))
        self.marks.append(marks)
        for name, file in self._files.items():
            with as_output_error(self._path(name)):
                file.write(np.ascontiguousarray(pairs[name].to_numpy().astype(_KINDS[name])).tobytes())

    def mapped(self) -> Shortlist:
        """Return the shortlists of all users that were added; the arrays of pairs are mapped from the disk.

        Raises: OutputError.
        """
        self._close()
        sizes = np.concatenate([np.zeros(1, dtype=np.int64), *self.sizes])
        indptr = np.cumsum(sizes, dtype=np.int64)
        items, scores, marks = (self._mapped(name, int(indptr[-1])) for name in _ARRAYS)
        own = np.concatenate([np.zeros(0, dtype=np.uint64), *self.marks])
        return Shortlist(indptr, items, scores, marks, own)

    def sources(self) -> np.ndarray:
        """Return the sources of all pairs, bits i64, mapped from the disk. Raises: OutputError."""
        self._close()
        return self._mapped(SOURCES, int(np.concatenate([np.zeros(1, dtype=np.int64), *self.sizes]).sum()))

    def _mapped(self, name: str, size: int) -> np.ndarray:
        if size == 0:  # an empty file cannot be mapped
            return np.zeros(0, dtype=_KINDS[name])
        with as_output_error(self._path(name)):
            return np.asarray(np.memmap(self._path(name), _KINDS[name], "r", shape=(size,)))

    def _close(self) -> None:
        for name, file in self._files.items():
            with as_output_error(self._path(name)):
                file.close()

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.bin"


def top_of_batch(
    allocation: Allocation, first: int, users: np.ndarray, pairs: pl.DataFrame, first_row: int
) -> pl.DataFrame:
    """Return the lists of a batch's users: user, item, sources as bits, score, rank, rule, placed_by.

    Args:
        first: how many users, first_row: how many pairs the batches before have.
        users, pairs: of the batch, as they were added.
    """
    lists = allocation.lists
    owners, places = np.nonzero(lists.rows[first : first + len(users)] != NO_ROW)
    at = owners + first, places
    scores, sources = _scores_and_sources(allocation, lists.rows[at], pairs, first_row)
    return pl.DataFrame(
        {
            USER: users[owners].astype(np.uint32),
            ITEM: lists.items[at].astype(np.uint32),
            SOURCES: sources,
            SCORE: scores,
            RANK: (places + 1).astype(np.uint16),
            RULE: lists.rules[at],
            PLACED_BY: lists.placed_by[at],
        }
    )


def _scores_and_sources(
    allocation: Allocation, rows: np.ndarray, pairs: pl.DataFrame, first_row: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores and sources of rows, of the batch's pairs or of the second round."""
    scores, sources = np.empty(len(rows), dtype=np.float32), np.empty(len(rows), dtype=np.int64)
    own = rows >= 0
    places = pl.Series(rows[own] - first_row)
    scores[own], sources[own] = (pairs[name].gather(places).to_numpy() for name in (SCORE, SOURCES))
    if allocation.second is not None:
        more = SECOND_ROUND - rows[~own]
        scores[~own], sources[~own] = (
            allocation.second.shortlists.scores[more],
            allocation.second.sources[more],
        )
    return scores, sources

"""The ranker's rows of one label window, on disk: as many chunks as were made, never all in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from recsys_cli.utils.storage.atomic_files import as_system_error

LABEL = "label"
GROUP = "group"
VALIDATION = "validation"


@dataclass(frozen=True)
class WindowRows:
    """What one label window gave: the candidate models of `cut` saw nothing from that day on.

    Attributes:
        folder: of the chunks' files, numbered from 0.
        columns: user, item, label, group, validation and every feature.
        users, rows, positives: of the rows.
        positives_in_window: positive pairs of the users looked at, among the candidates or not.
    """

    cut: date
    folder: Path
    files: int
    columns: tuple[str, ...]
    users: int
    rows: int
    positives: int
    positives_in_window: int

    def chunks(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield the rows, a chunk at a time, in the order in which they were made."""
        for number in range(self.files):
            yield pl.read_parquet(
                _chunk_file(self.folder, number), columns=None if columns is None else list(columns)
            )

    def frame(self) -> pl.DataFrame:
        """Return all rows: for windows that are known to be small."""
        return pl.concat(self.chunks())


def write_chunk(frame: pl.DataFrame, folder: Path, number: int) -> None:
    """Write a chunk of rows.

    Raises: OSError where there is no room.
    """
    file = _chunk_file(folder, number)
    with as_system_error(file, pl.exceptions.ComputeError):
        frame.write_parquet(file, compression="lz4", statistics=False)


def _chunk_file(folder: Path, number: int) -> Path:
    return folder / f"{number:06}.parquet"

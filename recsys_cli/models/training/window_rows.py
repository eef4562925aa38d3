"""The ranker's rows of one label window, on disk in chunks, never all in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from recsys_cli.utils.storage.atomic_writes import as_system_error
from recsys_cli.utils.storage.table_files import read_parquet_file

LABEL = "label"
GROUP = "group"
VALIDATION = "validation"


@dataclass(frozen=True)
class WindowRows:
    """The rows of one label window, made with candidate models that saw nothing from `first_day` on.

    Attributes:
        folder: of the chunk files, numbered from 0.
        columns: user, item, label, group, validation and every feature; gain where some labels count more
            than others.
        users, rows, positives: counts of the rows.
        positives_in_window: positive pairs of the sampled users, whether they were candidates or not.
    """

    first_day: date
    folder: Path
    files: int
    columns: tuple[str, ...]
    users: int
    rows: int
    positives: int
    positives_in_window: int

    def chunks(self, columns: Sequence[str] | None = None) -> Iterator[pl.DataFrame]:
        """Yield the rows, chunk by chunk, in the order in which they were written."""
        for number in range(self.files):
            yield read_parquet_file(_chunk_file(self.folder, number), columns)

    def frame(self) -> pl.DataFrame:
        """Return all rows: only for small windows."""
        return pl.concat(self.chunks())


def write_chunk(frame: pl.DataFrame, folder: Path, number: int) -> None:
    """Write a chunk of rows.

    Raises: OSError if the disk is full.
    """
    file = _chunk_file(folder, number)
    with as_system_error(file, pl.exceptions.ComputeError):
        frame.write_parquet(file, compression="lz4", statistics=False)


def _chunk_file(folder: Path, number: int) -> Path:
    return folder / f"{number:06}.parquet"

"""Open tables of this machine by their plain paths: polars takes `[ ] * ?` in a path for a pattern."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl


def scan_parquet_file(file: Path) -> pl.LazyFrame:
    """Return a parquet file as a lazy frame."""
    return pl.scan_parquet(file, glob=False, hive_partitioning=False)


def read_parquet_file(
    file: Path, columns: Sequence[str] | None = None, num_rows: int | None = None
) -> pl.DataFrame:
    """Return a parquet file, or some of its columns and its first rows."""
    names = None if columns is None else list(columns)
    return pl.read_parquet(file, columns=names, n_rows=num_rows, glob=False, hive_partitioning=False)


def read_ipc_file(file: Path) -> pl.DataFrame:
    """Return an Arrow IPC file."""
    return pl.scan_ipc(file, glob=False, hive_partitioning=False).collect()

"""Open tables of this machine by their plain paths: polars takes `[ ] * ?` in a path for a pattern."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from recsys_cli.utils.storage.uris import is_glob


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


def scan_json_lines(source: Path | bytes, schema: pl.Schema | None = None) -> pl.LazyFrame:
    """Return JSON lines as a lazy frame; without a schema, that of all lines is found first."""
    if isinstance(source, Path) and is_glob(str(source)):
        source = source.read_bytes()  # this function of polars has no option to leave patterns alone
    return pl.scan_ndjson(source, schema=schema, infer_schema_length=None)

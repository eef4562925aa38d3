"""Parquet files: checked before polars reads them, and cut into pieces that take little memory."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import polars as pl

from recsys_cli.data_preparation.readers.read_errors import out_of_range, unreadable
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.freed_memory import give_back

_BATCH_ROWS = 65_536
_PIECE_ROWS = 100_000


def parquet_frames(files: list[Path], times: Collection[str]) -> list[pl.LazyFrame]:
    """Return the rows of each file, after it has been decoded once.

    Args:
        times: the columns that may hold times.

    Raises: InputError if a file is damaged, or holds times out of range or columns that polars cannot read.
    """
    from recsys_cli.data_preparation.readers.timestamp_range import out_of_range_column

    for file in files:
        _check_intact(file)
    column = out_of_range_column(files, times)  # before polars prints a panic message
    if column is not None:
        raise out_of_range(column, files)
    give_back()  # from here on polars reads
    return [pl.scan_parquet(file, hive_partitioning=False, glob=False) for file in files]


def parquet_pieces(frames: Sequence[pl.LazyFrame], files: Sequence[Path]) -> list[pl.LazyFrame]:
    """Return the rows of the files' frames in pieces, each of one row group; an empty file has one, too."""
    return [
        frame.slice(first, rows)
        for frame, file in zip(frames, files, strict=True)
        for first, rows in _stretches(file)
    ]


def _stretches(file: Path) -> Iterator[tuple[int, int]]:
    """Yield the first row and the number of rows of each piece of a file."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as parquet:
        sizes = [parquet.metadata.row_group(number).num_rows for number in range(parquet.num_row_groups)]
    begin = 0
    for size in sizes or [0]:
        for first in range(0, size, _PIECE_ROWS) or [0]:
            yield begin + first, min(_PIECE_ROWS, size - first)
        begin += size


def _check_intact(file: Path) -> None:
    """Decode the file with Arrow's reader: damage gives an error there, while polars may abort the process.

    Raises: InputError, also for columns that polars cannot read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from recsys_cli.data_preparation.readers.timestamp_range import unreadable_column

    try:
        with pq.ParquetFile(file, page_checksum_verification=True, pre_buffer=False) as parquet:
            found = unreadable_column(parquet.schema_arrow)
            if found is not None:
                raise InputError(found[0], where=str(file), fix=found[1])
            rows = sum(batch.num_rows for batch in parquet.iter_batches(_BATCH_ROWS))
            if rows != parquet.metadata.num_rows:
                raise pa.ArrowInvalid(f"{rows:,} of {parquet.metadata.num_rows:,} rows can be read")
    except pa.ArrowNotImplementedError:
        return  # a type that polars may support
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable([file], error) from None

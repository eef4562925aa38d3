"""Write rows that come in batches as parquet files, each with the columns and types of its own batches."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import polars as pl

_GROUP_ROWS = 65_536  # few, so that reading them takes little memory
_SEEDS = (1, 2)
_WRAP = 2**64
_FIRST_INTEGER, _LAST_INTEGER = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class RowFiles:
    """The files that were written.

    Attributes:
        content: hex, changes with the rows and their types, not with their order.
    """

    files: list[Path]
    rows: int
    content: str


class ColumnError(ValueError):
    """Rows whose columns cannot be those of a table."""


def write_row_files(frames: Iterable[pl.DataFrame], folder: Path) -> RowFiles:
    """Write the rows; a new file begins where the types of a batch are others than before.

    Raises: ColumnError for rows without columns.
    """
    rows, sums, files, schema = 0, [0] * len(_SEEDS), [], None  # type: ignore[var-annotated]
    with ExitStack() as opened:
        writer: Any = None
        for frame in map(_plain, frames):
            if frame.schema != schema:
                opened.close()
                files.append(folder / f"part-{len(files):05}.parquet")
                schema, writer = frame.schema, opened.enter_context(_writer(files[-1], frame))
            writer.write_table(frame.to_arrow(), row_group_size=_GROUP_ROWS)
            rows += len(frame)
            sums = [(total + one) % _WRAP for total, one in zip(sums, _row_sums(frame), strict=True)]
    return RowFiles(files, rows, sha256(f"{sums} {rows} {schema}".encode()).hexdigest())


def check_names(names: Iterable[str]) -> None:
    """Raise: ColumnError unless each column has a name of its own."""
    listed = list(names)
    twice = sorted({name for name in listed if listed.count(name) > 1})
    if not listed:
        raise ColumnError("it gives no columns")
    if "" in listed:
        raise ColumnError("it gives a column without a name: name it with AS")
    if twice:
        raise ColumnError(f"it gives several columns called {twice[0]!r}: name one of them with AS")


def _writer(file: Path, frame: pl.DataFrame) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetWriter(file, frame.to_arrow().schema, compression="zstd")


def _plain(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with types that tables have."""
    check_names(frame.columns)
    return frame.with_columns(_plain_column(column) for column in frame)


def _plain_column(column: pl.Series) -> pl.Series:
    kind = column.dtype
    if isinstance(kind, pl.Categorical | pl.Enum):
        return column.cast(pl.String)
    if kind in (pl.Int128, pl.UInt128):
        fits = column.is_between(_FIRST_INTEGER, _LAST_INTEGER).all()
        return column.cast(pl.Int64 if fits else pl.Float64)
    return _plain_number(column) if kind.is_decimal() else column


def _plain_number(decimals: pl.Series) -> pl.Series:
    """Return decimals as integers where all of them are, else as floats."""
    whole = decimals.cast(pl.Int64, strict=False)
    is_whole = ((whole == decimals) | decimals.is_null()).fill_null(False).all()
    return whole if is_whole else decimals.cast(pl.Float64)


def _row_sums(frame: pl.DataFrame) -> Iterator[int]:
    """Yield, for each seed, the sum of the rows' hashes."""
    for seed in _SEEDS:
        yield int(frame.hash_rows(seed=seed).to_numpy().sum())

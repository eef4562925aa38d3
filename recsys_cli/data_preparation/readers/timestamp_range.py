"""Find dates and times that are out of polars' range: it panics beyond the year 262142."""

from collections.abc import Collection, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

_LAST_YEAR = 262_142
_DAYS = int((_LAST_YEAR - 1970) * 365.2425)
_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def out_of_range_column(files: Sequence[Path], among: Collection[str] | None = None) -> str | None:
    """Return the first column of the parquet files with a time out of range; None if there is none.

    Args:
        among: names of the columns to check; None: all.
    """
    for file in files:
        try:
            with pq.ParquetFile(file) as parquet:
                limits = {field.name: limit_of(field.type) for field in parquet.schema_arrow}
                wanted = {
                    name: limit
                    for name, limit in limits.items()
                    if limit is not None and (among is None or name in among)
                }
                for batch in parquet.iter_batches(columns=list(wanted)) if wanted else ():
                    for name, limit in wanted.items():
                        if is_beyond(batch[name], limit):
                            return str(name)
        except (pa.ArrowException, OSError):
            continue  # CSV, or a type that Arrow does not support
    return None


def limit_of(kind: pa.DataType) -> int | None:
    """Return the largest value of the type, in its units since 1970, that polars can represent."""
    if pa.types.is_date32(kind):
        return _DAYS
    if pa.types.is_date64(kind):
        return _DAYS * 86_400 * _UNITS["ms"]
    return _DAYS * 86_400 * _UNITS[kind.unit] if pa.types.is_timestamp(kind) else None


def is_beyond(column: pa.Array, limit: int) -> bool:
    """Return whether a column of days or times has a value beyond `limit_of` its type."""
    numbers = column.view(pa.int32() if pa.types.is_date32(column.type) else pa.int64())
    values = numbers.drop_null().to_numpy()
    return bool(len(values)) and bool(values.max() > limit or values.min() < -limit)

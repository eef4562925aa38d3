"""Find what Arrow reads and polars panics at: times beyond the year 262142, unknown zones, a name twice."""

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from zoneinfo import available_timezones

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

_LAST_YEAR = 262_142
_DAYS = int((_LAST_YEAR - 1970) * 365.2425)
_UNITS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_WHOLE_HOURS = re.compile(r"\+(0\d|1[0-4]):?00|-(0\d|1[0-2]):?00")  # offsets that polars has a zone for


def unreadable_column(schema: pa.Schema) -> tuple[str, str] | None:
    """Return what is wrong with a parquet file's columns, and how to put it right; None if nothing is."""
    for field in schema:
        if len(schema.get_all_field_indices(field.name)) > 1:
            return f"the column name {field.name!r} occurs twice", "give each column a name of its own"
        for kind in _leaf_types(field.type):
            if pa.types.is_timestamp(kind) and not _is_known(kind.tz):
                what = f"column {field.name!r} holds times of an unknown zone, {kind.tz!r}"
                return what, "store them in UTC, or with the name of their zone, such as Asia/Kolkata"
    return None


def _is_known(zone: str | None) -> bool:
    is_offset = zone is not None and _WHOLE_HOURS.fullmatch(zone) is not None
    return not zone or is_offset or zone.lower() == "utc" or zone in available_timezones()


def _leaf_types(kind: pa.DataType) -> Iterator[pa.DataType]:
    """Yield the types of the values in a column, inside of lists, structs, maps and dictionaries, too."""
    if pa.types.is_dictionary(kind):
        yield from _leaf_types(kind.value_type)
    elif pa.types.is_nested(kind):
        for number in range(kind.num_fields):
            yield from _leaf_types(kind.field(number).type)
    else:
        yield kind


def out_of_range_column(files: Sequence[Path], among: Collection[str] | None = None) -> str | None:
    """Return the first column of the parquet files with a time out of range; None if there is none.

    Args:
        among: names of the columns to check; None: all.
    """
    for file in files:
        try:
            with pq.ParquetFile(file, pre_buffer=False) as parquet:
                wanted = [
                    field.name
                    for field in parquet.schema_arrow
                    if (among is None or field.name in among) and _may_be_beyond(field.type)
                ]
                for batch in parquet.iter_batches(columns=wanted) if wanted else ():
                    for name, column in zip(batch.schema.names, batch.columns, strict=True):
                        if is_beyond(column):
                            return str(name)
        except (pa.ArrowException, OSError):
            continue  # CSV, or a type that Arrow does not support
    return None


def _limit(kind: pa.DataType) -> int | None:
    """Return the largest value of the type, in its units since 1970, that polars can represent."""
    if pa.types.is_date32(kind):
        return _DAYS
    if pa.types.is_date64(kind):
        return _DAYS * 86_400 * _UNITS["ms"]
    return _DAYS * 86_400 * _UNITS[kind.unit] if pa.types.is_timestamp(kind) else None


def _may_be_beyond(kind: pa.DataType) -> bool:
    """Return whether a column of the type holds days or times, inside of lists and structs, too."""
    return any(_limit(leaf) is not None for leaf in _leaf_types(kind))


def is_beyond(column: pa.Array) -> bool:
    """Return whether a column has a day or time that polars cannot represent."""
    return any(_leaf_is_beyond(leaf) for leaf in _leaves(column))


def _leaves(column: pa.Array) -> Iterator[pa.Array]:
    """Yield the values in a column, those inside of lists, structs, maps and dictionaries, too."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        yield from _leaves(column.dictionary)
    elif pa.types.is_struct(kind):
        for number in range(kind.num_fields):
            yield from _leaves(column.field(number))
    elif pa.types.is_map(kind):
        yield from _leaves(column.keys)
        yield from _leaves(column.items)
    elif pa.types.is_nested(kind):
        yield from _leaves(column.flatten())
    else:
        yield column


def _leaf_is_beyond(column: pa.Array) -> bool:
    limit = _limit(column.type)
    if limit is None or column.null_count == len(column):
        return False
    values = _numbers(column)
    return bool(values.max() > limit or values.min() < -limit)


def _numbers(column: pa.Array) -> np.ndarray:
    """Return the days or times that are not null as integers.

    They are looked at where they lie: Arrow's own functions take a third of a second to import.
    """
    is_valid, data = column.buffers()
    kind = np.int32 if pa.types.is_date32(column.type) else np.int64
    there = slice(column.offset, column.offset + len(column))
    values: np.ndarray = np.frombuffer(data, kind)[there]
    if not column.null_count:
        return values
    bits = np.unpackbits(np.frombuffer(is_valid, np.uint8), bitorder="little")
    return np.asarray(values[bits[there].astype(bool)])

"""One table of several files: columns by their names, each with a type that holds the values of all files."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from recsys_cli.utils.errors import InputError

IsUsed = Callable[[str], bool]


def in_common(
    frames: Sequence[pl.LazyFrame],
    schemas: Sequence[pl.Schema],
    files: Sequence[Path],
    zone: str,
    is_used: IsUsed,
) -> list[pl.LazyFrame]:
    """Return the rows of each file under all columns; a column that a file does not have is null there.

    Columns whose types have nothing in common are left out.

    Args:
        zone: of times without one, in a column that has one in other files.
        is_used: whether a column is needed, given its name.

    Raises: InputError that names files, column and types for a needed column that is left out.
    """
    names = dict.fromkeys(name for schema in schemas for name in schema)
    kinds = {name: _common_type([one[name] for one in schemas if name in one]) for name in names}
    for name in names:
        if kinds[name] is None and is_used(name):
            raise _different_types(name, schemas, files)
    known = {name: kind for name, kind in kinds.items() if kind is not None}
    return [
        frame.select(_as_kind(name, schema.get(name), kind, zone) for name, kind in known.items())
        for frame, schema in zip(frames, schemas, strict=True)
    ]


def literal_keys(keys: Sequence[Mapping[str, str | None]]) -> list[dict[str, pl.Expr]]:
    """Return, for each file, the keys in its folders' names as columns: all days, all integers, or text."""
    names = dict.fromkeys(name for one in keys for name in one)
    columns = {
        name: _narrowest(pl.Series([one.get(name) for one in keys], dtype=pl.String)) for name in names
    }
    return [
        {name: pl.lit(column[row], dtype=column.dtype).alias(name) for name, column in columns.items()}
        for row in range(len(keys))
    ]


def _narrowest(texts: pl.Series) -> pl.Series:
    days = texts.str.to_date("%Y-%m-%d", strict=False)
    if days.null_count() == texts.null_count():
        return days
    numbers = texts.cast(pl.Int64, strict=False)
    return numbers if (numbers.cast(pl.String) == texts).all() and numbers.count() else texts


def _common_type(kinds: Sequence[pl.DataType]) -> pl.DataType | None:
    """Return a type that holds the values of all these types without loss; None if there is none."""
    different = list(dict.fromkeys(kind for kind in kinds if kind != pl.Null))
    if len(different) < 2:
        return different[0] if different else pl.Null()
    if all(kind.is_integer() for kind in different):
        return pl.UInt64() if all(kind.is_unsigned_integer() for kind in different) else pl.Int64()
    if all(kind.is_numeric() for kind in different):
        return pl.Float64()
    if all(_is_text(kind) for kind in different):
        return pl.String()
    if all(kind == pl.Date or isinstance(kind, pl.Datetime) for kind in different):
        zoned = any(isinstance(kind, pl.Datetime) and kind.time_zone for kind in different)
        return pl.Datetime("us", "UTC" if zoned else None)
    inner = [kind.inner for kind in different if isinstance(kind, pl.List)]
    common = _common_type(inner) if len(inner) == len(different) else None  # type: ignore[arg-type]
    return pl.List(common) if common is not None else None


def _is_text(kind: pl.DataType) -> bool:
    return kind == pl.String or isinstance(kind, pl.Categorical | pl.Enum)


def _as_kind(name: str, kind: pl.DataType | None, common: pl.DataType, zone: str) -> pl.Expr:
    column = pl.lit(None).alias(name) if kind is None else pl.col(name)
    is_local = kind == pl.Date or (isinstance(kind, pl.Datetime) and kind.time_zone is None)
    if is_local and isinstance(common, pl.Datetime) and common.time_zone:
        return local_as_utc(column.cast(pl.Datetime("us")), zone).dt.replace_time_zone("UTC")
    return column.cast(common)


def local_as_utc(local: pl.Expr, zone: str) -> pl.Expr:
    """Return local times as UTC, without zone, in microseconds.

    A local time that a clock change skipped counts as the same time after the change; one that was twice, as
    the first.
    """
    if zone == "UTC":
        return local
    zoned, shifted = (
        time.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
        for time in (local, local + pl.duration(hours=1))
    )
    return pl.coalesce(zoned, shifted).dt.convert_time_zone("UTC").dt.replace_time_zone(None)


def _different_types(name: str, schemas: Sequence[pl.Schema], files: Sequence[Path]) -> InputError:
    first: dict[pl.DataType, Path] = {}
    for schema, file in zip(schemas, files, strict=True):
        if name in schema and schema[name] != pl.Null:
            first.setdefault(schema[name], file)
    kind, other = list(first)[:2]  # pylint: disable=unbalanced-tuple-unpacking
    file, other_file = first[kind], first[other]
    return InputError(
        f"column {name!r} is {kind} in {file.name} and {other} in {other_file.name}",
        where=f"{file}, {other_file}",
        fix="write it with one type in all files, or give a glob of those that are alike",
    )

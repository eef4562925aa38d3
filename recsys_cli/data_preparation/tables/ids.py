"""Check, cast, number and look up external ids: integers or text, never null, never changed by a byte."""

from difflib import get_close_matches
from typing import Literal

import polars as pl

from recsys_cli.data_preparation.tables.problems import Problem

IdType = Literal["auto", "text", "integer"]
_SHOWN_ROWS = 3
_CLOSE_IDS = 20_000  # ids that are compared for similarity
_LAST_WHOLE = 2**53  # beyond it, a float does not hold every integer
ROWS = "__rows"  # a column of frames with one row an id: how many rows of the source have it
_FLOAT_ID = r"^(-?\d+)\.0+$"  # an integer that pandas wrote as a float


def id_problems(frame: pl.DataFrame, where: str, key: str, *, whole_file: bool = False) -> list[Problem]:
    """Report null ids, and ids that are neither integers, whole floats nor text.

    Args:
        frame: one row per row of the source; or one per id, with their number as `ROWS`.
        whole_file: the frame has every row of one file, so that messages can give row numbers.
    """
    kind = frame.schema[key]
    if kind == pl.Null and frame.is_empty():
        return []
    if not _is_id_type(kind):
        return [
            Problem(
                where, f"{key} holds {kind}; ids are integers or text", "store the ids as integers or text"
            )
        ]
    ids = frame[key].fill_nan(None) if kind.is_float() else frame[key]
    problems = _fraction_problems(ids, frame, where) + _space_problems(ids, frame, where)
    nulls = _rows(frame, ids.is_null())
    if not nulls:
        return problems
    what = f"{nulls:,} of {_rows(frame, pl.lit(True)):,} rows have no {key}"
    if whole_file:
        rows = (1 + ids.is_null().arg_true().head(_SHOWN_ROWS)).to_list()
        what += f" (rows {', '.join(map(str, rows))}{' …' if nulls > _SHOWN_ROWS else ''})"
    fix = f"remove these rows, or set the table's `filter`: {key} IS NOT NULL"
    return [*problems, Problem(where, what, fix)]


def _rows(frame: pl.DataFrame, which: pl.Series | pl.Expr) -> int:
    """Return how many rows of the source some of the frame's rows stand for."""
    chosen = frame.filter(which)
    return int(chosen[ROWS].sum()) if ROWS in chosen.columns else len(chosen)


def _fraction_problems(ids: pl.Series, frame: pl.DataFrame, where: str) -> list[Problem]:
    """Report floats that are no integers, or too large to be sure."""
    if not ids.dtype.is_float():
        return []
    wrong = (~is_whole(ids)).fill_null(False)
    if not wrong.any():
        return []
    number, first = _rows(frame, wrong), ids.filter(wrong)[0]
    what = f"{number:,} values of {ids.name} are no whole numbers up to 2^53: {first!r}"
    return [Problem(where, what, "store the ids as integers or text")]


def _space_problems(ids: pl.Series, frame: pl.DataFrame, where: str) -> list[Problem]:
    """Report ids with spaces around them: they would be other ids than those without."""
    if ids.dtype != pl.String:
        return []
    spaced = (ids.str.starts_with(" ") | ids.str.ends_with(" ")).fill_null(False)
    if not spaced.any():
        return []
    what = f"{_rows(frame, spaced):,} values of {ids.name} have spaces around them: {ids.filter(spaced)[0]!r}"
    fix = "remove them in the source, or for CSV set the table's `strip_spaces = true`"
    return [Problem(where, what, fix, "warning")]


def is_whole(numbers: pl.Series) -> pl.Series:
    """Return which floats are integers that a float holds exactly."""
    return numbers.is_finite() & (numbers == numbers.round()) & (numbers.abs() <= _LAST_WHOLE)


def duplicate_problems(frame: pl.DataFrame, where: str, key: str) -> list[Problem]:
    """Report ids with more than one row."""
    if not _is_id_type(frame.schema[key]):
        return []
    counts = frame[key].drop_nulls().value_counts().filter(pl.col("count") > 1)
    if counts.is_empty():
        return []
    first = counts.sort("count", key, descending=[True, False])[key].head(3).to_list()
    shown = ", ".join(repr(value) for value in first)
    return [
        Problem(where, f"{len(counts):,} {key}s have more than one row: {shown} …", "keep one row per id")
    ]


def cast_ids(
    frame: pl.DataFrame, key: str, id_type: IdType, where: str
) -> tuple[pl.DataFrame, list[Problem]]:
    """Return the frame with its ids as i64 or text, and a problem if some do not fit.

    Whole floats are integers: 12644.0 is 12644; in text, too, where the ids are to be integers.
    Columns that `id_problems` refuses are not changed: a cast of bytes or times may fail.
    """
    kind = frame.schema[key]
    if kind == pl.Null and frame.is_empty():
        return frame.cast({key: pl.String if id_type == "text" else pl.Int64}), []
    if not _is_id_type(kind):
        return frame, []
    wants_text = id_type == "text" or (id_type == "auto" and not kind.is_numeric())
    if kind.is_float():
        frame = frame.with_columns(pl.col(key).cast(pl.Int64, strict=False))
    if wants_text:
        frame = frame.cast({key: pl.String})
        return frame, _float_text_problems(frame, key, where)
    cast, is_unfit = _as_integers(frame[key])
    if not is_unfit.any():
        return frame.with_columns(cast), []
    shown = ", ".join(repr(value) for value in frame[key].filter(is_unfit).head(3).to_list())
    what = f"{_rows(frame, is_unfit):,} values of {key} are not plain 64-bit integers: {shown} …"
    return frame.with_columns(cast), [
        Problem(where, what, f'set data.{key}_type = "text" in settings/settings.toml')
    ]


def _as_integers(ids: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return ids as i64, and which of them are no plain integers of that size."""
    if ids.dtype.is_integer():
        cast = ids.cast(pl.Int64, strict=False)
        return cast, ids.is_not_null() & cast.is_null()
    plain = ids.cast(pl.String)
    if plain.str.contains(".", literal=True).any():
        plain = plain.str.replace(_FLOAT_ID, "${1}")
    cast = plain.cast(pl.Int64, strict=False)
    return cast, ids.is_not_null() & (cast.cast(pl.String) != plain).fill_null(True)


def _float_text_problems(frame: pl.DataFrame, key: str, where: str) -> list[Problem]:
    """Report ids as text such as 12644.0: another table may write 12644."""
    ids = frame[key]
    floats = (ids.str.ends_with(".0") & ids.str.contains(_FLOAT_ID)).fill_null(False)
    if not floats.any():
        return []
    first = ids.filter(floats)[0]
    what = f"{_rows(frame, floats):,} values of {key} look like integers written as floats: {first!r}"
    fix = f'set data.{key}_type = "integer" in settings/settings.toml if they are'
    return [Problem(where, what, fix, "warning")]


def _is_id_type(kind: pl.DataType) -> bool:
    return (
        kind.is_integer()
        or kind.is_float()
        or kind == pl.String
        or isinstance(kind, pl.Categorical | pl.Enum)
    )


def assign_indices(
    ids: pl.DataFrame, entities: pl.DataFrame, key: str, index: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Number all ids of both frames in sorted order; return `ids` with their index, and one entity per id."""
    if ids.schema[key] != entities.schema[key]:
        ids, entities = ids.cast({key: pl.String}), entities.cast({key: pl.String})
    known = pl.concat([ids[key], entities[key]]).sort().rle().struct.field("value").alias(key)
    numbered = ids.with_columns(known.search_sorted(ids[key]).cast(pl.UInt32).alias(index))
    return numbered, known.to_frame().join(entities, on=key, how="left", maintain_order="left")


def index_of(ids: pl.Series, asked: str) -> int | None:
    """Return the index of an id that is given as text; None if it is not among `ids`."""
    found = (ids.cast(pl.String) == asked).arg_true()
    return int(found[0]) if len(found) else None


def indices_of(ids: pl.Series, known: pl.Series) -> pl.Series:
    """Return the index that each of `ids` has among `known`, u32; null where it is not among them."""
    indices = known.rename("id").to_frame().with_row_index("index")
    return ids.rename("id").to_frame().join(indices, on="id", how="left", maintain_order="left")["index"]


def close_ids(ids: pl.Series, asked: str) -> list[str]:
    """Return ids that are similar to `asked`, the most similar first; if none is, the first ids."""
    texts = ids.cast(pl.String)
    near = texts.filter(texts.str.starts_with(asked[:1]) | texts.str.ends_with(asked[-1:])).head(_CLOSE_IDS)
    return get_close_matches(asked, near.to_list(), n=3, cutoff=0.5) or texts.head(3).to_list()

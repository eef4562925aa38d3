"""Check, cast, number and look up external ids: integers or text, never null, never changed by a byte."""

from difflib import get_close_matches
from typing import Literal

import polars as pl

from recsys_cli.data_preparation.tables.problems import Problem

IdType = Literal["auto", "text", "integer"]
_SHOWN_ROWS = 3
_CLOSE_IDS = 20_000  # ids that are compared for similarity


def id_problems(frame: pl.DataFrame, where: str, key: str, *, whole_file: bool = False) -> list[Problem]:
    """Report null ids, and ids that are neither integers nor text.

    Args:
        whole_file: the frame has every row of one file, so that messages can give row numbers.
    """
    kind = frame.schema[key]
    if not _is_id_type(kind):
        return [
            Problem(
                where, f"{key} holds {kind}; ids are integers or text", "store the ids as integers or text"
            )
        ]
    nulls = frame[key].null_count()
    if not nulls:
        return []
    what = f"{nulls:,} of {len(frame):,} rows have no {key}"
    if whole_file:
        rows = frame.select(1 + pl.arg_where(pl.col(key).is_null()).head(_SHOWN_ROWS)).to_series().to_list()
        what += f" (rows {', '.join(map(str, rows))}{' …' if nulls > _SHOWN_ROWS else ''})"
    return [Problem(where, what, f"remove these rows, or set the table's `filter`: {key} IS NOT NULL")]


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

    Columns that `id_problems` refuses are not changed: a cast of bytes or times may fail.
    """
    kind = frame.schema[key]
    if not _is_id_type(kind):
        return frame, []
    wants_text = id_type == "text" or (id_type == "auto" and not kind.is_integer())
    if wants_text:
        return frame.cast({key: pl.String}), []
    cast = frame[key].cast(pl.Int64, strict=False)
    unfit = frame[key].filter(
        frame[key].is_not_null() & (cast.cast(pl.String) != frame[key].cast(pl.String)).fill_null(True)
    )
    if unfit.is_empty():
        return frame.with_columns(cast), []
    shown = ", ".join(repr(value) for value in unfit.head(3).to_list())
    what = f"{len(unfit):,} values of {key} are not plain 64-bit integers: {shown} …"
    return frame.with_columns(cast), [
        Problem(where, what, f'set data.{key}_type = "text" in settings/settings.toml')
    ]


def _is_id_type(kind: pl.DataType) -> bool:
    return kind.is_integer() or kind == pl.String or isinstance(kind, pl.Categorical | pl.Enum)


def assign_indices(
    events: pl.DataFrame, entities: pl.DataFrame, key: str, index: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Number all ids of both frames in sorted order; return the events by index, and one entity per id."""
    if events.schema[key] != entities.schema[key]:
        events, entities = events.cast({key: pl.String}), entities.cast({key: pl.String})
    ids = pl.concat([events[key].unique(), entities[key]]).unique().sort()
    indices = pl.DataFrame([ids, pl.Series(index, range(len(ids)), dtype=pl.UInt32)])
    events = events.join(indices, on=key, how="left").drop(key)
    return events, indices.select(key).join(entities, on=key, how="left", maintain_order="left")


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

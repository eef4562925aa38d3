"""Rows that a driver gives as Python's values, as frames."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import polars as pl

from recsys_cli.data_preparation.readers.databases.query import BATCH_ROWS
from recsys_cli.data_preparation.readers.row_files import ColumnError, check_names


def row_frames(
    names: Sequence[str], fetch: Callable[[int], Sequence[Sequence[Any]]]
) -> Iterator[pl.DataFrame]:
    """Yield the rows as frames, at least one.

    Args:
        fetch: returns the next rows, at most as many as it is asked for; none at the end.

    Raises: ColumnError for columns without names of their own, or with values of several types.
    """
    check_names(names)
    rows = fetch(BATCH_ROWS)
    while True:
        yield column_frame(names, list(zip(*rows, strict=True)) if rows else [[] for _ in names])
        rows = fetch(BATCH_ROWS)
        if not rows:
            return


def column_frame(names: Sequence[str], columns: Sequence[Sequence[Any]]) -> pl.DataFrame:
    """Return columns of Python's values as a frame.

    Raises: ColumnError for values of several types in one.
    """
    return pl.DataFrame([_column(name, values) for name, values in zip(names, columns, strict=True)])


def _column(name: str, values: Sequence[Any]) -> pl.Series:
    try:
        return pl.Series(name, _plain(values), strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        kinds = sorted({type(one).__name__ for one in values if one is not None})
        raise ColumnError(
            f"column {name!r} holds values of several types ({', '.join(kinds)}): CAST it in the query"
        ) from None


def _plain(values: Sequence[Any]) -> Sequence[Any]:
    """Return values of types that polars has none for as text, integers beside floats as floats."""
    kinds = {type(one) for one in values} - {type(None)}
    if kinds == {int, float}:
        return [one if one is None else float(one) for one in values]
    if kinds == {UUID}:
        return [one and str(one) for one in values]
    if kinds and kinds <= {dict, list} and dict in kinds:
        return [one if one is None else json.dumps(one, sort_keys=True, default=str) for one in values]
    return values

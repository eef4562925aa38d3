"""A column of the contract from a column of the source, or from a SQL expression over several."""

import polars as pl

from recsys_cli.utils.sql_expressions import sql_expression


def column_expression(text: str, schema: pl.Schema, *, where: str) -> tuple[pl.Expr, pl.DataType]:
    """Return the expression of a source's column, or of SQL over its columns, and its type.

    Raises: SettingsError if it is neither.
    """
    if text in schema:
        return pl.col(text), schema[text]
    found = sql_expression(text, schema, where=where)
    return found.expression, found.dtype


def is_expression(text: str, schema: pl.Schema) -> bool:
    """Return whether a setting that names no column is more than the name of one that is missing."""
    return text not in schema and not text.replace("_", "a").isalnum()

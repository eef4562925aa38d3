"""A column of the contract from a column of the source, or from a SQL expression over several."""

import polars as pl

from recsys_cli.utils.errors import SettingsError, first_line


def column_expression(text: str, schema: pl.Schema, *, where: str) -> tuple[pl.Expr, pl.DataType]:
    """Return the expression of a source's column, or of SQL over its columns, and its type.

    Raises: SettingsError if it is neither.
    """
    if text in schema:
        return pl.col(text), schema[text]
    try:
        expression = pl.sql_expr(text)
        missing = [name for name in expression.meta.root_names() if name not in schema]
        if missing:
            raise _invalid(text, f"uses the column {missing[0]!r}, which is missing", where, schema)
        (kind,) = pl.DataFrame(schema=schema).select(expression).dtypes
    except (pl.exceptions.PolarsError, ValueError) as error:
        raise _invalid(text, f"cannot be used: {first_line(error)}", where, schema) from None
    return expression, kind


def is_expression(text: str, schema: pl.Schema) -> bool:
    """Return whether a setting that names no column is more than the name of one that is missing."""
    return text not in schema and not text.replace("_", "a").isalnum()


def _invalid(text: str, what: str, where: str, schema: pl.Schema) -> SettingsError:
    return SettingsError(
        f"the expression {text!r} {what}; there are {', '.join(schema.names())}",
        where=where,
        fix="name a column of the source, or write SQL over its columns, such as: quantity * price",
    )

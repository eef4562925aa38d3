"""The one door from a SQL expression of the settings to polars."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Final

import polars as pl

from recsys_cli.utils.errors import SettingsError, first_line
from recsys_cli.utils.sql_text import names_in, rewritten

_SHOWN: Final = 118  # characters of an expression in a message
_SHOWN_COLUMNS: Final = 40
_FIX: Final = "name a column, or write SQL over the table's own columns, such as: quantity * price"
_FIX_OF_CONDITION: Final = "write a SQL condition over the table's own columns"


@dataclass(frozen=True)
class SqlExpression:
    """An expression over columns that are there.

    Attributes:
        columns: that it uses; dtype: of its values, one a row.
    """

    expression: pl.Expr
    columns: frozenset[str]
    dtype: pl.DataType


@dataclass(frozen=True)
class _Asked:
    """The text of a setting, where it stands, how one is written, and the tables that it may name."""

    text: str
    where: str
    fix: str
    tables: Sequence[str] = ()

    def invalid(self, why: str) -> SettingsError:
        shown = self.text if len(self.text) <= _SHOWN else f"{self.text[:_SHOWN]}…"
        return SettingsError(f"the expression {shown!r} {why}", where=self.where, fix=self.fix)


def sql_expression(text: str, schema: Mapping[str, pl.DataType], *, where: str) -> SqlExpression:
    """Return the polars expression of a SQL expression over the columns of `schema`; no row is needed.

    It can open no file and no address, and its size is bounded (`sql_text`). Regular expressions take time
    that is linear in the text, and are bounded in size by polars.

    Raises: SettingsError if it is not allowed, does not parse or uses a column that is missing.
    """
    return _parsed(_Asked(text, where, _FIX), schema)


def sql_condition(
    text: str, schema: Mapping[str, pl.DataType], *, where: str, tables: Sequence[str] = ()
) -> pl.Expr:
    """Return the polars expression of a SQL condition over the columns of `schema`.

    Args:
        tables: whose columns it may name, as in users.country; `schema` has them under such names.

    Raises: SettingsError as `sql_expression` does, and if it is not a condition.
    """
    asked = _Asked(text, where, fix_of_condition(schema, tables), tables)
    found = _parsed(asked, schema)
    if found.dtype != pl.Boolean:
        raise asked.invalid(f"is not a condition: it gives {found.dtype}")
    return found.expression


def fix_of_condition(schema: Mapping[str, pl.DataType], tables: Sequence[str] = ()) -> str:
    """Return how a condition over these columns is written, by the example of one of them.

    Args:
        tables: as of `sql_condition`; the example is of the first.
    """
    prefix = f"{tables[0]}." if tables else ""
    own = {name.removeprefix(prefix): kind for name, kind in schema.items() if name.startswith(prefix)}
    examples = (_example(name, kind) for name, kind in own.items() if not name.endswith("_id"))
    example = min(filter(None, examples), key=lambda one: one[0], default=None)
    return _FIX_OF_CONDITION if example is None else f"{_FIX_OF_CONDITION}, such as: {example[-1]}"


def _example(name: str, kind: pl.DataType) -> tuple[int, str] | None:
    """Return a condition on a column, after its rank among those of other types."""
    column = name if names_in(name) == {name} else '"' + name.replace('"', '""') + '"'
    if kind.is_numeric():
        return 0, f"{column} > 10"
    if kind == pl.String:
        return 1, f"{column} = 'some text'"
    if kind == pl.Date:
        return 2, f"{column} >= DATE '2026-11-23'"
    return (3, column) if kind == pl.Boolean else None


def _parsed(asked: _Asked, schema: Mapping[str, pl.DataType]) -> SqlExpression:
    try:
        expression = pl.sql_expr(rewritten(asked.text, asked.tables))
        columns = frozenset(expression.meta.root_names())
        if missing := sorted(columns - schema.keys()):
            raise asked.invalid(_is_missing(missing[0], schema))
        types = _rows(schema, columns).select(expression).dtypes
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        lists = sorted(name for name in names_in(asked.text, asked.tables) if _is_list(schema.get(name)))
        fix = f"{lists[0]!r} holds lists: write array_contains({lists[0]}, 'value')" if lists else asked.fix
        raise replace(asked, fix=fix).invalid(f"cannot be used: {first_line(error)}") from None
    except ValueError as error:
        raise asked.invalid(str(error)) from None
    if len(types) != 1:
        raise asked.invalid(f"gives {len(types)} columns")
    return SqlExpression(expression, columns, types[0])


def _is_list(kind: pl.DataType | None) -> bool:
    return isinstance(kind, pl.List)


def _rows(schema: Mapping[str, pl.DataType], columns: frozenset[str]) -> pl.DataFrame:
    """Return no row; where lists are used, one: only then polars sees that they are no text."""
    if not any(_is_list(schema[name]) for name in columns):
        return pl.DataFrame(schema=schema)
    return pl.DataFrame({name: [[] if _is_list(kind) else None] for name, kind in schema.items()}, schema)


def _is_missing(name: str, schema: Mapping[str, pl.DataType]) -> str:
    close = get_close_matches(name, schema, n=1, cutoff=0.4)
    there = ", ".join(list(schema)[:_SHOWN_COLUMNS])
    hint = f"did you mean {close[0]!r}?" if close else f"there are {there}"
    return f"uses the column {name!r}, which is missing; {hint}"

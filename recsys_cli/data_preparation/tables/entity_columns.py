"""The columns of users and items: what the settings name or compute by SQL, as the contract has them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from recsys_cli.configs.data_sections import FeatureTableSettings
from recsys_cli.data_preparation.readers.column_expressions import column_expression, is_expression
from recsys_cli.data_preparation.tables.times import days
from recsys_cli.utils.columns import (
    AVAILABLE_FROM,
    AVAILABLE_UNTIL,
    EXCLUDED,
    FOR_RULES,
    ITEM_ID,
    TITLE,
    USER_ID,
)
from recsys_cli.utils.sql_expressions import sql_condition

OPTIONAL = {USER_ID: (), ITEM_ID: (TITLE, AVAILABLE_FROM, AVAILABLE_UNTIL)}
KINDS: Mapping[str, type[pl.DataType]] = {TITLE: pl.String, AVAILABLE_FROM: pl.Date, AVAILABLE_UNTIL: pl.Date}


@dataclass(frozen=True)
class EntityColumns:
    """The columns of a users or items table.

    Attributes:
        key: user_id or item_id.
        schema: of the source.
        timezone: of the days of instants.
        exclude: scoring.exclude; empty: none.
    """

    table: FeatureTableSettings
    key: str
    schema: pl.Schema
    timezone: str
    exclude: str = ""

    @property
    def section(self) -> str:
        """The key of the table's settings."""
        return section_of(self.key)

    @property
    def declared(self) -> list[str]:
        """The features that are a column or an expression, each once."""
        return list(dict.fromkeys([*self.table.features, *self.table.feature_expressions]))

    @property
    def dates(self) -> list[str]:
        """The contract's columns of days that the source has."""
        return [name for name in OPTIONAL[self.key] if KINDS[name] == pl.Date and self.has(name)]

    def text(self, name: str) -> str:
        """Return what the settings say of a column of the contract: the source's column, or SQL."""
        return self.table.columns.get(name) or name

    def has(self, name: str) -> bool:
        """Return whether the source has, or the settings compute, a column of the contract."""
        text = self.text(name)
        return text in self.schema or is_expression(text, self.schema)

    def source(self, name: str) -> tuple[pl.Expr, pl.DataType]:
        """Return a column of the contract as the source has it, and its type.

        Raises: SettingsError for SQL that is not allowed, does not parse or uses a missing column.
        """
        return column_expression(self.text(name), self.schema, where=f"{self.section}.columns.{name}")

    @cached_property
    def features(self) -> Mapping[str, tuple[pl.Expr, pl.DataType]]:
        """The declared features as the source has them, with their types; columns that are missing aside.

        Raises: as `source` does.
        """
        where, computed = f"{self.section}.feature_expressions", self.table.feature_expressions
        found = {name: (pl.col(name), self.schema[name]) for name in self.declared if name in self.schema}
        return found | {
            name: column_expression(text, self.schema, where=f"{where}.{name}")
            for name, text in computed.items()
        }

    def day(self, name: str, timezone: str) -> pl.Expr:
        """Return a column of days; null where it cannot be read."""
        column, kind = self.source(name)
        return days(column, kind, timezone)

    def selected(self) -> list[pl.Expr]:
        """Return the contract's columns, then the declared features; an unknown exclusion is null."""
        columns = [self.source(self.key)[0].alias(self.key)]
        columns += [self._optional(name).alias(name) for name in OPTIONAL[self.key]]
        if self.key == ITEM_ID:
            columns.append(self._excluded().alias(EXCLUDED))
        columns += [self._feature(name).alias(name) for name in self.table.features]
        columns += [_flags(names).alias(name) for name, names in self.table.flag_features.items()]
        columns += [self._feature(name).alias(name) for name in self.table.feature_expressions]
        return columns + [self._for_rules(name).alias(FOR_RULES + name) for name in self.table.rule_columns]

    def _optional(self, name: str) -> pl.Expr:
        if not self.has(name):
            return pl.lit(None, dtype=KINDS[name])
        return (
            self.day(name, self.timezone) if KINDS[name] == pl.Date else self.source(name)[0].cast(pl.String)
        )

    def _excluded(self) -> pl.Expr:
        if not self.exclude:
            return pl.lit(False)
        return sql_condition(self.exclude, self.schema, where="scoring.exclude")

    def _for_rules(self, name: str) -> pl.Expr:
        """Return a column as `scoring.exclude` sees it, but for types that a rule cannot compare."""
        column, kind = pl.col(name), self.schema[name]
        if isinstance(kind, pl.List):
            return column.cast(pl.List(pl.String))
        if kind.is_decimal():
            return column.cast(pl.Float64)
        return column.cast(pl.String) if kind in (pl.Categorical, pl.Enum, pl.Null) else column

    def _feature(self, name: str) -> pl.Expr:
        (column, kind), table = self.features[name], self.table
        if name in table.category_features:
            return _category(column, kind)
        if name in table.list_features:
            values = column.cast(pl.String).str.split(table.list_separator)
            return values.list.eval(pl.element().str.strip_chars())
        if isinstance(kind, pl.List):
            return column.cast(pl.List(pl.String))
        return column.cast(pl.Float32 if kind == pl.Boolean or kind.is_numeric() else pl.String)


def section_of(key: str) -> str:
    """Return the key of the settings of users or of items."""
    return "data.users" if key == USER_ID else "data.items"


def _category(column: pl.Expr, kind: pl.DataType) -> pl.Expr:
    """Return the values as text; 7 gives the same text as an integer, float or decimal."""
    if kind.is_float():
        column = pl.when(column.is_finite()).then(column)
    text = column.cast(pl.String)
    if not (kind.is_float() or kind.is_decimal()):
        return text
    whole = column.cast(pl.Int64, strict=False)
    return pl.when(whole == column).then(whole.cast(pl.String)).otherwise(text)


def _flags(names: list[str]) -> pl.Expr:
    """Return, as a list, the names of the columns that are 1."""
    values = [pl.when(pl.col(name) == 1).then(pl.lit(name)) for name in names]
    return pl.concat_list(values).list.drop_nulls()

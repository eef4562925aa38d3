"""What is wrong with the columns and the values of users and items."""

from collections.abc import Iterator
from difflib import get_close_matches
from textwrap import shorten

import polars as pl

from recsys_cli.configs.data_sections import FeatureTableSettings
from recsys_cli.data_preparation.readers.column_expressions import is_expression
from recsys_cli.data_preparation.readers.csv_files import NumberStyle
from recsys_cli.data_preparation.readers.number_styles import style_hint
from recsys_cli.data_preparation.tables.entity_columns import OPTIONAL, EntityColumns
from recsys_cli.data_preparation.tables.problems import Problem, missing_column
from recsys_cli.utils.columns import AVAILABLE_FROM, AVAILABLE_UNTIL, CONTRACT, EXCLUDED

_FEATURES = "correct the table's `features` in the settings"


def feature_names(table: FeatureTableSettings) -> list[str]:
    """Return the names of the table's declared features, in the order of the settings."""
    return [*table.features, *table.flag_features, *table.feature_expressions]


def schema_problems(columns: EntityColumns, where: str) -> list[Problem]:
    """Return what is wrong with the columns that the settings name.

    Raises: SettingsError for an expression of the settings that cannot be used.
    """
    table, schema = columns.table, columns.schema
    wanted = [columns.key, *(name for name in OPTIONAL[columns.key] if table.columns.get(name))]
    problems = [
        missing_column(where, name, columns.text(name), schema.names())
        for name in wanted
        if columns.text(name) not in schema and not is_expression(columns.text(name), schema)
    ]
    problems += [
        *_name_problems(table, where),
        *_category_problems(columns, where),
        *_kind_problems(columns, where),
    ]
    flags = (column for names in table.flag_features.values() for column in names)
    for column in dict.fromkeys([*table.features, *flags]):
        if column not in schema:
            problem = missing_column(where, column, column, schema.names())
            problems.append(Problem(where, f"feature {problem.what}", _FEATURES))
    problems += _rule_column_problems(columns, where)
    return [*problems, *_date_problems(columns, where)]


def _rule_column_problems(columns: EntityColumns, where: str) -> Iterator[Problem]:
    """Yield columns for rules that are missing, hold what no rule can compare, or are there already."""
    schema, names = columns.schema, columns.table.rule_columns
    key, taken = f"{columns.section}.rule_columns", {*CONTRACT, *feature_names(columns.table)}
    for name in dict.fromkeys(names):
        if name not in schema:
            problem = missing_column(where, name, name, schema.names())
            yield Problem(where, f"{key}: {problem.what}", f"correct {key} in the settings")
        elif name in taken or names.count(name) > 1:
            what = f"{key}: {name!r} is there already: rules may use the contract's columns and the features"
            yield Problem(where, what, f"take it out of {key}")
        elif not _can_be_feature(schema[name]):
            what = f"{key}: {name!r} holds {schema[name]}, which no rule can compare"
            yield Problem(where, what, f"take it out of {key}, or store numbers, booleans, dates or text")


def _date_problems(columns: EntityColumns, where: str) -> Iterator[Problem]:
    for name in columns.dates:
        kind = columns.source(name)[1]
        if not (kind in (pl.Date, pl.String, pl.Null) or isinstance(kind, pl.Datetime)):
            what = f"{name} holds {kind}, not dates"
            yield Problem(where, what, "store it as a date, or as text such as 2026-11-23")


def _name_problems(table: FeatureTableSettings, where: str) -> Iterator[Problem]:
    """Yield features that are declared twice or have a name of the contract."""
    names = feature_names(table)
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield Problem(where, f"feature {name!r} is declared twice", _FEATURES)
    for name in sorted(set(CONTRACT) & set(names)):
        yield Problem(where, f"{name!r} cannot be a feature: the name is reserved", _FEATURES)


def _category_problems(columns: EntityColumns, where: str) -> Iterator[Problem]:
    """Yield category features that are not among the features, or hold lists."""
    table, declared = columns.table, columns.declared
    for name in dict.fromkeys(table.category_features):
        if name not in declared:
            close = get_close_matches(name, declared, n=1, cutoff=0.4)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            what = f"category feature {name!r} is not among the features{hint}"
            fix = "correct the table's `category_features` in the settings, or name it in its `features` too"
            yield Problem(where, what, fix)
        elif name in table.list_features or isinstance(_kind(columns, name), pl.List):
            what = f"category feature {name!r} holds several values"
            fix = "take it out of the table's `category_features`: the values of a list are categories"
            yield Problem(where, what, fix)


def _kind(columns: EntityColumns, name: str) -> pl.DataType | None:
    return columns.features[name][1] if name in columns.features else None


def _kind_problems(columns: EntityColumns, where: str) -> Iterator[Problem]:
    """Yield features of a type that cannot be one."""
    section = columns.section
    for name, (_, kind) in columns.features.items():
        if not _can_be_feature(kind):
            shown = shorten(str(kind), 60, placeholder=" …")
            known = "features are numbers, booleans, text, lists of text"
            what = f"{section}.features: {name!r} holds {shown}; {known}"
            fix = (
                f"take it out of {section}.features, or store it in the source as a number, a boolean, text "
                "or a list of texts"
            )
            yield Problem(where, what, fix)


def _can_be_feature(kind: pl.DataType) -> bool:
    if isinstance(kind, pl.List):
        return _can_be_feature(kind.inner) and not isinstance(kind.inner, pl.List)  # type: ignore[arg-type]
    return not (kind.is_nested() or kind in (pl.Duration, pl.Binary, pl.Object))


def value_problems(
    entities: pl.DataFrame, columns: EntityColumns, where: str, *, is_csv: bool
) -> list[Problem]:
    """Return what is wrong with the values of features and availability, and with scoring.exclude's."""
    problems = [*_untyped_problems(entities, columns, where, is_csv=is_csv)]
    if is_csv:
        problems += _style_problems(entities, columns.table, where)
    return [*problems, *_availability_problems(entities, where), *_exclude_problems(entities, columns)]


def _untyped_problems(
    entities: pl.DataFrame, columns: EntityColumns, where: str, *, is_csv: bool
) -> Iterator[Problem]:
    """Yield features without a value whose type is unknown for that reason: they are read as text."""
    fix = "deliver the column again with its values, or take it out of the table's `features`"
    for name, (_, kind) in columns.features.items():
        if (kind == pl.Null or is_csv) and entities[name].null_count() == len(entities) > 0:
            what = f"feature {name!r} has no value in {len(entities):,} rows"
            yield Problem(where, what, fix, "warning")


def _style_problems(entities: pl.DataFrame, table: FeatureTableSettings, where: str) -> Iterator[Problem]:
    """Yield text features of CSV that hold numbers, but for a few values or in another style."""
    for name in table.features:
        if entities.schema[name] == pl.String and name not in table.category_features:
            hint = style_hint(entities[name], NumberStyle(table.decimal, table.thousands))
            if hint is not None:
                yield Problem(where, f"feature {name!r} is text, but {hint.what}", hint.fix, "warning")


def _availability_problems(entities: pl.DataFrame, where: str) -> Iterator[Problem]:
    """Yield items whose availability ends before it starts."""
    if AVAILABLE_FROM not in entities.columns:
        return
    never = int((entities[AVAILABLE_UNTIL] < entities[AVAILABLE_FROM]).sum())
    if never:
        order = f"an {AVAILABLE_UNTIL} before their {AVAILABLE_FROM}"
        what = f"{never:,} items have {order}; they are never recommended"
        yield Problem(where, what, "correct these dates", "warning")


def _exclude_problems(entities: pl.DataFrame, columns: EntityColumns) -> Iterator[Problem]:
    """Yield that scoring.exclude is neither true nor false for some items."""
    nulls = entities[EXCLUDED].null_count() if EXCLUDED in entities.columns else 0
    if nulls:
        what = (
            f"the condition {columns.exclude!r} is unknown for {nulls:,} of {len(entities):,} items, because "
            "values are missing: they are not excluded"
        )
        fix = "say what a missing value means: COALESCE(column, 0) > 17, or column IS NULL OR column > 17"
        yield Problem("scoring.exclude", what, fix, "warning")

"""Read users and items: one row per id, with the declared features."""

from difflib import get_close_matches
from pathlib import Path
from textwrap import shorten

import polars as pl

from recsys_cli.configs.data_sections import FeatureTableSettings
from recsys_cli.data_preparation.readers.csv_files import NumberStyle
from recsys_cli.data_preparation.readers.file_kinds import source_kind
from recsys_cli.data_preparation.readers.local_files import (
    collect_source,
    scan_source,
    source_files,
    source_schema,
)
from recsys_cli.data_preparation.readers.number_styles import style_hint
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.readers.row_sources import shown_source
from recsys_cli.data_preparation.tables.ids import IdType, cast_ids, duplicate_problems, id_problems
from recsys_cli.data_preparation.tables.problems import Problem, missing_column
from recsys_cli.data_preparation.tables.times import days
from recsys_cli.utils.columns import (
    AVAILABLE_FROM,
    AVAILABLE_UNTIL,
    CONTRACT,
    EXCLUDED,
    ITEM_ID,
    TITLE,
    USER_ID,
)
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.sql_expressions import sql_condition

_OPTIONAL = {USER_ID: (), ITEM_ID: (TITLE, AVAILABLE_FROM, AVAILABLE_UNTIL)}
_KINDS = {TITLE: pl.String, AVAILABLE_FROM: pl.Date, AVAILABLE_UNTIL: pl.Date}


def read_entities(
    table: FeatureTableSettings,
    workspace: InputFolder,
    *,
    key: str,
    id_type: IdType,
    timezone: str,
    exclude: str = "",
) -> tuple[pl.DataFrame | None, list[Problem]]:
    """Return the users or items with their declared features, and all their problems.

    A table without a path is empty: ids then come from the events.
    """
    if not table.is_given:
        return _empty(key, id_type), _exclude_problems(exclude)
    where = shown_source(table, workspace.path)
    try:
        files = source_files(table, workspace)
        frame = scan_source(table, workspace, timezone)
        schema = source_schema(frame, files)
        problems = _schema_problems(table, schema, where, key)
        if problems:
            return None, problems
        selected = collect_source(frame.select(_columns(table, schema, key, exclude, timezone)), files)
        problems = _unreadable_date_problems(frame, table, schema, key, files)
        is_csv = source_kind(table, files) == "csv"
        problems += _untyped_problems(selected, table, where, schema, is_csv)
        if is_csv:
            problems += _style_problems(selected, table, where)
    except InputError as error:
        return None, [Problem(error.where or where, error.what, error.fix)]
    whole_file = not table.filter and len(files) == 1
    problems += id_problems(selected, where, key, whole_file=whole_file)
    problems += duplicate_problems(selected, where, key)
    problems += _availability_problems(selected, where)
    finite, infinite_problems = _finite(selected, where)
    problems += infinite_problems
    entities, cast_problems = cast_ids(finite, key, id_type, where)
    return entities, problems + cast_problems


def feature_names(table: FeatureTableSettings) -> list[str]:
    """Return the names of the table's declared features, in the order of the settings."""
    return [*table.features, *table.flag_features]


def _empty(key: str, id_type: IdType) -> pl.DataFrame:
    kind = pl.String if id_type == "text" else pl.Int64
    schema: dict[str, pl.DataType | type[pl.DataType]] = {key: kind}
    if key == ITEM_ID:
        schema |= _KINDS | {EXCLUDED: pl.Boolean}
    return pl.DataFrame(schema=schema)


def _exclude_problems(exclude: str) -> list[Problem]:
    """Report scoring.exclude without an items table: it would exclude nothing."""
    fix = "set data.items.path, or leave scoring.exclude empty"
    return [Problem("scoring.exclude", "there is no items table to exclude from", fix)] if exclude else []


def _schema_problems(table: FeatureTableSettings, schema: pl.Schema, where: str, key: str) -> list[Problem]:
    wanted = {key: table.columns.get(key, key)}
    wanted |= {name: table.columns[name] for name in _OPTIONAL[key] if table.columns.get(name)}
    problems = [
        missing_column(where, name, source, schema.names())
        for name, source in wanted.items()
        if source not in schema
    ]
    problems += _name_problems(table, where) + _category_problems(table, schema, where)
    problems += _kind_problems(table, schema, where, key)
    declared = [*table.features, *(column for columns in table.flag_features.values() for column in columns)]
    for column in dict.fromkeys(declared):
        if column not in schema:
            problem = missing_column(where, column, column, schema.names())
            problems.append(
                Problem(where, f"feature {problem.what}", "correct the table's `features` in the settings")
            )
    for name in _date_columns(schema, table, key):
        kind = schema[_source(table, name)]
        if not (kind in (pl.Date, pl.String, pl.Null) or isinstance(kind, pl.Datetime)):
            what = f"{name} holds {kind}, not dates"
            problems.append(Problem(where, what, "store it as a date, or as text such as 2026-11-23"))
    return problems


def _name_problems(table: FeatureTableSettings, where: str) -> list[Problem]:
    """Report features that are declared twice or have a name of the contract."""
    names = feature_names(table)
    twice = sorted({name for name in names if names.count(name) > 1})
    taken = sorted(set(CONTRACT) & set(names))
    fix = "correct the table's `features` in the settings"
    return [
        *(Problem(where, f"feature {name!r} is declared twice", fix) for name in twice),
        *(Problem(where, f"{name!r} cannot be a feature: the name is reserved", fix) for name in taken),
    ]


def _category_problems(table: FeatureTableSettings, schema: pl.Schema, where: str) -> list[Problem]:
    """Report category features that are not among the features, or hold lists."""
    problems = []
    for name in dict.fromkeys(table.category_features):
        if name not in table.features:
            close = get_close_matches(name, table.features, n=1, cutoff=0.4)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            what = f"category feature {name!r} is not among the features{hint}"
            fix = "correct the table's `category_features` in the settings, or name it in its `features` too"
            problems.append(Problem(where, what, fix))
        elif name in table.list_features or isinstance(schema.get(name), pl.List):
            what = f"category feature {name!r} holds several values"
            fix = "take it out of the table's `category_features`: the values of a list are categories"
            problems.append(Problem(where, what, fix))
    return problems


def _kind_problems(table: FeatureTableSettings, schema: pl.Schema, where: str, key: str) -> list[Problem]:
    """Report features of a type that cannot be one."""
    section = "data.users" if key == USER_ID else "data.items"
    fix = (
        f"take it out of {section}.features, or store it in the source as a number, a boolean, text or a "
        "list of texts"
    )
    return [
        Problem(
            where,
            f"{section}.features: {name!r} holds {shorten(str(schema[name]), 60, placeholder=' …')}; "
            "features are numbers, booleans, text, lists of text",
            fix,
        )
        for name in dict.fromkeys(table.features)
        if name in schema and not _can_be_feature(schema[name])
    ]


def _can_be_feature(kind: pl.DataType) -> bool:
    if isinstance(kind, pl.List):
        return _can_be_feature(kind.inner) and not isinstance(kind.inner, pl.List)  # type: ignore[arg-type]
    return not (kind.is_nested() or kind in (pl.Duration, pl.Binary, pl.Object))


def _untyped_problems(
    entities: pl.DataFrame, table: FeatureTableSettings, where: str, schema: pl.Schema, is_csv: bool
) -> list[Problem]:
    """Report features without a value whose type is unknown for that reason: they are read as text."""
    empty = [
        name
        for name in dict.fromkeys(table.features)
        if (schema[name] == pl.Null or is_csv) and entities[name].null_count() == len(entities) > 0
    ]
    fix = "deliver the column again with its values, or take it out of the table's `features`"
    return [
        Problem(where, f"feature {name!r} has no value in {len(entities):,} rows", fix, "warning")
        for name in empty
    ]


def _style_problems(entities: pl.DataFrame, table: FeatureTableSettings, where: str) -> list[Problem]:
    """Report text features of CSV that hold numbers, but for a few values or in another style."""
    texts = [
        name
        for name in table.features
        if entities.schema[name] == pl.String and name not in table.category_features
    ]
    return [
        Problem(where, f"feature {name!r} is text, but {hint.what}", hint.fix, "warning")
        for name in texts
        if (hint := style_hint(entities[name], NumberStyle(table.decimal, table.thousands))) is not None
    ]


def _columns(
    table: FeatureTableSettings, schema: pl.Schema, key: str, exclude: str, timezone: str
) -> list[pl.Expr]:
    columns = [pl.col(table.columns.get(key, key)).alias(key)]
    columns += [_optional(table, schema, name, timezone).alias(name) for name in _OPTIONAL[key]]
    if key == ITEM_ID:
        condition = sql_condition(exclude, schema, where="scoring.exclude") if exclude else pl.lit(False)
        columns.append(condition.fill_null(False).alias(EXCLUDED))
    columns += [_feature(name, schema[name], table) for name in table.features]
    columns += [_flags(names).alias(feature) for feature, names in table.flag_features.items()]
    return columns


def _source(table: FeatureTableSettings, name: str) -> str:
    return table.columns.get(name) or name


def _optional(table: FeatureTableSettings, schema: pl.Schema, name: str, timezone: str) -> pl.Expr:
    source = _source(table, name)
    if source not in schema:
        return pl.lit(None, dtype=_KINDS[name])
    if _KINDS[name] == pl.Date:
        return days(pl.col(source), schema[source], timezone)
    return pl.col(source).cast(_KINDS[name])


def _date_columns(schema: pl.Schema, table: FeatureTableSettings, key: str) -> list[str]:
    """Return the contract's date columns that the source has."""
    return [name for name in _OPTIONAL[key] if _KINDS[name] == pl.Date and _source(table, name) in schema]


def _unreadable_date_problems(
    frame: pl.LazyFrame, table: FeatureTableSettings, schema: pl.Schema, key: str, files: list[Path]
) -> list[Problem]:
    """Report values of date columns that cannot be read as a date."""
    dates = _date_columns(schema, table, key)
    if not dates:
        return []
    unread = [
        (pl.col(_source(table, name)).is_not_null() & _optional(table, schema, name, "UTC").is_null())
        .sum()
        .alias(name)
        for name in dates
    ]
    counts = collect_source(frame.select(unread), files).row(0, named=True)
    fix = "write them as 2026-11-23, or leave them empty"
    return [
        Problem(str(files[0]), f"{count:,} values of {name} are not dates", fix)
        for name, count in counts.items()
        if count
    ]


def _availability_problems(entities: pl.DataFrame, where: str) -> list[Problem]:
    """Report items whose availability ends before it starts."""
    if AVAILABLE_FROM not in entities.columns:
        return []
    never = int((entities[AVAILABLE_UNTIL] < entities[AVAILABLE_FROM]).sum())
    if not never:
        return []
    what = (
        f"{never:,} items have an {AVAILABLE_UNTIL} before their {AVAILABLE_FROM}; they are never recommended"
    )
    return [Problem(where, what, "correct these dates", "warning")]


def _finite(entities: pl.DataFrame, where: str) -> tuple[pl.DataFrame, list[Problem]]:
    """Return the frame with infinite numbers replaced by null, and a problem for each such column."""
    numbers = [name for name, kind in entities.schema.items() if kind.is_float()]
    counts = {name: int(entities[name].is_infinite().sum()) for name in numbers}
    fix = "leave them empty, or write a finite number"
    problems = [
        Problem(
            where,
            f"{count:,} values of {name!r} are infinite or too large: they count as missing",
            fix,
            "warning",
        )
        for name, count in counts.items()
        if count
    ]
    finite = [
        pl.when(~pl.col(name).is_infinite()).then(pl.col(name)) for name, count in counts.items() if count
    ]
    return entities.with_columns(finite), problems


def _feature(name: str, kind: pl.DataType, table: FeatureTableSettings) -> pl.Expr:
    column = pl.col(name)
    if name in table.category_features:
        return _category(column, kind)
    if name in table.list_features:
        return (
            column.cast(pl.String).str.split(table.list_separator).list.eval(pl.element().str.strip_chars())
        )
    if isinstance(kind, pl.List):
        return column.cast(pl.List(pl.String))
    if kind == pl.Boolean or kind.is_numeric():
        return column.cast(pl.Float32)
    return column.cast(pl.String)


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

"""External candidates: proposals of other systems, delivered per day, so that training sees no later ones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import polars as pl

from recsys_cli.configs.data_sections import DAY_PLACE, ExternalSettings, TableSettings
from recsys_cli.data_preparation.readers.local_files import (
    collect_source,
    scan_source,
    source_files,
    source_schema,
)
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.ids import id_problems
from recsys_cli.data_preparation.tables.problems import Problem, missing_column, raise_errors, raise_or_warn
from recsys_cli.utils.columns import ITEM, ITEM_ID, RANK, SCORE, USER, USER_ID
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.storage.network_limits import StoreError
from recsys_cli.utils.storage.uris import shown_path

_OPTIONAL = {SCORE: pl.Float32, RANK: pl.Float64}
_FIX = "deliver the day's candidates again without these rows"


def external_files(
    settings: ExternalSettings, workspace: InputFolder, days: Sequence[date]
) -> dict[date, list[Path]]:
    """Return the files of each day; empty if the source is off.

    Raises: InputError that lists every day without a file.
    """
    files, problems = _found_files(settings, workspace, days)
    raise_errors(problems)
    return files


def read_external(
    settings: ExternalSettings,
    workspace: InputFolder,
    days: Sequence[date],
    user_ids: pl.Series,
    item_ids: pl.Series,
) -> dict[date, pl.DataFrame]:
    """Return each day's candidates as user u32, item u32, score f32, sorted by user, best first.

    Args:
        user_ids, item_ids: the tables' ids by internal index; rows with other ids are dropped with a warning.

    Raises: InputError that lists all problems of all days.
    """
    rows, problems = inspect_external(settings, workspace, days)
    raise_errors(problems)
    frames, unknown = index_external(rows, user_ids, item_ids)
    raise_or_warn(problems + unknown)
    return frames


def inspect_external(
    settings: ExternalSettings, workspace: InputFolder, days: Sequence[date]
) -> tuple[dict[date, pl.DataFrame], list[Problem]]:
    """Return each day's candidates as user_id, item_id, score f32, a user's best first, and all problems.

    A day whose delivery breaks the contract is left out.
    """
    files, problems = _found_files(settings, workspace, days)
    frames = {}
    for day, found in files.items():
        rows, wrong = _read_day(_table(settings, day), workspace, found)
        problems += wrong
        if rows is not None and not any(problem.severity == "error" for problem in wrong):
            frames[day] = _ordered(rows)
    return frames, problems


def index_external(
    frames: Mapping[date, pl.DataFrame], user_ids: pl.Series, item_ids: pl.Series
) -> tuple[dict[date, pl.DataFrame], list[Problem]]:
    """Replace ids by internal indices; rows with an unknown id are dropped and reported."""
    indexed, problems = {}, []
    for day, rows in frames.items():
        indexed_rows = rows.select(
            _lookup_indices(rows[USER_ID], user_ids, USER),
            _lookup_indices(rows[ITEM_ID], item_ids, ITEM),
            SCORE,
        )
        known = indexed_rows.drop_nulls([USER, ITEM])
        if len(known) < len(indexed_rows):
            users, items = (
                rows[key].filter(indexed_rows[index].is_null()).n_unique()
                for key, index in ((USER_ID, USER), (ITEM_ID, ITEM))
            )
            problems.append(_unknown_id_problem(day, len(rows) - len(known), len(rows), users, items))
        indexed[day] = known.sort(USER, maintain_order=True)
    return indexed, problems


def _found_files(
    settings: ExternalSettings, workspace: InputFolder, days: Sequence[date]
) -> tuple[dict[date, list[Path]], list[Problem]]:
    files: dict[date, list[Path]] = {}
    missing: list[str] = []
    problems: list[Problem] = []
    for day in days if settings.is_on() else ():
        try:
            files[day] = source_files(_table(settings, day), workspace)
        except InputError as error:
            if isinstance(error.__cause__, StoreError | OSError):
                problems.append(Problem(error.where, error.what, error.fix))
            else:
                missing.append(str(day))
    if not missing:
        return files, problems
    what = f"there are no external candidates for {len(missing)} of {len(days)} days: {', '.join(missing)}"
    fix = (
        "deliver them, each made only from data before its day, or switch the source off for training and "
        "scoring: candidates.external.num_candidates=0"
    )
    return files, [*problems, Problem(shown_path(settings.path, workspace.path), what, fix)]


def _table(settings: ExternalSettings, day: date) -> TableSettings:
    columns = {str(name): source for name, source in settings.columns.items()}
    return TableSettings(path=settings.path.replace(DAY_PLACE, str(day)), format="parquet", columns=columns)


def _read_day(
    table: TableSettings, workspace: InputFolder, files: list[Path]
) -> tuple[pl.DataFrame | None, list[Problem]]:
    """Return user_id, item_id, and score f32 and rank f64 if the files have them, in the files' order."""
    where = shown_path(table.path, workspace.path)
    try:
        frame = scan_source(table, workspace)
        schema = source_schema(frame, files)
        names = _names(table, schema)
        problems = _schema_problems(names, schema, where)
        if problems:
            return None, problems
        columns = [
            (
                pl.col(source).cast(_OPTIONAL[name]).alias(name)
                if name in _OPTIONAL
                else pl.col(source).alias(name)
            )
            for name, source in names.items()
        ]
        rows = collect_source(frame.select(columns), files)
    except InputError as error:
        fix = "replace it by an intact parquet file with the same columns as the day's others"
        return None, [Problem(error.where or where, error.what, fix)]
    return rows, _row_problems(rows, where, whole_file=len(files) == 1)


def _names(table: TableSettings, schema: pl.Schema) -> dict[str, str]:
    """Return contract name → the source's column; optional ones only if they are mapped or have that name."""
    names = {name: table.columns.get(name, name) for name in (USER_ID, ITEM_ID, *_OPTIONAL)}
    wanted = (USER_ID, ITEM_ID, *(name for name in _OPTIONAL if table.columns.get(name) or name in schema))
    return {name: names[name] for name in wanted if names[name]}


def _schema_problems(names: Mapping[str, str], schema: pl.Schema, where: str) -> list[Problem]:
    missing = [
        replace(
            missing_column(where, name, source, schema.names()),
            fix=f"set candidates.external.columns.{name} to the column that holds it",
        )
        for name, source in names.items()
        if source not in schema
    ]
    wrong = [
        Problem(
            where,
            f"the {name} column {source!r} holds {schema[source]}, not numbers",
            f"set candidates.external.columns.{name} to a numeric column",
        )
        for name, source in names.items()
        if name in _OPTIONAL and source in schema and not schema[source].is_numeric()
    ]
    return missing + wrong


def _row_problems(rows: pl.DataFrame, where: str, *, whole_file: bool) -> list[Problem]:
    if rows.is_empty():
        return [Problem(where, "there are no rows in it", "deliver the day's candidates", "warning")]
    problems = [
        replace(problem, fix=_FIX if rows[key].null_count() else problem.fix)
        for key in (USER_ID, ITEM_ID)
        for problem in id_problems(rows, where, key, whole_file=whole_file)
    ]
    pairs = rows.select(USER_ID, ITEM_ID).drop_nulls()
    repeated = len(pairs) - pairs.n_unique()
    if repeated:
        what = f"{repeated:,} of {len(rows):,} rows repeat the user and item of another row"
        problems.append(Problem(where, what, "deliver one row per user and item"))
    valid = {SCORE: pl.col(SCORE).is_finite(), RANK: pl.col(RANK).is_finite() & (pl.col(RANK) >= 1)}
    expected = {SCORE: "a finite score", RANK: "a rank of 1 or more"}
    for name in _OPTIONAL:
        bad = 0 if name not in rows.columns else rows.select((~valid[name].fill_null(False)).sum()).item()
        if bad:
            problems.append(Problem(where, f"{bad:,} of {len(rows):,} rows lack {expected[name]}", _FIX))
    return problems


def _ordered(rows: pl.DataFrame) -> pl.DataFrame:
    """Return user_id, item_id, score, sorted by rank; else by score; with neither, in the files' order."""
    if RANK in rows.columns:
        rows = rows.sort(RANK, maintain_order=True)
    elif SCORE in rows.columns:
        rows = rows.sort(SCORE, descending=True, maintain_order=True)
    else:
        rows = rows.with_columns(pl.int_range(1, pl.len() + 1).over(USER_ID).alias(RANK))
    if SCORE not in rows.columns:
        rows = rows.with_columns((1 / pl.col(RANK)).cast(pl.Float32).alias(SCORE))
    return rows.select(USER_ID, ITEM_ID, SCORE)


def _lookup_indices(ids: pl.Series, known: pl.Series, name: str) -> pl.Series:
    """Return the index of each id among the known ones, u32; null for an unknown id."""
    if ids.dtype.is_float():
        ids = ids.cast(pl.Int64)
    if ids.dtype.is_integer() and known.dtype.is_integer():
        ids = ids.cast(known.dtype, strict=False)
    else:
        ids, known = ids.cast(pl.String), known.cast(pl.String)
    indices = known.rename("id").to_frame().with_row_index(name)
    return ids.rename("id").to_frame().join(indices, on="id", how="left", maintain_order="left")[name]


def _unknown_id_problem(day: date, dropped: int, rows: int, users: int, items: int) -> Problem:
    what = (
        f"{dropped:,} of {rows:,} external candidates of {day} are dropped: "
        f"{users:,} users and {items:,} items in them are unknown"
    )
    return Problem(
        "candidates.external", what, "write ids as in the interactions, users and items", "warning"
    )

"""Read source tables under their own column names: a file, folder, glob or URI of any format."""

import glob
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from pathlib import Path

import polars as pl

from recsys_cli.configs.data_sections import FeatureTableSettings, TableSettings
from recsys_cli.data_preparation.readers.common_schema import IsUsed, in_common, literal_keys
from recsys_cli.data_preparation.readers.csv_files import csv_cells, with_types
from recsys_cli.data_preparation.readers.file_kinds import kind_of_name, source_kind
from recsys_cli.data_preparation.readers.polars_errors import as_input_error
from recsys_cli.data_preparation.readers.read_errors import out_of_range, unreadable
from recsys_cli.data_preparation.readers.remote_copies import InputFolder, local_source, remote_sizes
from recsys_cli.data_preparation.readers.table_folders import (
    folder_keys,
    log_files,
    plain_start,
    refuse_table_format,
)
from recsys_cli.data_preparation.readers.text_files import utf8_source
from recsys_cli.utils.columns import CONTRACT, ITEM_ID, RANK, SCORE, TIMESTAMP, USER_ID, WEIGHT
from recsys_cli.utils.errors import InputError, SettingsError, first_line
from recsys_cli.utils.storage.uris import is_uri, shown_path

_BATCH_ROWS = 65_536


def source_files(table: TableSettings, workspace: InputFolder) -> list[Path]:
    """Return the source's files, sorted; hidden files of a folder are skipped. Those of a URI are downloaded.

    Raises: InputError if there is none, it cannot be downloaded, or belongs to a table with a log of its own.
    """
    return _located(table, workspace)[1]


def _located(table: TableSettings, workspace: InputFolder) -> tuple[Path, list[Path]]:
    """Return the source's own file or folder, of a glob the folder before its patterns, and its files."""
    path = local_source(table.path, workspace, _is_table(table))
    files = [path] if path.is_file() else _files_below(path, table, workspace)
    base = plain_start(path)
    refuse_table_format(log_files(base, files), shown_path(table.path, workspace.path))
    return base, files


def _files_below(path: Path, table: TableSettings, workspace: InputFolder) -> list[Path]:
    is_table = _is_table(table)
    if path.is_dir():
        found = [file for file in path.rglob("*") if is_table(file.name)]
    else:
        found = [Path(match) for match in glob.glob(str(path), recursive=True)]
    files = sorted(f for f in found if f.is_file() and not _is_hidden(f, path))
    if not files:
        raise InputError(
            "no such file" if not path.is_dir() else "the folder contains no table",
            where=shown_path(table.path, workspace.path),
            fix="correct the `path` of the table in settings/settings.toml, or put the file there",
        )
    return files


def source_sizes(table: TableSettings, workspace: InputFolder) -> list[int]:
    """Return the size in bytes of each of the source's files; nothing is downloaded.

    Raises: InputError as `source_files` does.
    """
    if is_uri(table.path):
        return remote_sizes(table.path, workspace.options, _is_table(table))
    return [file.stat().st_size for file in source_files(table, workspace)]


def scan_source(
    table: TableSettings, workspace: InputFolder, zone: str = "UTC", is_used: IsUsed | None = None
) -> pl.LazyFrame:
    """Open the source as a lazy frame, under its own column names, with its row filter applied.

    Keys in the names of a folder's folders (day=2026-11-23) are columns. Ids of CSV files are read as text,
    so that "007" stays "007".

    Args:
        zone: of times without one, where other files of the source have one.
        is_used: whether a column is needed, given its name; None: as the table's settings say, and keys that
            they do not need are left out.

    Raises: InputError for files that cannot be read, are of several kinds, or of types that do not fit;
        SettingsError for an invalid filter.
    """
    base, files = _located(table, workspace)
    used = is_used or partial(_is_used, table)
    keys = [folder_keys(file, base) for file in files]
    if is_used is None:
        keys = [{name: value for name, value in one.items() if used(name)} for one in keys]
    frame = _one_table(table, dict(zip(files, keys, strict=True)), zone, used)
    if table.filter:
        schema = source_schema(frame, files)
        frame = frame.filter(sql_condition(table.filter, schema, where=f"the filter of {table.path}"))
    return frame


def key_names(table: TableSettings, workspace: InputFolder) -> set[str]:
    """Return the names of the keys in the names of the source's folders.

    Raises: as `source_files`.
    """
    base, files = _located(table, workspace)
    return {name for file in files for name in folder_keys(file, base)}


def _one_table(
    table: TableSettings, keys: Mapping[Path, Mapping[str, str | None]], zone: str, is_used: IsUsed
) -> pl.LazyFrame:
    """Return the rows of the files that are named in `keys`, each with the keys of its folders."""
    files = list(keys)
    kind = source_kind(table, files)
    frames = _SCANS[kind](table, files)
    schemas = [source_schema(frame, [file]) for frame, file in zip(frames, files, strict=True)]
    written = {name for schema in schemas for name in schema}
    more = literal_keys([{k: v for k, v in one.items() if k not in written} for one in keys.values()])
    if any(more):
        frames = [frame.with_columns(**columns) for frame, columns in zip(frames, more, strict=True)]
        schemas = [frame.collect_schema() for frame in frames]
    if any(list(schema.items()) != list(schemas[0].items()) for schema in schemas):
        frame = in_common(frames, schemas, files, zone, is_used)
    elif kind == "parquet" and not any(more):
        frame = pl.scan_parquet(files, hive_partitioning=False, glob=False)
    else:
        frame = pl.concat(frames)
    return with_types(frame, table, files) if kind == "csv" else frame


def _is_used(table: TableSettings, name: str) -> bool:
    """Return whether the table's settings need a column."""
    contract = (USER_ID, ITEM_ID, TIMESTAMP, WEIGHT, SCORE, RANK, *CONTRACT)
    used = {table.columns.get(key, key) for key in contract} | set(table.columns.values())
    if isinstance(table, FeatureTableSettings):
        used |= {*table.features, *(column for columns in table.flag_features.values() for column in columns)}
    return name in used or name in table.filter


def source_schema(frame: pl.LazyFrame, files: list[Path]) -> pl.Schema:
    """Return the source's columns and types.

    Raises: InputError that names the files if they cannot be read.
    """
    with as_input_error(files):
        return frame.collect_schema()


def collect_source(frame: pl.LazyFrame, files: list[Path]) -> pl.DataFrame:
    """Collect the frame with the streaming engine.

    Raises: InputError that names the files if they cannot be read.
    """
    with as_input_error(files):
        return frame.collect(engine="streaming")


def sql_condition(text: str, schema: pl.Schema, *, where: str) -> pl.Expr:
    """Return the polars expression of a SQL condition over the columns of `schema`.

    Raises: SettingsError if it does not parse, uses an unknown column or is not a condition.
    """
    try:
        condition = pl.sql_expr(text)
        missing = [name for name in condition.meta.root_names() if name not in schema]
        kinds = [] if missing else pl.DataFrame(schema=schema).select(condition).dtypes
    except pl.exceptions.PolarsError as error:
        raise _invalid_condition(f"{text!r} cannot be used: {first_line(error)}", where) from None
    if missing:
        close = get_close_matches(missing[0], schema.names(), n=1, cutoff=0.4)
        hint = f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(schema.names())}"
        raise _invalid_condition(f"{text!r} uses the column {missing[0]!r}, which is missing{hint}", where)
    if kinds != [pl.Boolean]:
        raise _invalid_condition(f"{text!r} is not a condition: it gives {', '.join(map(str, kinds))}", where)
    return condition


def _invalid_condition(what: str, where: str) -> SettingsError:
    fix = "write a SQL condition over the table's own columns, such as: total_dur > 300"
    return SettingsError(f"the expression {what}", where=where, fix=fix)


def _is_table(table: TableSettings) -> Callable[[str], bool]:
    """Return a function from a file's name to whether that file belongs to the source."""
    if table.format == "auto":
        return lambda name: kind_of_name(name) is not None
    return lambda name: kind_of_name(name) == table.format


def _is_hidden(file: Path, root: Path) -> bool:
    inside = file.relative_to(root).parts if file.is_relative_to(root) else (file.name,)
    return any(name.startswith((".", "_")) for name in inside)


def _scan_parquet(table: TableSettings, files: list[Path]) -> list[pl.LazyFrame]:
    from recsys_cli.data_preparation.readers.timestamp_range import out_of_range_column

    for file in files:
        _check_intact(file)
    column = out_of_range_column(files, _possible_times(table))  # before polars prints a panic message
    if column is not None:
        raise out_of_range(column, files)
    return [pl.scan_parquet(file, hive_partitioning=False, glob=False) for file in files]


def _scan_arrow(table: TableSettings, files: list[Path]) -> list[pl.LazyFrame]:
    from recsys_cli.data_preparation.readers.arrow_files import arrow_frame

    return [arrow_frame(file, _possible_times(table)) for file in files]


def _scan_csv(table: TableSettings, files: list[Path]) -> list[pl.LazyFrame]:
    return [csv_cells(table, file) for file in files]


def _scan_json_lines(table: TableSettings, files: list[Path]) -> list[pl.LazyFrame]:
    frames = []
    for file in files:
        source = utf8_source(file, table.encoding)
        schema = source_schema(pl.scan_ndjson(source, infer_schema_length=None), [file])  # of all lines
        frames.append(pl.scan_ndjson(source, schema=schema))
    return frames


_SCANS = {"parquet": _scan_parquet, "csv": _scan_csv, "jsonl": _scan_json_lines, "arrow": _scan_arrow}


def _possible_times(table: TableSettings) -> set[str]:
    """Return the columns of a source that may hold times, except ids: those are refused elsewhere."""
    features = [*table.features, *table.list_features] if isinstance(table, FeatureTableSettings) else []
    used = {TIMESTAMP, WEIGHT, *CONTRACT, *table.columns.values(), *features}
    return used - {table.columns.get(key, key) for key in (USER_ID, ITEM_ID)}


def _check_intact(file: Path) -> None:
    """Decode the file with Arrow's reader: damage gives an error there, while polars may abort the process.

    Raises: InputError.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            rows = sum(batch.num_rows for batch in parquet.iter_batches(_BATCH_ROWS))
            if rows != parquet.metadata.num_rows:
                raise pa.ArrowInvalid(f"{rows:,} of {parquet.metadata.num_rows:,} rows can be read")
    except pa.ArrowNotImplementedError:
        return  # a type that polars may support
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable([file], error) from None

"""Read source tables under their own column names: a file, folder, glob or URI of any format."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

import polars as pl

from recsys_cli.configs.data_sections import FeatureTableSettings, TableSettings
from recsys_cli.data_preparation.readers.common_schema import IsUsed, in_common, literal_keys
from recsys_cli.data_preparation.readers.csv_files import column_types, csv_cells
from recsys_cli.data_preparation.readers.file_kinds import kind_of_name, source_kind
from recsys_cli.data_preparation.readers.parquet_files import parquet_frames, parquet_pieces
from recsys_cli.data_preparation.readers.polars_errors import as_input_error
from recsys_cli.data_preparation.readers.remote_copies import InputFolder, downloaded_files, remote_sizes
from recsys_cli.data_preparation.readers.row_sources import row_source, shown_source
from recsys_cli.data_preparation.readers.table_copies import copied_files, last_copy
from recsys_cli.data_preparation.readers.table_folders import (
    folder_keys,
    log_files,
    plain_start,
    refuse_table_format,
)
from recsys_cli.data_preparation.readers.text_files import utf8_source
from recsys_cli.utils.columns import (
    CONTRACT,
    ITEM_ID,
    RANK,
    SCORE,
    SNAPSHOT_NAMES,
    TIMESTAMP,
    USER_ID,
    WEIGHT,
)
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.sql_expressions import sql_condition
from recsys_cli.utils.sql_text import names_in
from recsys_cli.utils.storage.regular_files import require_readable
from recsys_cli.utils.storage.safe_paths import paths_matching
from recsys_cli.utils.storage.table_files import scan_json_lines
from recsys_cli.utils.storage.uris import WEB, bucket_and_key, copy_of, is_uri, scheme_of

Keys = Mapping[str, str | None]  # in the names of a file's folders: day=2026-11-23


def source_files(table: TableSettings, workspace: InputFolder) -> list[Path]:
    """Return the source's files, sorted; hidden files of a folder are skipped. Those of a URI are downloaded.

    The rows of a database, or of a table with a log of its own, are copied first.

    Raises: InputError if there is none, it cannot be read, or is a file of a table with a log of its own.
    """
    return _located(table, workspace)[1]


def _located(table: TableSettings, workspace: InputFolder) -> tuple[Path, list[Path]]:
    """Return the source's own file or folder, of a glob the folder before its patterns, and its files."""
    source = row_source(table, workspace)
    if source is not None:
        files = copied_files(source, workspace)
        return files[0].parent, files
    is_table, base = _is_table(table), _base(table.path, workspace.path)
    if is_uri(table.path):
        files = downloaded_files(table.path, workspace, is_table)
    else:
        files = _local_files(table.path, workspace.path, is_table)
    where = shown_source(table, workspace.path)
    if not files:
        is_folder = not is_uri(table.path) and (workspace.path / table.path).is_dir()
        raise InputError(
            "the folder contains no table" if is_folder else "no such file",
            where=where,
            fix="correct the `path` of the table in settings/settings.toml, or put the file there",
        )
    refuse_table_format(log_files(base, files), where)
    return base, files


def _base(path: str, folder: Path) -> Path:
    """Return the path of the copy, file or folder; of a glob the folder before its patterns."""
    if not is_uri(path):
        return folder / path if os.path.lexists(folder / path) else folder / plain_start(Path(path))
    if scheme_of(path) in WEB:
        return folder  # a file of the web has no folders with keys
    bucket, key = bucket_and_key(path)
    return copy_of(bucket, folder) / plain_start(PurePosixPath(key))


def _local_files(path: str, folder: Path, is_table: Callable[[str], bool]) -> list[Path]:
    """Return the file, the folder's tables or the files that match a glob, sorted; hidden ones are skipped.

    What exists under a path is meant by it, whatever signs it contains.

    Raises: InputError that names the first that is no regular file.
    """
    whole = folder / path
    if whole.is_dir():
        found = [file for file in whole.rglob("*") if is_table(file.name)]
    elif os.path.lexists(whole):
        return _readable([whole])
    else:
        found = list(paths_matching(path, folder))
    return _readable(sorted(file for file in found if not file.is_dir() and not _is_hidden(file, whole)))


def _readable(files: list[Path]) -> list[Path]:
    """Return the files of a source: each one is a regular file.

    Raises: InputError that names the first that is none.
    """
    for file in files:
        try:
            require_readable(file)
        except OSError as error:
            raise InputError(
                f"the table cannot be read: {error.strerror}",
                where=str(file),
                fix="put the file itself there, readable, or remove what lies there",
            ) from error
    return files


def source_sizes(table: TableSettings, workspace: InputFolder) -> list[int]:
    """Return the size in bytes of each of the source's files; nothing is downloaded.

    Raises: InputError as `source_files` does.
    """
    if (source := row_source(table, workspace)) is not None:
        return [file.stat().st_size for file in last_copy(source, workspace)]
    if is_uri(table.path):
        return remote_sizes(table.path, workspace.options, _is_table(table))
    return [file.stat().st_size for file in source_files(table, workspace)]


@dataclass(frozen=True)
class OpenSource:
    """A source as a lazy frame, under its own column names.

    Attributes:
        rows: all of them.
        pieces: the same, for a reader that holds one piece at a time: of parquet some rows, else a file each.
        are_small: whether each piece fits in little memory.
        condition: the row filter; None: there is none.
    """

    rows: pl.LazyFrame
    pieces: list[pl.LazyFrame]
    files: list[Path]
    are_small: bool = False
    condition: pl.Expr | None = None

    def filtered(self) -> pl.LazyFrame:
        """Return the rows that the filter keeps: those for which it is true."""
        return self._kept(self.rows)

    def filtered_pieces(self) -> list[pl.LazyFrame]:
        """Return what the filter keeps of each piece."""
        return [self._kept(piece) for piece in self.pieces]

    def _kept(self, rows: pl.LazyFrame) -> pl.LazyFrame:
        return rows if self.condition is None else rows.filter(self.condition)

    def unknown(self) -> pl.LazyFrame:
        """Return the rows for which the filter is neither true nor false, because of a null."""
        return self.rows.filter(pl.lit(False) if self.condition is None else self.condition.is_null())

    def count_unknown(self) -> int:
        """Return how many rows that are; the source is read again for it.

        Raises: InputError that names the files if they cannot be read.
        """
        if self.condition is None:
            return 0
        return int(collect_source(self.unknown().select(pl.len()), self.files).item())


def scan_source(
    table: TableSettings, workspace: InputFolder, zone: str = "UTC", is_used: IsUsed | None = None
) -> pl.LazyFrame:
    """Open the source as a lazy frame, under its own column names, with its row filter applied.

    Raises: as `open_source` does.
    """
    return open_source(table, workspace, zone, is_used).filtered()


def open_source(
    table: TableSettings,
    workspace: InputFolder,
    zone: str = "UTC",
    is_used: IsUsed | None = None,
    wanted: Callable[[Keys], bool] | None = None,
) -> OpenSource:
    """Open the source under its own column names.

    Keys in the names of a folder's folders (day=2026-11-23) are columns. Ids of CSV files are read as text,
    so that "007" stays "007".

    Args:
        zone: of times without one, where other files of the source have one.
        is_used: whether a column is needed, given its name; None: as the table's settings say, and keys that
            they do not need are left out.
        wanted: whether a file is opened, given the keys of its folders; None: all are.

    Raises: InputError for files that cannot be read, are of several kinds, or of types that do not fit;
        SettingsError for an invalid filter.
    """
    base, files = _located(table, workspace)
    used = is_used or partial(is_needed, table)
    found = {file: folder_keys(file, base) for file in files}
    keys: dict[Path, Keys] = {file: one for file, one in found.items() if wanted is None or wanted(one)}
    if is_used is None:
        keys = {file: {k: v for k, v in one.items() if used(k)} for file, one in keys.items()}
    source = _one_table(table, keys, zone, used)
    if not table.filter:
        return source
    schema, where = (
        source_schema(source.rows, source.files),
        f"the filter of {shown_source(table, workspace.path)}",
    )
    return replace(source, condition=sql_condition(table.filter, schema, where=where))


def key_names(table: TableSettings, workspace: InputFolder) -> set[str]:
    """Return the names of the keys in the names of the source's folders.

    Raises: as `source_files`.
    """
    return {name for one in source_keys(table, workspace) for name in one}


def source_keys(table: TableSettings, workspace: InputFolder) -> list[Keys]:
    """Return the keys in the names of the folders of each of the source's files.

    Raises: as `source_files`.
    """
    base, files = _located(table, workspace)
    return [folder_keys(file, base) for file in files]


def _one_table(
    table: TableSettings, keys: Mapping[Path, Mapping[str, str | None]], zone: str, is_used: IsUsed
) -> OpenSource:
    """Return the rows of the files in `keys`, each with the keys of its folders."""
    files = list(keys)
    kind = source_kind(table, files)
    frames = _SCANS[kind](table, files)
    schemas = [source_schema(frame, [file]) for frame, file in zip(frames, files, strict=True)]
    written = {name for schema in schemas for name in schema}
    more = literal_keys([{k: v for k, v in one.items() if k not in written} for one in keys.values()])
    if any(more):
        frames = [frame.with_columns(**columns) for frame, columns in zip(frames, more, strict=True)]
        schemas = [frame.collect_schema() for frame in frames]
    are_alike = all(list(schema.items()) == list(schemas[0].items()) for schema in schemas)
    if not are_alike:
        frames = in_common(frames, schemas, files, zone, is_used)
    if kind == "parquet" and are_alike and not any(more):
        rows = pl.scan_parquet(files, hive_partitioning=False, glob=False)
    else:
        rows = pl.concat(frames)
    if kind == "csv":
        types = column_types(rows, table, files)
        rows, frames = rows.with_columns(types), [frame.with_columns(types) for frame in frames]
    if kind == "parquet":
        return OpenSource(rows, parquet_pieces(frames, files), files, are_small=True)
    return OpenSource(rows, frames, files)


def is_needed(table: TableSettings, name: str) -> bool:
    """Return whether the table's settings need a column."""
    contract = (USER_ID, ITEM_ID, TIMESTAMP, WEIGHT, SCORE, RANK, *CONTRACT)
    used = {table.columns.get(key, key) for key in contract} | set(table.columns.values())
    texts = [table.filter, *table.columns.values()]
    if isinstance(table, FeatureTableSettings):
        used |= {*table.features, *table.rule_columns}
        used |= {*(column for columns in table.flag_features.values() for column in columns)}
        texts += table.feature_expressions.values()
        used |= set(SNAPSHOT_NAMES) if table.snapshots else set()
    return name in used or any(name in text for text in texts)


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


def _is_table(table: TableSettings) -> Callable[[str], bool]:
    """Return a function from a file's name to whether that file belongs to the source."""
    if table.format == "auto":
        return lambda name: kind_of_name(name) is not None
    return lambda name: kind_of_name(name) == table.format


def _is_hidden(file: Path, root: Path) -> bool:
    inside = file.relative_to(root).parts if file.is_relative_to(root) else (file.name,)
    return any(name.startswith((".", "_")) for name in inside)


def _scan_parquet(table: TableSettings, files: list[Path]) -> list[pl.LazyFrame]:
    return parquet_frames(files, _possible_times(table))


def _scan_arrow(table: TableSettings, files: list[Path]) -> list[pl.LazyFrame]:
    from recsys_cli.data_preparation.readers.arrow_files import arrow_frame

    return [arrow_frame(file, _possible_times(table)) for file in files]


def _scan_csv(table: TableSettings, files: list[Path]) -> list[pl.LazyFrame]:
    return [csv_cells(table, file) for file in files]


def _scan_json_lines(table: TableSettings, files: list[Path]) -> list[pl.LazyFrame]:
    sources = [utf8_source(file, table.encoding) for file in files]
    schemas = [source_schema(scan_json_lines(one), [file]) for one, file in zip(sources, files, strict=True)]
    return [scan_json_lines(one, schema) for one, schema in zip(sources, schemas, strict=True)]


_SCANS = {"parquet": _scan_parquet, "csv": _scan_csv, "jsonl": _scan_json_lines, "arrow": _scan_arrow}


def _possible_times(table: TableSettings) -> set[str]:
    """Return the columns of a source that may hold times, except ids: those are refused elsewhere."""
    texts, features = list(table.columns.values()), list[str]()
    if isinstance(table, FeatureTableSettings):
        features = [*table.features, *table.list_features, *table.rule_columns]
        texts += table.feature_expressions.values()
    computed = {name for text in texts for name in names_in(text)}
    used = {TIMESTAMP, WEIGHT, *CONTRACT, *table.columns.values(), *features, *computed}
    return used - {table.columns.get(key, key) for key in (USER_ID, ITEM_ID)}

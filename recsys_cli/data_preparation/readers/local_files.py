"""Read source tables under their own column names: parquet or CSV; a file, folder, glob or URI."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from recsys_cli.configs.data_sections import FeatureTableSettings, TableSettings
from recsys_cli.data_preparation.readers.csv_dialect import refuse_compressed
from recsys_cli.data_preparation.readers.remote_copies import InputFolder, downloaded_files, remote_sizes
from recsys_cli.utils.columns import CONTRACT, ITEM_ID, TIMESTAMP, USER_ID, WEIGHT
from recsys_cli.utils.errors import InputError, first_line
from recsys_cli.utils.sql_expressions import sql_condition
from recsys_cli.utils.storage.regular_files import require_readable
from recsys_cli.utils.storage.safe_paths import paths_matching
from recsys_cli.utils.storage.uris import is_uri, shown_path

_CSV_ENDINGS = (".csv", ".tsv", ".data", ".dat", ".item", ".user", ".txt", ".csv.gz")
_BATCH_ROWS = 65_536
_ENDINGS = {"parquet": (".parquet", ".pq"), "csv": _CSV_ENDINGS}
_SHOWN_FILES = 3
_FILE_FIX = "replace the file by an intact one, or correct its format and columns in settings/settings.toml"
_FAILED_CAST = "conversion from"  # polars' words
_CAST_FIX = (
    "correct the values, or write TRY_CAST in the table's filter and in scoring.exclude: it gives NULL"
)


def source_files(table: TableSettings, workspace: InputFolder) -> list[Path]:
    """Return the source's files, sorted; hidden files of a folder are skipped. Those of a URI are downloaded.

    Raises: InputError if there is none, or it cannot be downloaded.
    """
    is_table = _is_table(table)
    if is_uri(table.path):
        files = downloaded_files(table.path, workspace, is_table)
    else:
        files = _local_files(table.path, workspace.path, is_table)
    if not files:
        is_folder = not is_uri(table.path) and (workspace.path / table.path).is_dir()
        raise InputError(
            "the folder contains no table" if is_folder else "no such file",
            where=shown_path(table.path, workspace.path),
            fix="correct the `path` of the table in settings/settings.toml, or put the file there",
        )
    return files


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
    if is_uri(table.path):
        return remote_sizes(table.path, workspace.options, _is_table(table))
    return [file.stat().st_size for file in source_files(table, workspace)]


def scan_source(table: TableSettings, workspace: InputFolder) -> pl.LazyFrame:
    """Open the source as a lazy frame, under its own column names, with its row filter applied.

    Ids of CSV files are read as text, so that "007" stays "007".
    Raises: InputError for files that cannot be read or are of several kinds; SettingsError for an invalid
        filter.
    """
    files = source_files(table, workspace)
    read = _scan_parquet if is_parquet(table, files) else _scan_csv
    frame = read(table, files)
    if table.filter:
        schema, where = source_schema(frame, files), f"the filter of {shown_path(table.path, workspace.path)}"
        frame = frame.filter(sql_condition(table.filter, schema, where=where))
    return frame


def is_parquet(table: TableSettings, files: list[Path]) -> bool:
    """Return whether the source is parquet; otherwise it is CSV.

    Raises: InputError if no format is set and there are parquet files and others: some would be ignored.
    """
    if table.format != "auto":
        return table.format == "parquet"
    parquet = [file for file in files if _kind(file.name) == "parquet"]
    others = [file for file in files if _kind(file.name) != "parquet"]
    if parquet and others:
        folder = files[0].parent
        kind = "CSV" if all(_kind(file.name) == "csv" for file in others) else "other"
        raise InputError(
            f"the table has parquet and {kind} files, and one kind would be ignored; "
            f"parquet: {_file_list(parquet)}; {kind}: {_file_list(others)}",
            where=str(folder),
            fix=f"give a glob of one kind, such as {folder.name}/*.parquet, or the folder and set `format`",
        )
    return bool(parquet)


def source_schema(frame: pl.LazyFrame, files: list[Path]) -> pl.Schema:
    """Return the source's columns and types.

    Raises: InputError that names the files if they cannot be read.
    """
    with _as_input_error(files):
        return frame.collect_schema()


def collect_source(frame: pl.LazyFrame, files: list[Path]) -> pl.DataFrame:
    """Collect the frame with the streaming engine.

    Raises: InputError that names the files if they cannot be read.
    """
    with _as_input_error(files):
        return frame.collect(engine="streaming")


@contextmanager
def _as_input_error(files: list[Path]) -> Iterator[None]:
    try:
        yield
    except (pl.exceptions.PolarsError, OSError, UnicodeDecodeError) as error:
        raise unreadable(files, error) from None
    except pl.exceptions.PanicException:
        from recsys_cli.data_preparation.readers.timestamp_range import out_of_range_column

        column = out_of_range_column(files)
        if column is None:
            raise  # a bug of polars, or a signal during its work
        raise _out_of_range(column, files) from None


def unreadable(files: list[Path], error: BaseException) -> InputError:
    """Return the error of a source that cannot be read; it names the files."""
    return InputError(
        f"the table cannot be read: {first_line(error)}",
        where=_file_list(files),
        fix=_CAST_FIX if _FAILED_CAST in str(error) else _FILE_FIX,
    )


def _file_list(files: list[Path]) -> str:
    return ", ".join(map(str, files[:_SHOWN_FILES])) + (" …" if len(files) > _SHOWN_FILES else "")


def _is_table(table: TableSettings) -> Callable[[str], bool]:
    """Return a function from a file's name to whether that file belongs to the source."""
    kinds = tuple(_ENDINGS) if table.format == "auto" else (table.format,)
    return lambda name: _kind(name) in kinds


def _kind(name: str) -> str | None:
    return next((kind for kind, ends in _ENDINGS.items() if name.lower().endswith(ends)), None)


def _is_hidden(file: Path, root: Path) -> bool:
    inside = file.relative_to(root).parts if file.is_relative_to(root) else (file.name,)
    return any(name.startswith((".", "_")) for name in inside)


def _scan_parquet(table: TableSettings, files: list[Path]) -> pl.LazyFrame:
    from recsys_cli.data_preparation.readers.timestamp_range import out_of_range_column

    for file in files:
        _check_intact(file)
    column = out_of_range_column(files, _possible_times(table))  # before polars prints a panic message
    if column is not None:
        raise _out_of_range(column, files)
    return pl.scan_parquet(files, hive_partitioning=False, glob=False)


def _possible_times(table: TableSettings) -> set[str]:
    """Return the columns of a source that may hold times, except ids: those are refused elsewhere."""
    features = [*table.features, *table.list_features] if isinstance(table, FeatureTableSettings) else []
    used = {TIMESTAMP, WEIGHT, *CONTRACT, *table.columns.values(), *features}
    return used - {table.columns.get(key, key) for key in (USER_ID, ITEM_ID)}


def _out_of_range(column: str, files: list[Path]) -> InputError:
    return InputError(
        f"column {column!r} holds dates or times that are out of range",
        where=_file_list(files),
        fix="correct them, or leave them empty",
    )


def _check_intact(file: Path) -> None:
    """Decode the file with Arrow's reader: damage gives an error there, while polars may abort the process.

    Raises: InputError, also for columns that polars cannot read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from recsys_cli.data_preparation.readers.timestamp_range import unreadable_column

    try:
        with pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            found = unreadable_column(parquet.schema_arrow)
            if found is not None:
                raise InputError(found[0], where=str(file), fix=found[1])
            rows = sum(batch.num_rows for batch in parquet.iter_batches(_BATCH_ROWS))
            if rows != parquet.metadata.num_rows:
                raise pa.ArrowInvalid(f"{rows:,} of {parquet.metadata.num_rows:,} rows can be read")
    except pa.ArrowNotImplementedError:
        return  # a type that polars may support
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise unreadable([file], error) from None


def _scan_csv(table: TableSettings, files: list[Path]) -> pl.LazyFrame:
    with _as_input_error(files):
        for file in files:
            refuse_compressed(file)
    if len(table.separator) > 1:
        return pl.concat([_read_split_lines(table, file) for file in files]).lazy()
    sources: list[Path] | list[bytes] = files
    if table.encoding != "utf8":
        sources = [_decoded(table, file).encode() for file in files]
    return pl.scan_csv(
        sources,
        separator=table.separator,
        has_header=not table.header,
        new_columns=table.header or None,
        schema_overrides=_known_types(table, sources[0], files),
        infer_schema_length=10_000,
        glob=False,
    )


def _text_columns(table: TableSettings) -> list[str]:
    """Return the columns whose values are read as text: "007" stays "007"."""
    categories = table.category_features if isinstance(table, FeatureTableSettings) else []
    return [*(table.columns.get(name, name) for name in (USER_ID, ITEM_ID)), *categories]


def _known_types(table: TableSettings, source: Path | bytes, files: list[Path]) -> pl.Schema:
    """Return the types of columns that must not be inferred from values: ids, categories and the weight."""
    columns: list[str] | pl.Schema = table.header
    if not columns:
        head = pl.scan_csv(source, separator=table.separator, infer_schema=False, glob=False)
        columns = source_schema(head, files)
        if any(f"{name}_duplicated_0" in columns for name in columns):
            raise _duplicate_column(files[0])
    numbers = {table.columns[WEIGHT]: pl.Float64} if table.columns.get(WEIGHT) else {}
    kinds = numbers | dict.fromkeys(_text_columns(table), pl.String)
    return pl.Schema({name: kind for name, kind in kinds.items() if name in columns})


def _duplicate_column(file: Path) -> InputError:
    fix = "correct the file, or the table's `separator` and `header` in settings/settings.toml"
    return InputError("the header line has a column name twice", where=str(file), fix=fix)


def _decoded(table: TableSettings, file: Path) -> str:
    try:
        text = file.read_text(encoding=table.encoding)
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable([file], error) from None
    if not text.strip():
        raise InputError("the file is empty", where=str(file), fix="deliver it again, with its rows")
    return text


def _read_split_lines(table: TableSettings, file: Path) -> pl.DataFrame:
    """Read what polars' scanner cannot: separators of several characters, without quoting."""
    lines = _decoded(table, file).removesuffix("\n").split("\n")
    names = table.header or lines.pop(0).split(table.separator)
    if len(set(names)) < len(names):
        raise _duplicate_column(file)
    cells = pl.Series("line", lines, dtype=pl.String).str.split(table.separator).list.to_struct(fields=names)
    frame = pl.DataFrame(cells.struct.unnest())
    return frame.select(_inferred(frame[name], keep_text=name in _text_columns(table)) for name in names)


def _inferred(cells: pl.Series, *, keep_text: bool) -> pl.Series:
    for kind in () if keep_text else (pl.Int64, pl.Float64):
        cast = cells.cast(kind, strict=False)
        if cast.null_count() == cells.null_count():
            return cast
    return cells

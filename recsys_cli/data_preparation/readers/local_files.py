"""Read source tables under their own column names: parquet or CSV; a file, folder, glob or URI."""

import glob
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

import polars as pl

from recsys_cli.configs.data_sections import FeatureTableSettings, TableSettings
from recsys_cli.data_preparation.readers.csv_dialect import refuse_compressed
from recsys_cli.data_preparation.readers.remote_copies import InputFolder, local_source, remote_sizes
from recsys_cli.utils.columns import CONTRACT, EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID, WEIGHT
from recsys_cli.utils.errors import InputError, SettingsError, first_line
from recsys_cli.utils.storage.uris import is_uri, shown_path

_CSV_ENDINGS = (".csv", ".tsv", ".data", ".dat", ".item", ".user", ".txt", ".csv.gz")
_BATCH_ROWS = 65_536
_ENDINGS = {"parquet": (".parquet", ".pq"), "csv": _CSV_ENDINGS}
_SHOWN_FILES = 3


def source_files(table: TableSettings, workspace: InputFolder) -> list[Path]:
    """Return the source's files, sorted; hidden files of a folder are skipped. Those of a URI are downloaded.

    Raises: InputError if there is none, or it cannot be downloaded.
    """
    is_table = _is_table(table)
    path = local_source(table.path, workspace, is_table)
    if path.is_file():
        return [path]
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
        schema = source_schema(frame, files)
        frame = frame.filter(sql_condition(table.filter, schema, where=f"the filter of {table.path}"))
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


def unreadable(files: list[Path], error: BaseException) -> InputError:
    """Return the error of a source that cannot be read; it names the files."""
    return InputError(
        f"the table cannot be read: {first_line(error)}",
        where=_file_list(files),
        fix="replace the file by an intact one, or correct its format and columns in settings/settings.toml",
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
    kind = [table.columns[EVENT_TYPE]] if table.columns.get(EVENT_TYPE) else []
    return [*(table.columns.get(name, name) for name in (USER_ID, ITEM_ID)), *kind, *categories]


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

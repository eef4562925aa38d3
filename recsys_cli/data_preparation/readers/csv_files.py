"""Read CSV: every cell as text first, then each column as the type that fits all of its cells."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import polars as pl

from recsys_cli.configs.data_sections import FeatureTableSettings, InteractionsSettings, TableSettings
from recsys_cli.data_preparation.readers.polars_errors import as_input_error
from recsys_cli.data_preparation.readers.text_files import text_of, utf8_source
from recsys_cli.utils.columns import EVENT_TYPE, ITEM_ID, TIMESTAMP, USER_ID, WEIGHT
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.sql_text import names_in

_HEAD_ROWS = 10_000  # a column that is text in them is text
_SPACES = ("\u00a0", "\u202f")  # between thousands, instead of a plain space


class NumberStyle(NamedTuple):
    """The signs in a table's numbers."""

    decimal: str = "."
    thousands: str = ""

    @property
    def is_plain(self) -> bool:
        """Whether numbers are written as computers write them."""
        return self == NumberStyle()


def csv_cells(table: TableSettings, file: Path) -> pl.LazyFrame:
    """Return a file's cells as text, under its own column names; empty cells without quotes are null.

    Raises: InputError if it cannot be read, is empty, or names a column twice.
    """
    if len(table.separator) > 1:
        cells = _split_lines(table, file).lazy()
    else:
        cells = _scanned(table, file)
    if not table.strip_spaces:
        return cells
    stripped = pl.all().str.strip_chars()
    return cells.rename(str.strip).with_columns(pl.when(stripped != "").then(stripped))


def column_types(cells: pl.LazyFrame, table: TableSettings, files: list[Path]) -> list[pl.Expr]:
    """Return casts that give each column the type of all its cells: integers, numbers, booleans, else text.

    Ids, categories, and times with a format stay text, so that "007" stays "007".
    Raises: InputError that names the files if they cannot be read.
    """
    style = NumberStyle(table.decimal, table.thousands)
    with as_input_error(files):
        casts = fitting_casts(cells, style, keep=_text_columns(table, cells.collect_schema()))
        weight = table.columns.get(WEIGHT)
        if weight and weight in cells.collect_schema() and weight not in casts:
            casts |= _number_if_empty(cells, weight)
    return list(casts.values())


def fitting_casts(
    cells: pl.LazyFrame, style: NumberStyle, *, keep: Collection[str] = ()
) -> dict[str, pl.Expr]:
    """Return by name how to cast each column whose cells all are numbers or booleans.

    Args:
        keep: columns that stay text.

    Raises: what polars raises.
    """
    head = cells.head(_HEAD_ROWS).collect()
    texts = [name for name, kind in head.schema.items() if kind == pl.String and name not in keep]
    readings = {name: _readings(name, style) for name in texts}
    found = _first_fits(head.lazy(), readings, or_empty=True)
    left = {name: readings[name][number:] for name, number in found.items()}
    narrow = _first_fits(cells, {name: ways[:1] for name, ways in left.items()})
    wider = {name: ways[1:] for name, ways in left.items() if name not in narrow}
    casts = {name: left[name][0] for name in narrow}
    return casts | {name: wider[name][number] for name, number in _first_fits(cells, wider).items()}


def _number_if_empty(cells: pl.LazyFrame, name: str) -> dict[str, pl.Expr]:
    """Return how to cast a column without filled cells to numbers; nothing for any other."""
    number = pl.col(name).cast(pl.Float64, strict=False)
    return {name: number} if _first_fits(cells, {name: [pl.lit(None)]}, or_empty=True) else {}


def _readings(name: str, style: NumberStyle) -> list[pl.Expr]:
    """Return the ways to read a column, the narrowest first; each gives null for cells that do not fit."""
    text, cells = pl.col(name), pl.col(name).str.strip_chars()
    number = _as_written_by_computers(cells, style)
    percent = _as_written_by_computers(cells.str.strip_suffix("%").str.strip_chars_end(), style)
    lower = cells.str.to_lowercase()
    direct = [text.cast(kind, strict=False) for kind in (pl.Int64(), pl.Float64())] if style.is_plain else []
    return [
        *direct,
        number.cast(pl.Int64, strict=False),
        number.cast(pl.Float64, strict=False),
        pl.when(cells.str.ends_with("%")).then(percent.cast(pl.Float64, strict=False)),
        pl.when(lower.is_in(["true", "false"])).then(lower == "true"),
    ]


def numbers_in(text: pl.Expr, style: NumberStyle) -> pl.Expr:
    """Return the numbers of cells in a style, f64; null for cells that are none."""
    return _as_written_by_computers(text.str.strip_chars(), style).cast(pl.Float64, strict=False)


def _as_written_by_computers(cells: pl.Expr, style: NumberStyle) -> pl.Expr:
    """Return numbers without the style's signs; null for cells that are not in the style."""
    if style.is_plain:
        return cells
    for space in _SPACES if style.thousands == " " else ():
        cells = cells.str.replace_all(space, " ", literal=True)
    point, group = (rf"\{sign}" if sign == "." else sign for sign in style)
    grouped = rf"\d{{1,3}}({group}\d{{3}})+|" if group else ""
    fits = cells.str.contains(rf"^[-+]?({grouped}\d*)({point}\d+)?([eE][-+]?\d+)?$")
    joined = cells.str.replace_all(style.thousands, "", literal=True) if group else cells
    return pl.when(fits).then(joined.str.replace_all(style.decimal, ".", literal=True))


def _first_fits(
    cells: pl.LazyFrame, readings: Mapping[str, list[pl.Expr]], *, or_empty: bool = False
) -> dict[str, int]:
    """Return, by column, the number of the first reading that fits all filled cells; none: left out.

    Args:
        or_empty: whether a column without filled cells fits, too.
    """
    checks = {
        f"{number} {name}": _fits(pl.col(name), reading, or_empty=or_empty)
        for name, ways in readings.items()
        for number, reading in enumerate(ways)
    }
    if not checks:
        return {}
    found = cells.select(**checks).collect(engine="streaming").row(0, named=True)
    numbers = {
        name: [number for number in range(len(ways)) if found[f"{number} {name}"]]
        for name, ways in readings.items()
    }
    return {name: fitting[0] for name, fitting in numbers.items() if fitting}


def _fits(text: pl.Expr, reading: pl.Expr, *, or_empty: bool) -> pl.Expr:
    is_read = reading.is_not_null()
    fits = (is_read | text.is_null() | (text.str.strip_chars() == "")).all()
    return fits if or_empty else fits & is_read.any()


def _text_columns(table: TableSettings, known: Collection[str]) -> list[str]:
    """Return the columns whose values are read as text, those of an id's SQL too: "007" stays "007".

    Args:
        known: the table's columns.
    """
    names = [USER_ID, ITEM_ID]
    if isinstance(table, InteractionsSettings) and table.timestamp_format:
        names.append(TIMESTAMP)
    if table.columns.get(EVENT_TYPE):
        names.append(EVENT_TYPE)
    categories = table.category_features if isinstance(table, FeatureTableSettings) else []
    computed = [table.columns.get(key, key) for key in (USER_ID, ITEM_ID)]
    inside = (name for text in computed if text not in known for name in names_in(text))
    return [*(table.columns.get(name, name) for name in names), *inside, *categories]


def _scanned(table: TableSettings, file: Path) -> pl.LazyFrame:
    frame = pl.scan_csv(
        utf8_source(file, table.encoding),
        separator=table.separator,
        has_header=not table.header,
        new_columns=table.header or None,
        infer_schema=False,
        glob=False,
    )
    with as_input_error([file]):
        names = frame.collect_schema().names()
    if not table.header and any(f"{name}_duplicated_0" in names for name in names):
        raise _duplicate_column(file)
    return frame


def _duplicate_column(file: Path) -> InputError:
    fix = "correct the file, or the table's `separator` and `header` in settings/settings.toml"
    return InputError("the header line has a column name twice", where=str(file), fix=fix)


def _split_lines(table: TableSettings, file: Path) -> pl.DataFrame:
    """Read what polars' scanner cannot: separators of several characters, without quoting."""
    lines = text_of(file, table.encoding).removesuffix("\n").split("\n")
    names = table.header or lines.pop(0).split(table.separator)
    if len(set(names)) < len(names):
        raise _duplicate_column(file)
    cells = pl.Series("line", lines, dtype=pl.String).str.split(table.separator).list.to_struct(fields=names)
    return pl.DataFrame(cells.struct.unnest())

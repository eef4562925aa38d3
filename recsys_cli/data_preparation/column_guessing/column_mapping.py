"""Guess what the user's own columns mean, from their names, types and values."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import polars as pl

from recsys_cli.configs.data_sections import (
    DataSettings,
    FeatureTableSettings,
    InteractionsSettings,
    ItemsSettings,
    TableSettings,
)
from recsys_cli.configs.event_sections import EventTypeSettings
from recsys_cli.configs.fields import is_pattern
from recsys_cli.data_preparation.column_guessing.event_columns import guess_event_types, hint_of
from recsys_cli.data_preparation.column_guessing.feature_columns import RENAME, FeatureGuess, guess_features
from recsys_cli.data_preparation.column_guessing.timestamps import guess_timestamp, is_day, other_format
from recsys_cli.data_preparation.readers.csv_dialect import sniff_dialect
from recsys_cli.data_preparation.readers.csv_files import csv_cells
from recsys_cli.data_preparation.readers.file_kinds import source_kind
from recsys_cli.data_preparation.readers.local_files import (
    collect_source,
    key_names,
    scan_source,
    source_files,
)
from recsys_cli.data_preparation.readers.number_styles import guess_style, settings_of
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.readers.row_sources import shown_source
from recsys_cli.data_preparation.readers.text_files import common_encoding
from recsys_cli.data_preparation.tables.ids import is_whole
from recsys_cli.utils.columns import (
    AVAILABLE_FROM,
    AVAILABLE_UNTIL,
    EVENT_TYPE,
    ITEM_ID,
    TIMESTAMP,
    TITLE,
    USER_ID,
    WEIGHT,
)
from recsys_cli.utils.errors import InputError, UsageError

INTERACTIONS, USERS, ITEMS = "interactions", "users", "items"
NAMES = {
    USER_ID: """user_id user uid customer_id customer client_id client visitor_id visitor account_id member_id
        buyer_id shopper_id subscriber_id reviewer_id viewer_id listener_id reader_id person_id profile_id
        user_name""",
    ITEM_ID: """item_id item iid movie_id movie product_id product sku stock_code article_id article isbn asin
        goods_id content_id video_id film_id track_id song_id artist_id book_id offer_id show_id game_id
        course_id news_id product_code item_code""",
    TIMESTAMP: """timestamp datetime event_time event_timestamp event_date time date ts last_watch_dt
        invoice_date order_date purchase_date transaction_date created_at watched_at unix_time
        unix_review_time review_time dt t_dat""",
    WEIGHT: "weight",
    EVENT_TYPE: "",  # only where it is named: its types change what counts
    TITLE: """title name item_name product_name movie_title book_title product_title description
        item_description product_description""",
    AVAILABLE_FROM: "available_from available_since valid_from",
    AVAILABLE_UNTIL: "available_until available_to valid_until valid_to",
}
_SETTINGS: Mapping[str, type[InteractionsSettings | FeatureTableSettings]] = {
    INTERACTIONS: InteractionsSettings,
    USERS: FeatureTableSettings,
    ITEMS: ItemsSettings,
}
_OWN_KEY = {USERS: USER_ID, ITEMS: ITEM_ID}
_REQUIRED = {INTERACTIONS: (USER_ID, ITEM_ID, TIMESTAMP), USERS: (USER_ID,), ITEMS: (ITEM_ID,)}
_OPTIONAL = {INTERACTIONS: (WEIGHT, EVENT_TYPE), USERS: (), ITEMS: (TITLE, AVAILABLE_FROM, AVAILABLE_UNTIL)}
_SAMPLE_ROWS = 200_000
_PLAIN_INTEGER = r"^(0|-?[1-9][0-9]{0,17})(\.0+)?$"  # 12644.0 is what pandas makes of 12644 beside a gap
_TYPE_SUFFIX = re.compile(r":(token|token_seq|float|float_seq)$")  # of RecBole's files


@dataclass(frozen=True)
class Guess:
    """One guessed setting, for the user to check.

    Attributes:
        doubt: what else fits as well; "": nothing.
    """

    table: str
    setting: str
    value: str
    doubt: str = ""


@dataclass(frozen=True)
class UnusedColumn:
    """A column that the guessed settings do not use.

    Attributes:
        reason: why it is not used.
        fix: how to use it anyway; "" for columns of events that have no use.
    """

    table: str
    column: str
    reason: str
    fix: str


class GuessedData(NamedTuple):
    """Settings for the tables, the guesses they are based on, and the columns that they do not use."""

    data: DataSettings
    guesses: list[Guess]
    unused: list[UnusedColumn]


@dataclass(frozen=True)
class _Source:
    """A table under its own column names.

    Attributes:
        sample: the first rows, without the columns in `patterns`: their names stand for several columns.
    """

    name: str
    table: TableSettings
    sample: pl.DataFrame
    has_text_ids: bool  # as CSV has: they may be integers
    doubts: Mapping[str, str]  # setting: what else fits as well
    keys: set[str]  # columns in the names of folders
    patterns: list[str]


def guess_data(
    places: Mapping[str, Mapping[str, str]], workspace: InputFolder, named: Sequence[tuple[str, str]] = ()
) -> GuessedData:
    """Return settings for the tables, the guesses they are based on, and the columns that they do not use.

    Args:
        places: by table, the settings that say where each lies: path, or connection, query and password.
        workspace: the folder that relative paths start from.
        named: pairs of a contract column and the source's column for it; they override guesses.

    Raises: InputError for a table that cannot be read or lacks a required column; UsageError for an
        unknown name in `named`.
    """
    sources = [_open(name, place, workspace, named) for name, place in places.items()]
    _require_known(named, sources)
    mapped = {source.name: _mapped(source, named) for source in sources}
    tables = {name: table for name, (table, _) in mapped.items()}
    id_types = {
        f"{key}_type": "integer" if _all_integers(sources, tables, key, workspace) else "text"
        for key in (USER_ID, ITEM_ID)
    }
    data = DataSettings.model_validate({**id_types, **tables, "events": _event_types(sources, tables)})
    doubts = {(source.name, setting): why for source in sources for setting, why in source.doubts.items()}
    doubts |= _timestamp_doubts(sources, data.interactions)
    guesses = [replace(one, doubt=doubts.get((one.table, one.setting), "")) for one in _guesses(data)]
    return GuessedData(data, guesses, [one for _, unused in mapped.values() for one in unused])


def _timestamp_doubts(sources: Sequence[_Source], table: InteractionsSettings) -> dict[tuple[str, str], str]:
    """Return the format that reads the times as well but differently, such as the day before the month."""
    if not table.timestamp_format:
        return {}
    times = next(one.sample for one in sources if one.name == INTERACTIONS)[table.columns[TIMESTAMP]]
    other = other_format(times, table.timestamp_format) if times.dtype == pl.String else None
    return {(INTERACTIONS, "timestamp_format"): f"as well {other}: which one?"} if other else {}


def _event_types(
    sources: Sequence[_Source], tables: Mapping[str, TableSettings]
) -> dict[str, EventTypeSettings]:
    """Return what the types of events may count for; none where no column holds them."""
    column = tables[INTERACTIONS].columns.get(EVENT_TYPE) if INTERACTIONS in tables else None
    source = next(one for one in sources if one.name == INTERACTIONS) if column else None
    return {} if source is None or column is None else guess_event_types(source.sample[column])


def _open(
    name: str, place: Mapping[str, str], workspace: InputFolder, named: Sequence[tuple[str, str]]
) -> _Source:
    kind = _SETTINGS[name]
    table: TableSettings = kind.model_validate(place)
    try:
        files = source_files(table, workspace)
    except InputError as error:
        fix = f"correct the path after --{name}" if "`path`" in error.fix else error.fix
        raise InputError(error.what, where=error.where, fix=fix) from None
    doubts: dict[str, str] = {}
    file_kind = source_kind(table, files)
    if file_kind == "csv":
        dialect = sniff_dialect(files[0])._asdict() | {"encoding": common_encoding(files)}
        table, doubts = _with_styles(kind.model_validate({**place, **dialect}), files)
    elif file_kind == "jsonl":
        table = kind.model_validate({**place, "encoding": common_encoding(files)})
    chosen = {column for _, column in named}
    frame = scan_source(table, workspace, is_used=lambda name: name in chosen or _is_usual(name))
    sample = collect_source(frame.head(_SAMPLE_ROWS), files)
    if sample.is_empty():
        raise InputError(
            "the table has no rows",
            where=shown_source(table, workspace.path),
            fix=f"deliver it with its rows, or correct what follows --{name}",
        )
    patterns = [column for column in sample.columns if is_pattern(column)]
    keys = key_names(table, workspace)
    return _Source(name, table, _without(sample, patterns), file_kind == "csv", doubts, keys, patterns)


def _without(sample: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame([column for column in sample.get_columns() if column.name not in names])


def _with_styles(table: TableSettings, files: list[Path]) -> tuple[TableSettings, dict[str, str]]:
    """Return a CSV's settings with its spaces and the style of its numbers, and what else fits as well."""
    cells = collect_source(csv_cells(table, files[0]).head(_SAMPLE_ROWS), files[:1])
    if _has_stray_spaces(cells):
        table = table.model_copy(update={"strip_spaces": True})
        cells = collect_source(csv_cells(table, files[0]).head(_SAMPLE_ROWS), files[:1])
    style, other = guess_style(cells)
    doubts = {one: f"as well {settings_of(other)}: which one?" for one in style._fields} if other else {}
    signs = {key: sign for key, sign in style._asdict().items() if not style.is_plain}
    return table.model_copy(update=signs), doubts


def _has_stray_spaces(cells: pl.DataFrame) -> bool:
    """Return whether names, or values of a column without free text, have spaces around them."""
    stripped = pl.all().str.strip_chars()
    codes = cells.select((stripped != pl.all()).any() & ~stripped.str.contains(" ", literal=True).any())
    return any(name != name.strip() for name in cells.columns) or any(codes.row(0))


def _is_usual(column: str) -> bool:
    """Return whether a column has a name that columns of the contract usually have."""
    return _normalised(column) in _USUAL_NAMES


def _require_known(named: Sequence[tuple[str, str]], sources: Sequence[_Source]) -> None:
    """Raise: UsageError for a contract name or a column that does not exist."""
    for contract, column in named:
        if contract not in NAMES:
            raise UsageError(
                f"the contract has no column {contract!r}",
                where=f"--map {contract}={column}",
                fix=f"choose one of {', '.join(NAMES)}",
            )
        if not any(column in source.sample.columns for source in sources):
            columns = (f"{source.name}: {', '.join(source.sample.columns)}" for source in sources)
            raise UsageError(
                f"no table has a column {column!r}",
                where=f"--map {contract}={column}",
                fix=f"choose one of the columns; {'; '.join(columns)}; SQL goes into columns.{contract} of "
                "the settings that init writes",
            )


def _mapped(source: _Source, named: Sequence[tuple[str, str]]) -> tuple[TableSettings, list[UnusedColumn]]:
    """Return the table's settings with its columns mapped, and the columns that they do not use."""
    found = {
        contract: _column_of(contract, source, named)
        for contract in (*_REQUIRED[source.name], *_OPTIONAL[source.name])
    }
    columns = {contract: column for contract, column in found.items() if column}
    _require_columns(source, columns)
    spare = source.sample.drop(columns.values())
    if source.name == INTERACTIONS:
        more: Mapping[str, object] = guess_timestamp(source.sample[columns[TIMESTAMP]])
        unused = [_unused_of_events(column, columns) for column in spare]
    else:
        guess = guess_features(spare, f"data.{source.name}")
        more, unused = guess.settings, _unused_of_entities(source, guess)
    unused += [
        UnusedColumn(source.name, column, "the name stands for several columns", RENAME)
        for column in source.patterns
    ]
    return source.table.model_copy(update={"columns": columns, **more}), unused


def _unused_of_entities(source: _Source, guess: FeatureGuess) -> list[UnusedColumn]:
    seen = f" (of the first {_SAMPLE_ROWS:,} rows)" if len(source.sample) == _SAMPLE_ROWS else ""
    return [
        UnusedColumn(source.name, name, unfit.reason + seen, unfit.fix) for name, unfit in guess.unfit.items()
    ]


def _unused_of_events(column: pl.Series, columns: Mapping[str, str]) -> UnusedColumn:
    hint = hint_of(column, has_weight=WEIGHT in columns, has_type=EVENT_TYPE in columns)
    if hint is None:
        return UnusedColumn(INTERACTIONS, column.name, "not a column of the contract", "")
    option = f"--map {shlex.quote(f'{hint.contract}={column.name}')}"
    return UnusedColumn(
        INTERACTIONS, column.name, hint.reason, option if hint.contract else "see `recsys guide data`"
    )


def _column_of(contract: str, source: _Source, named: Sequence[tuple[str, str]]) -> str | None:
    """Return the column that the user named, else the most likely one by its name, else None."""
    columns = source.sample.columns
    for name, column in named:
        if name == contract and column in columns:
            return column
    names = NAMES[contract].split()
    if contract == _OWN_KEY.get(source.name):
        names.append("id")
    fitting = [column for column in columns if _can_be(contract, source.sample[column])]
    in_files = [column for column in fitting if column not in source.keys]
    return _first_match(names, in_files) or _first_match(names, fitting)


def _can_be(contract: str, column: pl.Series) -> bool:
    kind = column.dtype
    if contract == TIMESTAMP:
        return kind.is_temporal() or kind.is_numeric() or kind == pl.String
    if contract == WEIGHT:
        return kind.is_numeric()
    if contract == TITLE:
        return kind == pl.String
    if contract in (AVAILABLE_FROM, AVAILABLE_UNTIL):
        return kind.is_temporal() or is_day(column)
    return True


def _first_match(names: Iterable[str], columns: Sequence[str]) -> str | None:
    """Return the column that matches the earliest of the names; case and punctuation are ignored."""
    by_normalised_name = {_normalised(column): column for column in reversed(columns)}
    return next(
        (by_normalised_name[_normalised(name)] for name in names if _normalised(name) in by_normalised_name),
        None,
    )


def _normalised(name: str) -> str:
    return re.sub(r"[\W_]+", "", _TYPE_SUFFIX.sub("", name).casefold())


_USUAL_NAMES = {_normalised(name) for names in (*NAMES.values(), "id") for name in names.split()}


def _require_columns(source: _Source, columns: Mapping[str, str]) -> None:
    missing = [name for name in _REQUIRED[source.name] if name not in columns]
    if missing:
        raise InputError(
            f"no column of the {source.name} looks like {' or '.join(missing)}; "
            f"the columns are {', '.join(source.sample.columns)}",
            where=source.table.path,
            fix="name the column: " + " ".join(f"--map {name}=COLUMN" for name in missing),
        )


def _all_integers(
    sources: Sequence[_Source], tables: Mapping[str, TableSettings], key: str, workspace: InputFolder
) -> bool:
    """Return whether in every table the id can be an integer without any loss."""
    for source in sources:
        table = tables[source.name]
        if key not in table.columns:
            continue
        column = table.columns[key]
        kind = source.sample.schema[column]
        if source.has_text_ids:
            if not _plain_integers(scan_source(table, workspace).select(column), source):
                return False
        elif not (kind.is_integer() or (kind.is_float() and _whole_floats(source.sample[column]))):
            return False
    return True


def _whole_floats(ids: pl.Series) -> bool:
    return bool(is_whole(ids.fill_nan(None).drop_nulls()).all())


def _plain_integers(ids: pl.LazyFrame, source: _Source) -> bool:
    plain = pl.all().cast(pl.String).str.contains(_PLAIN_INTEGER).all()
    return bool(collect_source(ids.select(plain), [Path(source.table.path)]).item())


def _guesses(data: DataSettings) -> Iterator[Guess]:
    """Yield each table's columns, format and features, then the types of the ids."""
    for name in (INTERACTIONS, USERS, ITEMS):
        table: TableSettings = getattr(data, name)
        for contract, column in table.columns.items():
            yield Guess(name, contract, column)
        written = table.model_dump(exclude_unset=True, exclude={"path", "columns", "format"})
        for setting, value in written.items():
            if value:
                yield Guess(name, setting, ", ".join(value) if isinstance(value, list) else repr(value))
    for kind, one in data.events.items():
        said = one.model_dump(exclude_defaults=True) or {"weight": one.weight}
        yield Guess("events", kind, ", ".join(f"{key} = {value!r}" for key, value in said.items()))
    yield Guess("ids", "user_id_type", data.user_id_type)
    yield Guess("ids", "item_id_type", data.item_id_type)

"""Guess which columns of users or items can be features, from their names, types and values."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any, Final

import polars as pl

from recsys_cli.configs.sections import FeaturesSettings
from recsys_cli.data_preparation.column_guessing.timestamps import guess_timestamp
from recsys_cli.utils.columns import CONTRACT, ITEM, USER
from recsys_cli.utils.errors import InputError

_MAX_CATEGORIES: Final = FeaturesSettings().max_categories
_MIN_COVERAGE = 0.5  # of the values in lists, by those that training uses
_MAX_NULLS = 0.99
_LIST_SEPARATORS = ("|", ";", ", ", ",")
_SHARE_OF_LISTS = 0.1
_TIME_SAMPLE = 1_000  # values that are tried as times
_CATEGORY_NAME = re.compile(
    r"(^|[\W_])(id|uuid|guid|hash|code|key|no|nr|zip|zip_?code|post_?code|postal_?code|category|brand|"
    r"manufacturer|supplier|vendor|department|store|shop|region|type)$|(?-i:[a-z]I[dD]$)",
    re.IGNORECASE,
)
_USELESS_NAMES = {
    "contact details": re.compile(r"(^|[\W_])(phone|e?mail)$", re.IGNORECASE),
    "links": re.compile(r"(^|[\W_])(url|uri|link|image)$", re.IGNORECASE),
}
# The index of a pandas table; in CSV its column has no name, which polars reads as column_0.
_ROW_NUMBERS = re.compile(
    r"(__index_level_\d+__|Unnamed: ?\d+(_level_\d+)?|level_\d+|index|column_0|)", re.IGNORECASE
)
_NAME_IT = "name it in {section}.features to use it anyway"
_NAME_CATEGORY = "name it in {section}.features and category_features to use it anyway"
_WAIT = "name it in {section}.features once its values differ"
RENAME: Final = "rename it in the source to use it"
_STORE = "store it as text, a number or a list of texts to use it"
_COUNT_DAYS = "turn it into a number in the source, such as an age in days, to use it"


@dataclass(frozen=True)
class Unfit:
    """Why a column is not used as a feature, and how to use it anyway."""

    reason: str
    fix: str = _NAME_IT


@dataclass(frozen=True)
class FeatureGuess:
    """Which of the remaining columns of users or items are features.

    Attributes:
        settings: features, list_features, list_separator and category_features, without empty ones.
        unfit: every other column, in the table's order.
    """

    settings: dict[str, Any]
    unfit: dict[str, Unfit]


def guess_features(table: pl.DataFrame, section: str) -> FeatureGuess:
    """Decide which of a table's remaining columns are features.

    Numbers, booleans, lists, and texts or numbered categories whose values repeat become features; ids,
    dates, free text and constants do not.

    Args:
        section: the key of the table's settings, such as data.items.
    """
    columns = {name: _filled(table[name]) for name in table.columns}
    unfit = {name: _unusable(name, values, len(table)) for name, values in columns.items()}
    usable = {name: values for name, values in columns.items() if unfit[name] is None}
    separator, lists = _text_lists(usable)
    unfit |= {name: _unfit_values(name, values) for name, values in usable.items() if name not in lists}
    features = {name: values for name, values in columns.items() if unfit[name] is None}
    settings: dict[str, Any] = {
        "features": _wide_last(features, lists),
        "list_features": lists,
        "list_separator": separator if lists else "",
        "category_features": [name for name, values in features.items() if _is_numbered(name, values)],
    }
    left_out = {
        name: Unfit(why.reason, why.fix.format(section=section)) for name, why in unfit.items() if why
    }
    return FeatureGuess({key: value for key, value in settings.items() if value}, left_out)


def _filled(column: pl.Series) -> pl.Series:
    """Return the values without null and NaN; categorical values as text."""
    values = column.drop_nulls()
    if isinstance(values.dtype, pl.Categorical | pl.Enum):
        return values.cast(pl.String)
    return values.drop_nans() if values.dtype.is_float() else values


def _wide_last(features: Mapping[str, pl.Series], lists: Sequence[str]) -> list[str]:
    """Return the names; categories with more values than training uses come last.

    By default `popular_segment` makes a segment of each value of the users' first text feature.
    """
    return sorted(features, key=lambda name: name not in lists and _is_wide(name, features[name]))


def _is_wide(name: str, values: pl.Series) -> bool:
    is_category = values.dtype == pl.String or _is_numbered(name, values)
    return is_category and values.n_unique() > _MAX_CATEGORIES


def _unusable(name: str, values: pl.Series, rows: int) -> Unfit | None:
    """Return why a column cannot be a feature, whatever its values mean; None if it can."""
    return _unfit_name(name, values.dtype) or _unfit_filling(values, rows) or _unfit_kind(values.dtype)


def _unfit_name(name: str, kind: pl.DataType) -> Unfit | None:
    if name in (*CONTRACT, USER, ITEM):
        return Unfit("the name is reserved", RENAME)
    if _ROW_NUMBERS.fullmatch(name) and (kind.is_integer() or kind == pl.Null):
        return Unfit("row numbers that pandas wrote, by the name")
    if kind != pl.Boolean:
        for meaning, names in _USELESS_NAMES.items():
            if names.search(name):
                return Unfit(f"{meaning}, by the name")
    return None


def _unfit_filling(values: pl.Series, rows: int) -> Unfit | None:
    if values.is_empty():
        return Unfit("no values", _WAIT)
    empty = rows - len(values)
    if not values.dtype.is_nested() and values.n_unique() == 1:
        return Unfit(f"constant except for {empty:,} empty rows") if empty else Unfit("constant", _WAIT)
    if empty > rows * _MAX_NULLS:
        return Unfit(f"empty in all but {len(values):,} of {rows:,} rows")
    return None


def _unfit_kind(kind: pl.DataType) -> Unfit | None:
    if kind.is_temporal():
        return Unfit("dates or times", _COUNT_DAYS)
    if _is_supported(kind):
        return None
    return Unfit(f"{shorten(str(kind), 40, placeholder=' …')} is not supported", _STORE)


def _is_supported(kind: pl.DataType) -> bool:
    if isinstance(kind, pl.List):
        inner = kind.inner
        return inner == pl.String or isinstance(inner, pl.Categorical | pl.Enum)
    return kind in (pl.String, pl.Boolean) or kind.is_numeric()


def _unfit_values(name: str, values: pl.Series) -> Unfit | None:
    """Return why the values of a usable column are no good as a feature; None if they are."""
    if values.dtype == pl.String:
        return _unfit_text(values)
    if _is_numbered(name, values):
        reason = _unfit_category(values)
        return Unfit(f"looks like an id: {reason}", _NAME_CATEGORY) if reason else None
    if values.dtype.is_integer() and len(values) > 20 and values.n_unique() == len(values):
        return Unfit("a different number in every row")
    return None


def _is_numbered(name: str, values: pl.Series) -> bool:
    """Return whether whole numbers are codes, such as a maker's, and not amounts."""
    if not values.dtype.is_numeric() or not _CATEGORY_NAME.search(name):
        return False
    numbers = values.cast(pl.Float64)
    return values.dtype.is_integer() or bool((numbers == numbers.round()).all())


def _unfit_text(values: pl.Series) -> Unfit | None:
    if _most_contain(values, "://"):
        return Unfit("links")
    if _are_times(values):
        return Unfit("dates or times", _COUNT_DAYS)
    reason = _unfit_category(values)
    if reason is None:
        return None
    return Unfit(f"free text: {reason}" if _most_contain(values, " ") else reason)


def _most_contain(values: pl.Series, sign: str) -> bool:
    return values.str.strip_chars().str.contains(sign, literal=True).sum() > len(values) / 2


def _are_times(values: pl.Series) -> bool:
    try:
        return bool(guess_timestamp(values.head(_TIME_SAMPLE)))
    except InputError:
        return False


def _unfit_category(values: pl.Series) -> str | None:
    """Return why values do not repeat often enough to be categories; None if they do."""
    different, rows = values.n_unique(), len(values)
    if different > max(2, rows // 2):
        if different == rows:
            return "a different value in every row"
        return f"{different:,} values in {rows:,} filled rows hardly repeat"
    return None


def _text_lists(columns: Mapping[str, pl.Series]) -> tuple[str, Sequence[str]]:
    """Return the separator with which most columns hold lists, and these columns."""
    texts = {name: values for name, values in columns.items() if values.dtype == pl.String}
    found = {
        separator: [name for name, values in texts.items() if _is_list(values, separator)]
        for separator in _LIST_SEPARATORS
    }
    return max(found.items(), key=lambda one: len(one[1]))


def _is_list(values: pl.Series, separator: str) -> bool:
    if values.str.contains(separator, literal=True).sum() <= len(values) * _SHARE_OF_LISTS:
        return False
    elements = values.str.split(separator).explode().str.strip_chars()
    return _unfit_category(elements) is None and _coverage(elements) >= _MIN_COVERAGE


def _coverage(elements: pl.Series) -> float:
    """Return the share of the values of lists that training uses: the most frequent ones."""
    counts = elements.value_counts(sort=True)["count"]
    return float(counts.head(_MAX_CATEGORIES).sum() / len(elements))

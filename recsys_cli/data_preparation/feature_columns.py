"""Which columns of users or items may serve as features, judged by names, types and values."""

import re
from collections.abc import Mapping
from typing import Any

import polars as pl

from recsys_cli.data_preparation.timestamps import is_day

_MOST_CATEGORIES = 200
_LIST_SEPARATORS = ("|", ";", ", ", ",")
_SHARE_OF_LISTS = 0.1
_NO_FEATURE = re.compile(
    r"(^|[\W_])(id|uuid|guid|hash|zip|zip_?code|post_?code|postal_?code|phone|e?mail|url|link|image|slug)$",
    re.IGNORECASE,
)


def guess_features(table: pl.DataFrame) -> dict[str, Any]:
    """Return the settings features, list_features and list_separator for the table's spare columns.

    Numbers, booleans, lists and text of few values do; ids, dates, free text and constants do not.
    """
    columns = {name: table[name].drop_nulls() for name in table.columns if not _NO_FEATURE.search(name)}
    separator, lists = _text_lists(columns)
    features = [name for name, column in columns.items() if name in lists or _is_feature(column)]
    settings: dict[str, Any] = {"features": features} if features else {}
    if lists:
        settings |= {"list_features": lists, "list_separator": separator}
    return settings


def _is_feature(values: pl.Series) -> bool:
    kind = values.dtype
    if isinstance(kind, pl.List):
        return kind.inner == pl.String
    if values.n_unique() < 2:
        return False
    if kind.is_integer():
        return not _is_numbering(values)
    if kind == pl.String or isinstance(kind, pl.Categorical | pl.Enum):
        return not is_day(values) and _few(values)
    return kind.is_float() or kind == pl.Boolean


def _is_numbering(values: pl.Series) -> bool:
    """Tell whether every row has a number of its own, as ids do."""
    return len(values) > 20 and values.n_unique() == len(values)


def _few(values: pl.Series) -> bool:
    """Tell whether values repeat enough for a category to mean something."""
    return values.n_unique() <= min(_MOST_CATEGORIES, max(2, len(values) // 2))


def _text_lists(columns: Mapping[str, pl.Series]) -> tuple[str, list[str]]:
    """Return the separator that most columns use between several values, and these columns."""
    texts = {name: values for name, values in columns.items() if values.dtype == pl.String}
    found = {
        separator: [name for name, values in texts.items() if _is_list(values, separator)]
        for separator in _LIST_SEPARATORS
    }
    return max(found.items(), key=lambda one: len(one[1]))


def _is_list(values: pl.Series, separator: str) -> bool:
    if values.str.contains(separator, literal=True).sum() <= len(values) * _SHARE_OF_LISTS:
        return False
    parts = values.str.split(separator).explode().str.strip_chars()
    return _few(parts)

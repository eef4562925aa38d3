"""Recognise how a CSV's numbers are written: decimal commas, thousands separators."""

from typing import NamedTuple

import polars as pl

from recsys_cli.data_preparation.readers.csv_files import NumberStyle, fitting_casts, numbers_in

_STYLES = tuple(
    NumberStyle(decimal, thousands)
    for decimal, thousands in (
        (".", ","),
        (",", ""),
        (",", "."),
        (",", " "),
        (".", " "),
        (".", "'"),
        (",", "'"),
    )
)
_MOST = 0.9  # of a column's values: it holds numbers, and the others are faults


class StyleHint(NamedTuple):
    """Why a column of numbers is read as text, and what helps."""

    what: str
    fix: str


def guess_style(cells: pl.DataFrame) -> tuple[NumberStyle, NumberStyle | None]:
    """Return the style in which the most columns are numbers, and another that reads them differently.

    Args:
        cells: text, as `csv_cells` gives it.
    """
    plain = set(fitting_casts(cells.lazy(), NumberStyle()))
    texts = cells.drop(plain)
    casts = {style: fitting_casts(texts.lazy(), style) for style in _STYLES}
    best = max(_STYLES, key=lambda style: len(casts[style]))
    if not casts[best]:
        return NumberStyle(), None
    numbers = texts.select(casts[best].values())
    others = (style for style in _STYLES if casts[style].keys() == casts[best].keys())
    return best, next((one for one in others if not _equal(texts.select(casts[one].values()), numbers)), None)


def _equal(one: pl.DataFrame, other: pl.DataFrame) -> bool:
    return one.cast(pl.Float64).equals(other.cast(pl.Float64))


def style_hint(texts: pl.Series, style: NumberStyle) -> StyleHint | None:
    """Return why a column of text that nearly all is numbers is not read as numbers; None for other text."""
    filled = texts.drop_nulls().str.strip_chars()
    filled = filled.filter(filled != "")
    own = _read(filled, style)
    if own.count() >= _MOST * len(filled) and len(filled):
        faults = filled.filter(own.is_null())
        shown = ", ".join(map(repr, faults.unique(maintain_order=True).head(3)))
        fix = (
            "leave these empty in the file, or name it in the table's `category_features` if it is a category"
        )
        return StyleHint(f"{len(faults):,} of {len(filled):,} values are no numbers: {shown}", fix)
    for other in _STYLES:
        if len(filled) and _read(filled, other).count() >= _MOST * len(filled):
            what = f"its values are numbers such as {filled.filter(own.is_null())[0]!r}"
            return StyleHint(what, f"set {settings_of(other)} of the table in settings/settings.toml")
    return None


def settings_of(style: NumberStyle) -> str:
    """Return a style as the settings have it, for a message."""
    named = {"decimal": style.decimal, "thousands": style.thousands}
    plain = NumberStyle()._asdict()
    return " and ".join(f'`{key} = "{sign}"`' for key, sign in named.items() if sign != plain[key])


def _read(cells: pl.Series, style: NumberStyle) -> pl.Series:
    return cells.to_frame().select(numbers_in(pl.first(), style)).to_series()

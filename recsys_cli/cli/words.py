"""Features and items in words."""

import re
from collections.abc import Mapping
from typing import Any, Final

_RANK: Final = re.compile(r"(.+)_rank")
_SCORE: Final = re.compile(r"(.+)_score")
_NORM: Final = re.compile(r"(.+)_norm")
_WINDOW: Final = re.compile(r"(user|item)_events_(\d+)d")


def in_words(name: str, value: Any) -> str:
    """Return a feature and its value as a person would say them."""
    if found := _RANK.fullmatch(name):
        return f"not proposed by {found[1]}" if value is None else f"place {value:.0f} of {found[1]}"
    if found := _SCORE.fullmatch(name):
        return f"{found[1]} score: {short(value)}"
    if found := _NORM.fullmatch(name):
        share = "no score" if value is None else f"{value:.0%} of the user's best"
        return f"{found[1]}: {share}"
    if found := _WINDOW.fullmatch(name):
        return f"{found[1]}: {short(value)} events in {found[2]} days"
    return f"{name.replace('_', ' ')}: {short(value)}"


def named(row: Mapping[str, Any]) -> str:
    """Return an item's title with its id, or the id alone."""
    return f"{row['title']} [{row['item_id']}]" if row["title"] is not None else str(row["item_id"])


def in_digits(value: float) -> str:
    """Return a figure that is a count or a share."""
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def short(value: Any) -> str:
    """Return a value in few characters."""
    if value is None:
        return "none"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)

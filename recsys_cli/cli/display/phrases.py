"""Features and items in words."""

import re
import shlex
from typing import Any, Final

_RANK: Final = re.compile(r"(.+)_rank")
_SCORE: Final = re.compile(r"(.+)_score")
_NORM: Final = re.compile(r"(.+)_norm")
_LONGEST_TITLE: Final = 100
_WINDOW: Final = re.compile(r"(user|item)_(?:(.+)_)?events_(\d+)d")


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
        kind = f"{found[2]} events" if found[2] else "events"
        return f"{found[1]}: {short(value)} {kind} in {found[3]} days"
    return f"{name.replace('_', ' ')}: {short(value)}"


def item_label(item_id: int | str, title: str | None) -> str:
    """Return an item's title with its id, or the id alone."""
    title = (title or "").strip()
    if len(title) > _LONGEST_TITLE:
        title = f"{title[: _LONGEST_TITLE - 1]}…"
    return f"{title} [{item_id}]" if title else str(item_id)


def explain_command(user_id: str | int, day: object, item_id: str | int | None = None) -> str:
    """Return the command that explains a user's list, or an item of it, as a shell takes it."""
    item = "" if item_id is None else f" --item={shlex.quote(str(item_id))}"
    user = shlex.quote(str(user_id))
    if str(user_id).startswith("-"):
        return f"recsys explain --date {day}{item} -- {user}"
    return f"recsys explain {user} --date {day}{item}"


def in_digits(value: float) -> str:
    """Return a figure that is a count or a share."""
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


def short(value: Any) -> str:
    """Return a value in few characters."""
    if value is None:
        return "none"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)

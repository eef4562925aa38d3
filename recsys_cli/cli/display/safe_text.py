"""Foreign text made safe to show: no escape code, no reordering mark and no line break gets through."""

import json
import re
import unicodedata
from typing import Any, Final

from recsys_cli.utils.errors import UsageError

_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # control, format, surrogate, separators
_UNUSUAL: Final = re.compile(r"[^\n -~]")  # in JSON a line break is never part of a text
_JOINERS: Final = "\u200c\u200d"  # parts of emoji and of several scripts


def escaped(text: str) -> str:
    """Return `text` with its invisible characters written out, such as \\x1b; markup stays as it is."""
    return "".join(one.encode("unicode_escape").decode("ascii") if _hidden(one) else one for one in text)


def readable(text: str, where: str) -> str:
    """Return an id or a name from outside if it is text; other bytes reach Python as lone surrogates.

    Raises: UsageError.
    """
    if text.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in text):
        return text
    raise UsageError(f"{text!a} is not UTF-8 text", where=where, fix="write it in UTF-8")


def json_text(value: Any) -> str:
    """Return `value` as indented JSON that is safe to show and parses back to the same; NaN becomes null."""
    from pydantic_core import PydanticSerializationError, to_json

    try:
        text = to_json(value, indent=2, inf_nan_mode="null").decode()
    except PydanticSerializationError:  # half a character, as in a path that is no UTF-8
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=2)
    return _UNUSUAL.sub(lambda found: json.dumps(found[0])[1:-1] if _hidden(found[0]) else found[0], text)


def _hidden(one: str) -> bool:
    return not one.isprintable() and one not in _JOINERS and unicodedata.category(one) in _HIDDEN

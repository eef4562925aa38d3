"""What a value of the settings may be: text, nested so deep at most, with numbers so long at most."""

from typing import Any, Final

DEEPEST: Final = 20  # tables and lists inside each other; the schema has some five
LONGEST_NUMBER: Final = 300  # digits: more make no float
_TOO_LONG: Final = f"a number has more than {LONGEST_NUMBER} digits"
TOO_DEEP: Final = f"tables or lists are nested deeper than {DEEPEST} levels"


def check_values(value: Any) -> None:
    """Check a value with all that is in it. Raises: ValueError."""
    level = [value]
    for _ in range(DEEPEST + 1):
        for one in level:
            if isinstance(one, str) and not is_text(one):
                raise ValueError("it is not UTF-8 text")
            if isinstance(one, int) and abs(one) >= 10**LONGEST_NUMBER:
                raise ValueError(_TOO_LONG)
        level = [inner for one in level for inner in _inside(one)]
        if not level:
            return
    raise ValueError(TOO_DEEP)


def is_text(text: str) -> bool:
    """Return whether a text can be written as UTF-8; other bytes reach Python as lone surrogates."""
    return text.isascii() or not any("\ud800" <= sign <= "\udfff" for sign in text)


def reason_of(error: ValueError | RecursionError) -> str:
    """Return why a parser of TOML, or `check_values`, refuses a value."""
    if isinstance(error, RecursionError):
        return TOO_DEEP
    return _TOO_LONG if "integer string conversion" in str(error) else str(error)


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []

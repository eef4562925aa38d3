"""The text of a query for a database: one that only reads, and the place of its parameter."""

import re
from typing import Final

DATE: Final = "{date}"
_SKIPPED: Final = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/"  # texts, names, comments
_TOKEN = re.compile(rf"({_SKIPPED})|(\{{date\}})|(;)", re.DOTALL)
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_READS = re.compile(r"[\s(]*(select|with|values|from|table)\b", re.IGNORECASE)


def problem_of_query(text: str) -> str | None:
    """Return why a text is no query for a table; None if it may be one. The database checks the rest."""
    if not _READS.match(_COMMENTS.sub(" ", text)):
        return "does not start with SELECT or WITH: a query that reads is needed"
    for skipped, _, semicolon in _TOKEN.findall(_without_end(text)):
        if semicolon:
            return "has several statements: one SELECT is needed"
        if DATE in skipped and skipped[0] in "'\"`":
            return f"has {DATE} inside quotes: write it without, it is bound as a parameter and not pasted"
    return None


def has_date(text: str) -> bool:
    """Return whether a query depends on the run's date."""
    return any(place for _, place, _ in _TOKEN.findall(text))


def with_parameter(text: str, sign: str) -> str:
    """Return a query with a driver's sign at each place of the date."""
    return _TOKEN.sub(lambda found: sign if found[2] else found[0], _without_end(text))


def _without_end(text: str) -> str:
    return text.rstrip().rstrip(";").rstrip()

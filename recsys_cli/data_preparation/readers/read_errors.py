"""Errors of source files that cannot be read: they name the files."""

from collections.abc import Sequence
from pathlib import Path

from recsys_cli.utils.errors import InputError, first_line

_SHOWN_FILES = 3
_FILE_FIX = "replace the file by an intact one, or correct its format and columns in settings/settings.toml"
_FAILED_CAST = "conversion from"  # polars' words
_CAST_FIX = (
    "correct the values, or write TRY_CAST in the table's filter and in scoring.exclude: it gives NULL"
)


def file_list(files: Sequence[Path]) -> str:
    """Return the first files' paths for a message."""
    return ", ".join(map(str, files[:_SHOWN_FILES])) + (" …" if len(files) > _SHOWN_FILES else "")


def unreadable(files: Sequence[Path], error: BaseException) -> InputError:
    """Return the error of a source that cannot be read; it names the files."""
    return InputError(
        f"the table cannot be read: {first_line(error)}",
        where=file_list(files),
        fix=_CAST_FIX if _FAILED_CAST in str(error) else _FILE_FIX,
    )


def out_of_range(column: str, files: Sequence[Path]) -> InputError:
    """Return the error of a column with dates or times that polars cannot represent."""
    return InputError(
        f"column {column!r} holds dates or times that are out of range",
        where=file_list(files),
        fix="correct them, or leave them empty",
    )

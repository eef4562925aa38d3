"""Errors of source files that cannot be read: they name the files."""

from collections.abc import Sequence
from pathlib import Path

from recsys_cli.utils.errors import InputError, first_line

_SHOWN_FILES = 3


def file_list(files: Sequence[Path]) -> str:
    """Return the first files' paths for a message."""
    return ", ".join(map(str, files[:_SHOWN_FILES])) + (" …" if len(files) > _SHOWN_FILES else "")


def unreadable(files: Sequence[Path], error: BaseException) -> InputError:
    """Return the error of a source that cannot be read; it names the files."""
    return InputError(
        f"the table cannot be read: {first_line(error)}",
        where=file_list(files),
        fix="replace the file by an intact one, or correct its format and columns in settings/settings.toml",
    )


def out_of_range(column: str, files: Sequence[Path]) -> InputError:
    """Return the error of a column with dates or times that polars cannot represent."""
    return InputError(
        f"column {column!r} holds dates or times that are out of range",
        where=file_list(files),
        fix="correct them, or leave them empty",
    )

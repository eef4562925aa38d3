"""Detect a CSV file's encoding, separator and header line."""

import csv
from pathlib import Path
from typing import NamedTuple

from recsys_cli.data_preparation.readers.text_files import Encoding, found_encoding, start_of
from recsys_cli.utils.errors import InputError

_SEPARATORS = ",;\t|"
_SAMPLE_BYTES = 65_536


class Dialect(NamedTuple):
    encoding: Encoding
    separator: str
    header: list[str]  # generated names if the file has no header line


def sniff_dialect(file: Path) -> Dialect:
    """Return the dialect: the encoding of the whole file, the rest by its beginning.

    Raises: InputError for an empty or damaged file.
    """
    encoding = found_encoding(file)
    lines = [line for line in start_of(file, encoding, _SAMPLE_BYTES).splitlines() if line.strip()][:50]
    if not lines:
        raise InputError("the file is empty", where=str(file), fix="name a file with a header line and rows")
    separator = max(_SEPARATORS, key=lambda one: _agreeing_columns(lines, one))
    first = next(csv.reader(lines[:1], delimiter=separator))
    header = [f"column_{number}" for number in range(1, len(first) + 1)] if _looks_like_a_row(first) else []
    return Dialect(encoding, separator, header)


def _agreeing_columns(lines: list[str], separator: str) -> float:
    """Return the first line's number of separators, times the share of lines that agree with it."""
    widths = [len(row) for row in csv.reader(lines, delimiter=separator)]
    return (widths[0] - 1) * widths.count(widths[0]) / len(widths)


def _looks_like_a_row(cells: list[str]) -> bool:
    return any(_is_number(cell) for cell in cells)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True

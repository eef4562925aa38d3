"""Detect a CSV file's encoding, separator and header line."""

import csv
import re
from pathlib import Path
from typing import Literal, NamedTuple

from recsys_cli.utils.errors import InputError

_SEPARATORS = ",;\t|"
_SAMPLE_BYTES = 65_536
_COMPRESSED = re.compile(
    rb"\x1f\x8b|BZh[1-9]1AY|PK\x03\x04|\xfd7zXZ|\x28\xb5\x2f\xfd"
)  # gz, bz2, zip, xz, zst


class Dialect(NamedTuple):
    encoding: Literal["utf8", "latin1"]
    separator: str
    header: list[str]  # generated names if the file has no header line


def sniff_dialect(file: Path) -> Dialect:
    """Return the dialect, detected from the beginning of the file.

    Raises: InputError for an empty or compressed file.
    """
    refuse_compressed(file)
    encoding, text = _decoded(file)
    lines = [line for line in text.splitlines() if line.strip()][:50]
    if not lines:
        raise InputError("the file is empty", where=str(file), fix="name a file with a header line and rows")
    separator = max(_SEPARATORS, key=lambda one: _agreeing_columns(lines, one))
    first = next(csv.reader(lines[:1], delimiter=separator))
    header = [f"column_{number}" for number in range(1, len(first) + 1)] if _looks_like_a_row(first) else []
    return Dialect(encoding, separator, header)


def refuse_compressed(file: Path) -> None:
    """Raise: InputError for a compressed file, whatever its name."""
    with file.open("rb") as stream:
        packed = _COMPRESSED.match(stream.read(8))
    if packed:
        raise InputError(
            "compressed CSV is not supported", where=str(file), fix="unpack it, or write the table as parquet"
        )


def _decoded(file: Path) -> tuple[Literal["utf8", "latin1"], str]:
    with file.open("rb") as stream:
        start = stream.read(_SAMPLE_BYTES)
    whole_lines = start[: start.rfind(b"\n") + 1] if len(start) == _SAMPLE_BYTES else start
    try:
        return "utf8", whole_lines.decode("utf-8-sig")
    except UnicodeDecodeError:
        return "latin1", whole_lines.decode("latin1")


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

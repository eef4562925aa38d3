"""Text of CSV and JSON lines: expanded, and decoded whatever its encoding."""

import codecs
import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Literal

from recsys_cli.data_preparation.readers.file_kinds import Codec, codec_of
from recsys_cli.data_preparation.readers.read_errors import unreadable
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.storage.regular_files import open_regular

Encoding = Literal["utf8", "latin1", "cp1252", "utf16", "mixed"]
_BLOCK = 2**20
_MOST_RATIO = 100  # expanded bytes for each compressed one: tables have 3 to 30, bombs 1,000
_SMALL = 2**26  # bytes that may be expanded whatever the ratio
_MEMORY_SHARE = 0.5
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def utf8_source(file: Path, encoding: Encoding) -> Path | bytes:
    """Return what polars reads as UTF-8: the file itself, or its content expanded and decoded.

    Raises: InputError for a file that is empty, damaged, of another encoding, or expands too far.
    """
    with _blocks(file) as blocks:
        start = next(blocks, b"")
        if encoding == "utf8" and start.startswith(_UTF16):
            fix = 'set `encoding = "utf16"` of the table in settings/settings.toml'
            raise InputError("the file is UTF-16", where=str(file), fix=fix)
        is_plain = encoding == "utf8" and codec_of(file) is None and not start.startswith(codecs.BOM_UTF8)
        if is_plain and start.strip():
            return file
        whole = BytesIO(start)
        whole.seek(0, os.SEEK_END)
        whole.writelines(blocks)
    content = whole.getvalue()
    if not content.strip():
        raise InputError("the file is empty", where=str(file), fix="deliver it again, with its rows")
    if encoding in ("utf8", "mixed"):
        content = content.removeprefix(codecs.BOM_UTF8)
    if encoding == "utf8":
        return content
    return _decoded(content, encoding, file).encode()


def text_of(file: Path, encoding: Encoding) -> str:
    """Return the whole text of a file.

    Raises: as `utf8_source`.
    """
    source = utf8_source(file, encoding)
    try:
        return (source if isinstance(source, bytes) else source.read_bytes()).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable([file], error) from None


def start_of(file: Path, encoding: Encoding, size: int) -> str:
    """Return the text of the first `size` bytes, without a line that is cut.

    Raises: InputError for a file that is damaged or expands too far.
    """
    start = b""
    with _blocks(file) as blocks:
        while len(start) < size and (block := next(blocks, b"")):
            start += block
    if len(start) > size:
        last = b"\n\0" if encoding == "utf16" else b"\n"
        start = start[: start.rfind(last, 0, size) + len(last)]
    return _decoded(start.removeprefix(codecs.BOM_UTF8), encoding, file)


def found_encoding(file: Path) -> Encoding:
    """Return the encoding of a whole file: a mark at its start, else UTF-8 if every byte fits.

    Raises: InputError for a file that is damaged or expands too far.
    """
    kinds: set[str] = set()
    with _blocks(file) as blocks:
        rest = next(blocks, b"")
        if rest.startswith(_UTF16):
            return "utf16"
        while rest:
            lines, _, tail = rest.rpartition(b"\n")
            kinds |= _encodings(lines)
            block = next(blocks, b"")
            if not block:
                kinds |= _encodings(tail)
            rest = tail + block if block else b""
    if not kinds & {"latin1", "cp1252"}:
        return "utf8"
    if "utf8" in kinds:
        return "mixed"
    return "cp1252" if "cp1252" in kinds else "latin1"


def common_encoding(files: list[Path]) -> Encoding:
    """Return the encoding that reads all files of a source.

    Raises: as `found_encoding`.
    """
    found = {found_encoding(file) for file in files}
    if len(found) == 1:
        return found.pop()
    return "utf8" if "utf16" in found else "mixed"  # UTF-16 beside others is refused when it is read


def line_that_is_no_utf8(file: Path) -> int | None:
    """Return the number, from 1, of the first line that is no UTF-8; None if there is none."""
    with _blocks(file) as blocks:
        number, rest = 1, b""
        for block in blocks:
            *lines, rest = (rest + block).split(b"\n")
            for line in lines:
                if not _is_utf8(line):
                    return number
                number += 1
    return None if _is_utf8(rest) else number


def _encodings(lines: bytes) -> set[str]:
    """Return utf8 if there are lines with other than ASCII characters in it, and latin1 or cp1252 so too."""
    if lines.isascii():
        return set()
    if _is_utf8(lines):
        return {"utf8"}
    foreign = [line for line in lines.split(b"\n") if not line.isascii()]
    western = [line for line in foreign if not _is_utf8(line)]
    has_windows = any(0x80 <= byte < 0xA0 for byte in b"".join(western))
    return {"cp1252" if has_windows else "latin1"} | ({"utf8"} if len(western) < len(foreign) else set())


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decoded(content: bytes, encoding: Encoding, file: Path) -> str:
    try:
        if encoding == "mixed":
            return "\n".join(_western(line) for line in content.split(b"\n"))
        return content.decode({"utf8": "utf-8", "utf16": "utf-16"}.get(encoding, encoding))
    except UnicodeDecodeError as error:
        raise unreadable([file], error) from None


def _western(line: bytes) -> str:
    for encoding in ("utf-8", "cp1252"):
        try:
            return line.decode(encoding)
        except UnicodeDecodeError:
            continue
    return line.decode("latin1")


@contextmanager
def _blocks(file: Path) -> Iterator[Iterator[bytes]]:
    """Open a file to read its blocks, expanded if it is compressed.

    Raises: InputError if it cannot be read, or expands too far.
    """
    codec = codec_of(file)
    try:
        with open_regular(file) as stream:
            yield iter(lambda: stream.read(_BLOCK), b"") if codec is None else _expanded(file, codec)
    except OSError as error:  # a truncated stream, too
        raise unreadable([file], error) from None


def _expanded(file: Path, codec: Codec) -> Iterator[bytes]:
    import pyarrow as pa

    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * _MEMORY_SHARE
    most, read = min(max(_SMALL, _MOST_RATIO * file.stat().st_size), memory), 0
    with pa.OSFile(str(file)) as raw, pa.CompressedInputStream(raw, codec) as stream:
        while block := stream.read(_BLOCK):
            read += len(block)
            if read > most:
                raise InputError(
                    f"the compressed file expands to more than {most / 2**20:,.0f} MiB",
                    where=str(file),
                    fix="unpack it, or write the table as parquet, if it is what it should be",
                )
            yield block

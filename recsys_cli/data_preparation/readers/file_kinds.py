"""Which format a source's files have: by their names, and by the bytes that they begin with."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

from recsys_cli.configs.data_sections import TableSettings
from recsys_cli.data_preparation.readers.read_errors import file_list
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.storage.regular_files import open_regular

Kind = Literal["parquet", "csv", "jsonl", "arrow"]
Codec = Literal["gzip", "zstd"]
_SHOWN: Final[dict[Kind, str]] = {
    "parquet": "parquet",
    "csv": "CSV",
    "jsonl": "JSON lines",
    "arrow": "Arrow IPC",
}
_ENDINGS: Final[dict[Kind, tuple[str, ...]]] = {
    "parquet": (".parquet", ".pq"),
    "csv": (".csv", ".tsv", ".data", ".dat", ".item", ".user", ".txt", ".inter"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "arrow": (".arrow", ".arrows", ".feather", ".ipc"),
}
_COMPRESSED = (".gz", ".zst")
_TEXT: Final[tuple[Kind, ...]] = ("csv", "jsonl")
_START_BYTES = 64
_CODECS: dict[Codec, bytes] = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}
_UNPACK = "unpack it, or write the table as parquet"
_AS_PARQUET = "write the table as parquet, CSV or JSON lines"
_STARTS: dict[Kind, re.Pattern[bytes]] = {
    "parquet": re.compile(rb"PAR1"),
    "arrow": re.compile(rb"ARROW1\0\0|\xff{4}.{3}\0", re.DOTALL),  # a file, a stream
    "jsonl": re.compile(rb"(\xef\xbb\xbf)?\s*\{\s*[\"}]"),
}


class _Foreign(NamedTuple):
    """A kind of file that is recognised but not read."""

    start: re.Pattern[bytes]
    name: str
    fix: str


_FOREIGN = (
    _Foreign(
        re.compile(rb"SQLite format 3\0"),
        "an SQLite database",
        'instead of `path` set `connection = "sqlite:///FILE"` and `query = "SELECT …"` of the table',
    ),
    _Foreign(
        re.compile(rb".{8}DUCK", re.DOTALL),
        "a DuckDB database",
        'instead of `path` set `connection = "duckdb:///FILE"` and `query = "SELECT …"` of the table',
    ),
    _Foreign(
        re.compile(rb"PK\x03\x04"),
        "a zip archive or an Excel workbook",
        "unpack it, or save the sheet as CSV",
    ),
    _Foreign(re.compile(rb"\xd0\xcf\x11\xe0"), "an old Excel workbook", "save the sheet as CSV"),
    _Foreign(re.compile(rb"BZh[1-9]1AY"), "a bzip2 file", _UNPACK),
    _Foreign(re.compile(rb"\xfd7zXZ\0"), "an xz file", _UNPACK),
    _Foreign(re.compile(rb"7z\xbc\xaf\x27\x1c"), "a 7-Zip archive", _UNPACK),
    _Foreign(re.compile(rb"Obj\x01"), "an Avro file", _AS_PARQUET),
    _Foreign(re.compile(rb"ORC[\0-\x08\x0e-\x1f\x80-\xff]"), "an ORC file", _AS_PARQUET),
    _Foreign(re.compile(rb"FEA1"), "a Feather file of version 1", _AS_PARQUET),
    _Foreign(re.compile(rb"\x89HDF\r\n"), "an HDF5 file", _AS_PARQUET),
    _Foreign(re.compile(rb"PGDMP[\0-\x1f]"), "a dump of a PostgreSQL database", _AS_PARQUET),
    _Foreign(re.compile(rb"\x80[\x02-\x05]"), "a Python pickle", _AS_PARQUET),
)


def kind_of_name(name: str) -> Kind | None:
    """Return the format that a file's name promises; None if its ending is unknown."""
    plain = name.lower()
    for ending in _COMPRESSED:
        plain = plain.removesuffix(ending)
    return next((kind for kind, ends in _ENDINGS.items() if plain.endswith(ends)), None)


def source_kind(table: TableSettings, files: Sequence[Path]) -> Kind:
    """Return the format of all of the source's files.

    Raises: InputError if no format is set and there are files of several: some would be ignored; or a file
        begins with the bytes of another format.
    """
    kind = table.format if table.format != "auto" else _common_kind(files)
    for file in files:
        _refuse_other(file, kind)
    return kind


def codec_of(file: Path) -> Codec | None:
    """Return how a file is compressed, by its first bytes and whatever its name; None: it is not."""
    start = _start(file)
    return next((codec for codec, magic in _CODECS.items() if start.startswith(magic)), None)


def _common_kind(files: Sequence[Path]) -> Kind:
    by_kind: dict[Kind | None, list[Path]] = {}
    for file in files:
        by_kind.setdefault(kind_of_name(file.name), []).append(file)
    if len(by_kind) > 1:
        raise _several_kinds(by_kind)
    return next(iter(by_kind)) or _kind_of_start(files[0])


def _several_kinds(by_kind: dict[Kind | None, list[Path]]) -> InputError:
    one, other = sorted(by_kind, key=lambda kind: list(_ENDINGS).index(kind) if kind else len(_ENDINGS))[:2]
    assert one is not None
    first, second = _SHOWN[one], _SHOWN[other] if other else "other"
    folder = by_kind[one][0].parent
    return InputError(
        f"the table has {first} and {second} files, and one kind would be ignored; "
        f"{first}: {file_list(by_kind[one])}; {second}: {file_list(by_kind[other])}",
        where=str(folder),
        fix=f"give a glob of one kind, such as {folder.name}/*{_ENDINGS[one][0]}, or the folder and set "
        "`format`",
    )


def _kind_of_start(file: Path) -> Kind:
    start = _start(file)
    return next((kind for kind, magic in _STARTS.items() if magic.match(start)), "csv")


def _refuse_other(file: Path, kind: Kind) -> None:
    """Raise: InputError for a file that begins with the bytes of another format."""
    start = _start(file)
    for foreign in _FOREIGN:
        if foreign.start.match(start):
            fix = foreign.fix.replace("FILE", str(file))
            raise InputError(f"this is {foreign.name}", where=str(file), fix=fix)
    if kind not in _TEXT and any(start.startswith(magic) for magic in _CODECS.values()):
        raise InputError(f"this is a compressed file, not {_SHOWN[kind]}", where=str(file), fix=_UNPACK)
    found = next((one for one, magic in _STARTS.items() if magic.match(start)), None)
    if kind in _TEXT and found not in (None, kind):
        assert found is not None
        what = f"this is a file of {_SHOWN[found]}, not {_SHOWN[kind]}"
        fix = f'set `format = "{found}"` of the table in settings/settings.toml, or correct the file\'s name'
        raise InputError(what, where=str(file), fix=fix)
    if kind == "jsonl" and start.lstrip().startswith(b"["):
        fix = "write one object a line: jq -c '.[]' FILE > events.jsonl"
        raise InputError("this is one JSON array, not JSON lines", where=str(file), fix=fix)


def _start(file: Path) -> bytes:
    try:
        with open_regular(file) as stream:
            return stream.read(_START_BYTES)
    except OSError as error:
        raise InputError(
            f"the table cannot be read: {error.strerror}", where=str(file), fix="make the file readable"
        ) from None

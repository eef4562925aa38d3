"""Folders of tables: keys that stand in their folders' names, and table formats with a log of their own."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import TypeVar
from urllib.parse import unquote

from recsys_cli.utils.errors import InputError
from recsys_cli.utils.storage.regular_files import open_regular
from recsys_cli.utils.storage.uris import is_glob

P = TypeVar("P", bound=PurePath)

_KEY = re.compile(r"([^=]+)=(.*)", re.DOTALL)
_NULL = "__HIVE_DEFAULT_PARTITION__"
_LOGS = {
    "Delta Lake": re.compile(r"(^|/)_delta_log/"),
    "Apache Iceberg": re.compile(r"(^|/)metadata/[^/]+\.metadata\.json$"),
    "Apache Hudi": re.compile(r"(^|/)\.hoodie/"),
}

_EXPORT = "export what it holds now as parquet, and name that file or folder"
_FIXES = {
    "Delta Lake": f"let `path` name the table's own folder, on a disk; or {_EXPORT}",
    "Apache Iceberg": f"let `path` name the table's own folder, on a disk; or {_EXPORT}",
    "Apache Hudi": _EXPORT,
}
_METADATA = re.compile(r"(?:v|0*)(\d+)(?:-[0-9a-f-]+)?(?:\.gz)?\.metadata\.json")  # v3…, 00003-<uuid>…


def delta_folder(path: Path) -> Path | None:
    """Return the folder if it is that of a table of Delta Lake."""
    return path if (path / "_delta_log").is_dir() else None


def iceberg_metadata(path: Path) -> Path | None:
    """Return the current metadata file of a table of Iceberg, given that file or the table's folder.

    Without a catalog it is the one that version-hint.text names, else the one with the highest number.

    Raises: InputError where several have that number, or none has one.
    """
    if path.name.endswith(".metadata.json") and path.is_file():
        return path
    files = list((path / "metadata").glob("*.metadata.json"))
    if not files:
        return None
    hint = path / "metadata" / "version-hint.text"
    if hint.is_file() and (named := path / "metadata" / f"v{_hinted(hint)}.metadata.json").is_file():
        return named
    numbers = {file: int(found[1]) for file in files if (found := _METADATA.fullmatch(file.name))}
    newest = [file for file in numbers if numbers[file] == max(numbers.values())]
    if len(newest) != 1:
        raise InputError(
            f"which of the {len(files)} metadata files of this Iceberg table is the current one?",
            where=str(path / "metadata"),
            fix="let `path` name that file, as the table's catalog knows it",
        )
    return newest[0]


def _hinted(hint: Path) -> str:
    with open_regular(hint) as stream:
        return stream.read(20).decode(errors="replace").strip()


def folder_keys(file: Path, base: Path) -> dict[str, str | None]:
    """Return the keys in the names of the folders between `base` and a file: day=2026-11-23/shop=7."""
    folders = file.relative_to(base).parts[:-1] if file.is_relative_to(base) else ()
    found = [match.groups() for match in map(_KEY.fullmatch, folders) if match]
    return {unquote(key): None if value == _NULL else unquote(value) for key, value in found}


def plain_start(path: P) -> P:
    """Return a glob's folders before the first pattern; any other path as it is."""
    plain = [not is_glob(name) for name in path.parts]
    return path if all(plain) else type(path)(*path.parts[: plain.index(False)])


def refuse_table_format(names: Iterable[str], where: str) -> None:
    """Refuse a folder whose log says which of its files count: read as plain files it would be wrong.

    Args:
        names: paths of the folder's files, with `/`.

    Raises: InputError.
    """
    for name in names:
        for table_format, log in _LOGS.items():
            if log.search(name):
                raise InputError(
                    f"this is a table of {table_format}: its log says which files count",
                    where=where,
                    fix=_FIXES[table_format],
                )


def log_files(base: Path, files: Iterable[Path]) -> Iterator[str]:
    """Yield files of a table format's log in the folders of `files`, up to `base`, and above their keys."""
    folders = {folder for file in files for folder in _folders(file, base)}
    for folder in sorted(folders):
        for name in ("_delta_log", ".hoodie"):
            if (folder / name).is_dir():
                yield f"{name}/"
        yield from (f"metadata/{one.name}" for one in (folder / "metadata").glob("*.metadata.json"))


def _folders(file: Path, base: Path) -> Iterator[Path]:
    """Yield a file's folders: those below `base`, and above it as long as their names are keys or `data`."""
    for folder in file.parents:
        yield folder
        is_below = base in folder.parents
        if not (is_below or _KEY.fullmatch(folder.name) or folder.name == "data"):
            return

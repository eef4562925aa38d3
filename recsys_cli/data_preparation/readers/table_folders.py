"""Folders of tables: keys that stand in their folders' names, and table formats with a log of their own."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath
from typing import TypeVar
from urllib.parse import unquote

from recsys_cli.utils.errors import InputError
from recsys_cli.utils.storage.uris import is_glob

P = TypeVar("P", bound=PurePath)

_KEY = re.compile(r"([^=]+)=(.*)", re.DOTALL)
_NULL = "__HIVE_DEFAULT_PARTITION__"
_LOGS = {
    "Delta Lake": re.compile(r"(^|/)_delta_log/"),
    "Apache Iceberg": re.compile(r"(^|/)metadata/[^/]+\.metadata\.json$"),
    "Apache Hudi": re.compile(r"(^|/)\.hoodie/"),
}


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
                    f"this is a table of {table_format}: its log says which files count, and it is not read",
                    where=where,
                    fix="export what it holds now as parquet, and name that file or folder",
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

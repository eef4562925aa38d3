"""Names from outside become paths: below a folder, and never out of it.

Names from outside are keys of objects, file names that a server sends, and names in records and manifests.
"""

import glob
import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from recsys_cli.utils.errors import UsageError

_LONGEST_NAME = 240  # bytes; file systems take 255, and the names of temporary files are longer than a file's
_LONGEST_PATH = 4_000  # bytes; Linux takes 4,096
_SHOWN = 60  # characters of each end of a long name in a message
_LONGEST_ENDING = 20  # characters of `.parquet` and the like that a shortened name keeps
_UNUSABLE = re.compile(r"[\x00-\x1f\x7f\\]")  # control characters, and what parts names elsewhere


class UnsafeNameError(ValueError):
    """A name from outside that would lead out of its folder, or that no file can have."""


def path_below(folder: Path, name: str) -> Path:
    """Return the path in `folder` that a name from outside means; slashes part its folders.

    Different names give different paths. Nothing is looked up on the disk.
    Raises: UnsafeNameError.
    """
    for step in name.split("/"):
        if problem := _problem_of(step):
            raise UnsafeNameError(f"the name {name!a} {problem}")
    path = folder / name
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise UnsafeNameError(f"the name {name[:80]!a}… is too long")
    return path


def name_too_long(name: str) -> UsageError:
    """Return the error for a path from an option or a setting that no file system takes."""
    shown = name if len(name) <= 2 * _SHOWN else f"{name[:_SHOWN]}…{name[-_SHOWN:]}"
    return UsageError(
        "the name of a file or folder is too long for the file system",
        where=shown,
        fix="give a shorter one, in the option or the setting that it comes from",
    )


def plain_name(name: str, default: str = "file") -> str:
    """Return a name from outside as that of a visible file: without folders, and short enough."""
    last = re.split(r"[/\\]", name)[-1]
    shown = "".join(one for one in last if unicodedata.category(one) not in ("Cc", "Cs", "Zl", "Zp"))
    return _shortened(shown.strip().lstrip("._")) or default


def paths_matching(pattern: str, folder: Path) -> Iterator[Path]:
    """Yield the paths that match a glob, which starts from `folder`.

    Brackets and stars in the folder's own path are no part of the pattern.
    """
    inside = pattern.removeprefix(f"{folder}/")
    return (folder / one for one in glob.iglob(inside, root_dir=folder, recursive=True))


def _problem_of(step: str) -> str:
    """Return why a step of a name cannot be the name of a file or folder; empty where it can."""
    if not step:
        return "is empty between two slashes, or at its start or end"
    if step in (".", ".."):
        return "leads to another folder"
    if _UNUSABLE.search(step):
        return "contains a control character or a backslash"
    try:
        return "is too long" if len(step.encode()) > _LONGEST_NAME else ""
    except UnicodeEncodeError:
        return "is not UTF-8 text"


def _shortened(name: str) -> str:
    """Return a name that fits a file system, with its ending."""
    ending = PurePosixPath(name).suffix[:_LONGEST_ENDING]
    room = _LONGEST_NAME - len(ending.encode())
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    return name.encode()[:room].decode(errors="ignore") + ending

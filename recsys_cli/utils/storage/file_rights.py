"""Who else may change, or read, the files that a run trusts."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from grp import getgrgid
from pathlib import Path
from pwd import getpwuid
from shlex import quote


@dataclass(frozen=True)
class OpenRight:
    """A file or folder that others may change or read: what they may, and how to end it."""

    path: Path
    what: str
    fix: str


def open_rights(paths: Iterable[Path], *, secret: bool = False) -> Iterator[OpenRight]:
    """Yield what others may change among files and folders; those that are not there are left out.

    A folder with the sticky bit is safe: there nobody moves the files of others.

    Args:
        secret: whether it matters who may read them, too.
    """
    for path in paths:
        try:
            found = path.stat()
        except OSError:
            continue
        owner = _owner_right(path, found)
        if owner is not None:
            yield owner
        who = _writers(found)
        if who:
            yield OpenRight(path, f"{who} may write it", f"chmod {_sign(found, 'w')} {quote(str(path))}")
        elif secret and found.st_mode & (stat.S_IRGRP | stat.S_IROTH):
            yield OpenRight(path, "others may read it", f"chmod go-rwx {quote(str(path))}")


def _owner_right(path: Path, found: os.stat_result) -> OpenRight | None:
    if found.st_uid in (0, os.geteuid()):
        return None
    return OpenRight(
        path, f"it belongs to {_user(found.st_uid)}", f"chown {_user(os.geteuid())} {quote(str(path))}"
    )


def _writers(found: os.stat_result) -> str:
    """Return who else may write; empty where nobody may."""
    if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX:
        return ""
    if found.st_mode & stat.S_IWOTH:
        return "everybody"
    return "its group" if found.st_mode & stat.S_IWGRP and not _is_private_group(found) else ""


def _sign(found: os.stat_result, right: str) -> str:
    return f"{'go' if found.st_mode & stat.S_IWOTH else 'g'}-{right}"


def _is_private_group(found: os.stat_result) -> bool:
    """Return whether the group is the owner's own, by the custom of one group a user."""
    try:
        return (
            getgrgid(found.st_gid).gr_name == getpwuid(found.st_uid).pw_name
            and not getgrgid(found.st_gid).gr_mem
        )
    except KeyError:
        return False


def _user(number: int) -> str:
    try:
        return getpwuid(number).pw_name
    except KeyError:  # as in a container
        return str(number)

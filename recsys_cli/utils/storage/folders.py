"""Folders: whether they can be made and written, on which disk they lie, who may look into them."""

import os
from pathlib import Path
from pwd import getpwuid
from stat import S_ISDIR
from tempfile import gettempdir

from recsys_cli.utils.errors import OutputError


def check_writable(folder: Path) -> None:
    """Make sure, before any work is spent, that `folder` is or can become a folder to write to.

    Raises: OutputError.
    """
    if may_be_made(folder):
        return
    existing = nearest_existing(folder)
    if not existing.is_dir():
        raise OutputError(
            "there is a file where a folder should be",
            where=str(existing),
            fix="make it a folder that can be written, or correct `output` in settings/settings.toml",
        )
    raise OutputError(
        f"the folder cannot be written by {_user(os.getuid())}",
        where=str(existing),
        fix=f"run the command as {_user(existing.stat().st_uid)}, who owns it, let this user write there "
        "(chmod, chown), or correct `output` in settings/settings.toml",
    )


def same_file_system(one: Path, other: Path) -> bool:
    """Tell whether a file can be moved between two folders, there already or to be made, by a rename."""
    return nearest_existing(one).stat().st_dev == nearest_existing(other).stat().st_dev


def free_bytes(folder: Path) -> int:
    """Return the space that is left for this user on the disk of a folder, there already or to be made."""
    disk = os.statvfs(nearest_existing(folder))
    return disk.f_frsize * (disk.f_bavail if os.geteuid() else disk.f_bfree)


def may_be_made(folder: Path) -> bool:
    """Tell whether `folder` is, or can become, a folder to write to."""
    existing = nearest_existing(folder)
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def private_folder(name: str) -> Path | None:
    """Return a folder of this user alone among the temporary files; None where there can be none.

    Anyone may have made one of that name: it is trusted only where it belongs to this user and is closed to
    all others.
    """
    try:
        folder = Path(gettempdir()) / f"{name}-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    is_own = S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return folder if is_own else None


def nearest_existing(folder: Path) -> Path:
    """Return the folder, or the first above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _user(number: int) -> str:
    try:
        return getpwuid(number).pw_name
    except KeyError:  # as in a container
        return f"user {number}"

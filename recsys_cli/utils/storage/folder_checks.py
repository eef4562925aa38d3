"""Folders: whether they can be made and written, free space, and private temporary ones."""

import os
from pathlib import Path
from pwd import getpwuid
from stat import S_ISDIR, S_ISLNK
from tempfile import gettempdir

from recsys_cli.utils.errors import OutputError


def check_writable(folder: Path) -> None:
    """Check, before any work is done, that `folder` can be written, or can be made.

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


def refuse_planted(folder: Path) -> None:
    """Refuse a folder of the program's own work that is another user's link: it leads wherever he likes.

    Raises: OutputError.
    """
    try:
        found = folder.lstat()
    except OSError:
        return  # whoever makes or opens it says why
    if S_ISLNK(found.st_mode) and found.st_uid not in (0, os.geteuid()):
        raise OutputError(
            f"this is a link of {_user(found.st_uid)}'s, and is not followed",
            where=str(folder),
            fix="remove it, if you do not know it; else make it again as the user who runs the command",
        )


def free_bytes(folder: Path) -> int:
    """Return the bytes that are free for this user on the disk of a folder, which may not exist yet."""
    disk = os.statvfs(nearest_existing(folder))
    return disk.f_frsize * (disk.f_bavail if os.geteuid() else disk.f_bfree)


def file_system_of(folder: Path) -> str:
    """Return the type of the file system that a folder lies on, and where that is mounted, for a message."""
    resolved = nearest_existing(folder).resolve()
    try:
        lines = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return "unknown file system"
    mounts = [(line.split(" ")[1].replace("\\040", " "), line.split(" ")[2]) for line in lines]
    around = [one for one in mounts if resolved.is_relative_to(one[0])]
    place, kind = max(reversed(around), key=lambda one: len(one[0]))  # the last of several mounts counts
    return f"{kind}, mounted at {place}"


def may_be_made(folder: Path) -> bool:
    """Return whether `folder` can be written, or can be made."""
    existing = nearest_existing(folder)
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def private_folder(name: str) -> Path | None:
    """Return a private temporary folder of this user; None if there cannot be one.

    Anyone may have made a folder of that name: it is trusted only if it belongs to this user and is closed to
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
    """Return the folder, or the nearest folder above it that exists."""
    return next(path for path in (folder, *folder.parents) if path.exists())


def _user(number: int) -> str:
    try:
        return getpwuid(number).pw_name
    except KeyError:  # as in a container
        return f"user {number}"

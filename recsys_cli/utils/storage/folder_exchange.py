"""A staged folder takes the place of another: in one system call, or where there is none, by a journal."""

import ctypes
import errno
import os
import shutil
from pathlib import Path
from secrets import token_hex

from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.storage.atomic_writes import as_output_error, sync
from recsys_cli.utils.storage.replacement_journal import Replacement

RENAME_PROBE = ".rename-probe"  # begins the name of a file that there never is
_HERE, _RENAME_EXCHANGE = -100, 2  # of the system call: AT_FDCWD, and its flag
# what a file system (NFS, FUSE, another volume, an overlay) or a container's filter says to a rename it lacks
_NOT_OFFERED = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EXDEV, errno.EPERM}


def replace_folder(staged: Path, target: Path) -> None:
    """Let a staged folder become `target`, synced to the disk; an earlier folder of that name is removed.

    At every moment the name means either the old folder or the new one; where the file system cannot exchange
    two folders, a killed process leaves what the next command puts in order.

    Raises: OutputError if it cannot be done, or `target` is a file; what lies there is then as before.
        LockedError if another process keeps replacing it.
    """
    _refuse_file(target)
    with as_output_error(target):
        for file in sorted(staged.iterdir()):
            sync(file)
        sync(staged)
        target.parent.mkdir(parents=True, exist_ok=True)
        replacement = Replacement(target)
        if replacement.is_begun:
            replacement.settle()
        if not _done_in_one_step(staged, target):
            replacement.by(staged)
        sync(target.parent)
        shutil.rmtree(staged, ignore_errors=True)


def check_replaceable(folder: Path) -> None:
    """Check, before any work is done, that another folder can take the place of this one.

    Raises: OutputError if it is a volume of its own, or no folder.
    """
    _refuse_file(folder)
    if is_volume(folder):
        raise OutputError(
            "the folder is a volume of its own (a mount point), so no other can take its place",
            where=str(folder),
            fix="mount the folder above it instead",
        )


def _refuse_file(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise OutputError(
            "a file lies where a folder is written", where=str(folder), fix="move the file to another place"
        )


def is_volume(folder: Path) -> bool:
    """Return whether something is mounted at a folder, a part of the same disk included."""
    return folder.is_dir() and not can_rename(folder.parent, folder)


def can_rename(source: Path, target: Path) -> bool:
    """Return whether the system moves files from one existing folder to another; nothing is written.

    It is asked to move a file that does not exist: that there are two volumes is noticed first.
    """
    name = f"{RENAME_PROBE}-{token_hex(8)}"
    try:
        os.rename(source / name, target / name)
    except OSError as error:
        return error.errno != errno.EXDEV
    return True


def _done_in_one_step(staged: Path, target: Path) -> bool:
    """Give a folder its name, or exchange it with the one that has it; False where that is not offered."""
    try:
        if os.path.lexists(target):
            _exchange(staged, target)
        else:
            os.rename(staged, target)
    except OSError as error:
        if error.errno not in _NOT_OFFERED:
            raise
        return False
    return True


def _exchange(one: Path, other: Path) -> None:
    """Swap the names of two folders in one step.

    Raises: OSError.
    """
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if swap is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), str(other))
    if swap(_HERE, os.fsencode(one), _HERE, os.fsencode(other), _RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(other))

"""Files that appear whole or not at all."""

import ctypes
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from pwd import getpwuid
from stat import S_ISDIR
from tempfile import gettempdir
from typing import Any

from pydantic_core import from_json

from recsys_cli.utils.errors import OutputError

_SEAL = "seal"
_HERE, _RENAME_EXCHANGE = -100, 2  # of the system call: AT_FDCWD, and its flag
_SYSTEM_ERROR = re.compile(r"\bError (\d+)\b", re.IGNORECASE)  # as libraries quote it


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a sibling path that becomes `target` only on success; it reaches the disk before its name does.

    One process at a time may write a target; what a killed one has left is overwritten.

    Raises: OutputError if the folder cannot be written.
    """
    part = target.with_name(f".{target.name}.part")
    with told(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            sync(part)
            os.replace(part, target)
            sync(target.parent)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def staging_folder(parent: Path) -> Iterator[Path]:
    """Yield a new hidden folder in `parent`; what `put_folder` did not take is gone at the end.

    So are those that killed processes have left: nobody holds their lock.

    Raises: OutputError if it cannot be made or written.
    """
    part = parent / f".{secrets.token_hex(8)}.part"
    with told(parent), ExitStack() as held:
        parent.mkdir(parents=True, exist_ok=True)
        with _locked(parent, wait=True):
            _remove_left_behind(parent)
            part.mkdir()
            held.enter_context(_locked(part, wait=True))
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)


def remove_left_behind(parent: Path) -> None:
    """Remove the staging folders that killed processes have left in a folder."""
    with _locked(parent, wait=True):
        _remove_left_behind(parent)


def _remove_left_behind(parent: Path) -> None:
    for folder in parent.glob(".*.part"):
        if folder.is_dir():
            with suppress(BlockingIOError), _locked(folder, wait=False):
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[None]:
    """Hold a folder's own lock; where it is held and must not be waited for, BlockingIOError is raised."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        flock(descriptor, LOCK_EX if wait else LOCK_EX | LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def put_folder(part: Path, target: Path) -> None:
    """Give a staged folder its name, on the disk; a folder that bore it before is removed.

    At every moment the name stands for the old folder or the new one.

    Raises: OutputError if it cannot be done.
    """
    with told(target):
        for file in sorted(part.iterdir()):
            sync(file)
        sync(part)
        if target.exists():
            _exchange(part, target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(part, target)
        sync(target.parent)
        shutil.rmtree(part, ignore_errors=True)


def _exchange(one: Path, other: Path) -> None:
    """Let two folders swap their names in one step; in three where the file system cannot."""
    swap = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    names = _HERE, os.fsencode(one), _HERE, os.fsencode(other), _RENAME_EXCHANGE
    if swap is not None and swap(*names) == 0:
        return
    away = one.with_suffix(".old")
    os.replace(other, away)
    os.replace(one, other)
    os.replace(away, one)


def write_json(target: Path, value: Any) -> None:
    """Write `value` atomically as indented JSON with sorted keys.

    Raises: OutputError if it cannot be written.
    """
    with replacing(target) as part:
        part.write_bytes(_json_bytes(value))


def read_json(path: Path) -> Any:
    """Return the JSON value in a file.

    Raises: OSError if it cannot be opened; ValueError if it is no JSON.
    """
    return from_json(path.read_bytes())


def _json_bytes(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def write_sealed_json(target: Path, value: Mapping[str, Any]) -> None:
    """Write an object as `write_json` does, with a hash of itself in it.

    Raises: OutputError if it cannot be written.
    """
    with replacing(target) as part:
        part.write_bytes(sealed(value))


def read_sealed_json(path: Path) -> dict[str, Any]:
    """Return the object that `write_sealed_json` wrote.

    Raises: OSError if it cannot be opened; ValueError if anything in it was changed since.
    """
    return unsealed(path.read_bytes())


def sealed(value: Mapping[str, Any]) -> bytes:
    """Return an object as indented JSON with sorted keys, with a hash of itself in it."""
    return _json_bytes({**value, _SEAL: sha256_of_json(value)})


def unsealed(content: bytes) -> dict[str, Any]:
    """Return the object that `sealed` wrote.

    Raises: ValueError if anything in it was changed since.
    """
    value = from_json(content)
    if not isinstance(value, dict) or value.pop(_SEAL, None) != sha256_of_json(value):
        raise ValueError("it was changed after it was written")
    return value


def check_writable(folder: Path) -> None:
    """Make sure, before any work is spent, that `folder` is or can become a folder to write to.

    Raises: OutputError.
    """
    if may_be_made(folder):
        return
    existing = _nearest(folder)
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
    return _nearest(one).stat().st_dev == _nearest(other).stat().st_dev


def free_bytes(folder: Path) -> int:
    """Return the space that is left for this user on the disk of a folder, there already or to be made."""
    disk = os.statvfs(_nearest(folder))
    return disk.f_frsize * (disk.f_bavail if os.geteuid() else disk.f_bfree)


def may_be_made(folder: Path) -> bool:
    """Tell whether `folder` is, or can become, a folder to write to."""
    existing = _nearest(folder)
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _nearest(folder: Path) -> Path:
    """Return the folder, or the first above it that is there."""
    return next(path for path in (folder, *folder.parents) if path.exists())


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


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_json(value: Any) -> str:
    """Return the SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def sync(path: Path) -> None:
    """Flush a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _user(number: int) -> str:
    try:
        return getpwuid(number).pw_name
    except KeyError:  # as in a container
        return f"user {number}"


@contextmanager
def told(target: Path) -> Iterator[None]:
    """Turn an error of the system in a block that writes `target` into an OutputError."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise OutputError(
            f"{target.name} cannot be written: {reason}",
            where=str(error.filename or target),
            fix="check the folder's permissions and the free space, then run the command again",
        ) from error


@contextmanager
def as_system_error(path: Path, kind: type[Exception]) -> Iterator[None]:
    """Turn what a library raises when it cannot write `path` into the error of the system behind it.

    Args:
        kind: the library's own error: that of polars and of CatBoost on a full disk is no OSError.
    """
    try:
        yield
    except kind as error:
        quoted = _SYSTEM_ERROR.search(str(error))
        system = (
            OSError(str(error)) if quoted is None else OSError(int(quoted[1]), os.strerror(int(quoted[1])))
        )
        system.filename = str(path)
        raise system from error

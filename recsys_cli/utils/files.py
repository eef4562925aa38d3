"""Files that appear whole or not at all."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from pwd import getpwuid
from stat import S_ISDIR
from tempfile import gettempdir
from typing import Any

from recsys_cli.utils.errors import OutputError

_SEAL = "seal"


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a sibling path that becomes `target` only on success; it reaches the disk before its name does.

    Raises: OutputError if the folder cannot be written.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    with _told(target):
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

    Raises: OutputError if it cannot be made or written.
    """
    part = parent / f".{os.getpid()}-{secrets.token_hex(4)}.part"
    with _told(parent):
        part.mkdir(parents=True)
        try:
            yield part
        finally:
            shutil.rmtree(part, ignore_errors=True)


def put_folder(part: Path, target: Path) -> None:
    """Give a staged folder its name, on the disk; a folder that bore it before is removed."""
    for file in sorted(part.iterdir()):
        sync(file)
    sync(part)
    old = part.with_suffix(".old")
    if target.exists():
        os.replace(target, old)
    os.replace(part, target)
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def write_json(target: Path, value: Any) -> None:
    """Write `value` atomically as indented JSON with sorted keys.

    Raises: OutputError if it cannot be written.
    """
    with replacing(target) as part:
        part.write_text(
            json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8"
        )


def read_json(path: Path) -> Any:
    """Return the JSON value in a file.

    Raises: OSError if it cannot be opened; ValueError if it is no JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("its brackets nest too deeply") from None


def write_sealed_json(target: Path, value: Mapping[str, Any]) -> None:
    """Write an object as `write_json` does, with a hash of itself in it.

    Raises: OutputError if it cannot be written.
    """
    write_json(target, {**value, _SEAL: sha256_of_json(value)})


def read_sealed_json(path: Path) -> dict[str, Any]:
    """Return the object that `write_sealed_json` wrote.

    Raises: OSError if it cannot be opened; ValueError if anything in it was changed since.
    """
    value = read_json(path)
    if not isinstance(value, dict) or value.pop(_SEAL, None) != sha256_of_json(value):
        raise ValueError("it was changed after it was written")
    return value


def check_writable(folder: Path) -> None:
    """Make sure, before any work is spent, that `folder` is or can become a folder to write to.

    Raises: OutputError.
    """
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if existing.is_dir() and os.access(existing, os.W_OK | os.X_OK):
        return
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
def _told(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{target.name} cannot be written: {error.strerror or error}",
            where=str(error.filename or target),
            fix="check the folder's permissions and the free space, then run the command again",
        ) from error

"""Local copies of remote sources: downloaded into the workspace, and again whenever the source changes."""

import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import date
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from loguru import logger

from recsys_cli.data_preparation.readers.table_folders import plain_start, refuse_table_format
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.storage.atomic_writes import replacing, staging_folder
from recsys_cli.utils.storage.folder_exchange import replace_folder
from recsys_cli.utils.storage.hashing import sha256_of
from recsys_cli.utils.storage.json_files import read_sealed_json, write_sealed_json
from recsys_cli.utils.storage.locks import locked
from recsys_cli.utils.storage.network_limits import NetworkLimits, StorageOptions, StoreError
from recsys_cli.utils.storage.object_store import Store, StoredObject
from recsys_cli.utils.storage.safe_paths import UnsafeNameError, path_below, paths_matching, plain_name
from recsys_cli.utils.storage.uris import (
    COPIES,
    WEB,
    bucket_and_key,
    copy_of,
    drive_id,
    is_glob,
    scheme_of,
    shown,
    web_folder_of,
)

if TYPE_CHECKING:
    from recsys_cli.data_preparation.readers.web_download import Answer

_LOCK_SECONDS = 3_600  # to wait for another run of the workspace that downloads
_PARQUET = b"PAR1"
_STATE = ".seen"  # ends the name of the file that records what a copy was made from
_TIMES = 500_000_000  # seconds: the range of the copies' modification times
_hashed: set[tuple[Path, int]] = set()  # copies that this process has verified, with their modification time


@dataclass(frozen=True)
class InputFolder:
    """Where inputs lie.

    Attributes:
        path: the folder that relative paths start from, and that has the copies of remote sources.
        options: of the file system of each scheme, from the settings; they may be secrets.
        day: the scoring day, whose first moment in `timezone` queries may ask for; None: there is none yet.
        read: copies of tables that are no files, by their folder: a run reads each of them once.
    """

    path: Path
    options: StorageOptions = field(default_factory=dict, repr=False, hash=False)
    day: date | None = None
    timezone: str = "UTC"
    read: dict[Path, list[Path]] = field(default_factory=dict, repr=False, hash=False, compare=False)

    def at(self, day: date, timezone: str) -> "InputFolder":
        """Return the folder for the tables of a day."""
        return replace(self, day=day, timezone=timezone)


@dataclass(frozen=True)
class _CopyRecord:
    """What a copy was made from; `identity` changes whenever the source's content does, None: unknown."""

    name: str
    identity: str | None
    size: int
    sha256: str


def downloaded_files(uri: str, root: InputFolder, is_table: Callable[[str], bool]) -> list[Path]:
    """Return the up-to-date copies of the files that a source's URI means, sorted; none if there is none.

    Args:
        is_table: whether to download a file of a folder, given its name.

    Raises: InputError if they cannot be downloaded; SettingsError for an invalid URI.
    """
    is_web = scheme_of(uri) in WEB
    if not is_web:
        Store(bucket_and_key(uri)[0], root.options).check_usable()
    with _one_at_a_time(root.path), _as_input_error(uri):
        return [_web_copy(uri, root)] if is_web else _mirror(uri, root, is_table)


def remote_sizes(uri: str, options: StorageOptions, is_table: Callable[[str], bool]) -> list[int]:
    """Return the size in bytes of each file of a source's URI; 0 if the server does not report it.

    Raises: as `downloaded_files`.
    """
    with _as_input_error(uri):
        if scheme_of(uri) not in WEB:
            bucket, key = bucket_and_key(uri)
            return [one.size for one in _objects_at(Store(bucket, options), key, is_table)]
        from recsys_cli.data_preparation.readers.web_download import open_answer

        with open_answer(uri, options) as answer:
            return [answer.size or 0]


def _mirror(uri: str, root: InputFolder, is_table: Callable[[str], bool]) -> list[Path]:
    """Make the copies equal to the objects at a store's URI; copies of deleted objects are removed."""
    bucket, key = bucket_and_key(uri)
    until = time.monotonic() + NetworkLimits.of(root.options).max_seconds
    store, top = Store(bucket, root.options, until), copy_of(bucket, root.path)
    copies = _copies_of(_objects_at(store, key, is_table), top, uri)
    for copy, there in copies.items():
        _download(store, there, copy, top)
    _check_apart(copies, uri)
    _remove_others(top, key, copies)
    return sorted(copies)


def _copies_of(found: Sequence[StoredObject], top: Path, uri: str) -> dict[Path, StoredObject]:
    """Return each object by the path of its copy below `top`, before anything is written.

    Raises: InputError for a key that is no path, or one that another key takes for its folder.
    """
    try:
        copies = {path_below(top, one.name): one for one in found}
    except UnsafeNameError as error:
        raise _unusable_key(uri, f"an object cannot be copied: {error}") from None
    folders = {folder for copy in copies for folder in copy.parents}
    for copy in sorted(copies.keys() & folders):
        raise _unusable_key(uri, f"{copies[copy].name!a} is an object, and a folder of other objects, too")
    return copies


def _check_apart(copies: Mapping[Path, StoredObject], uri: str) -> None:
    """Refuse keys whose copies are one file, such as `A` and `a` on a disk that ignores case.

    Raises: InputError.
    """
    seen: dict[tuple[int, int], Path] = {}
    for copy in copies:
        found = copy.stat()
        other = seen.setdefault((found.st_dev, found.st_ino), copy)
        if other != copy:
            names = f"{copies[other].name!a} and {copies[copy].name!a}"
            raise _unusable_key(uri, f"the objects {names} would have the same file on this disk")


def _unusable_key(uri: str, what: str) -> InputError:
    return InputError(
        what,
        where=shown(uri),
        fix="rename the object, or let the `path` of the table mean other objects alone",
    )


def _objects_at(store: Store, key: str, is_table: Callable[[str], bool]) -> list[StoredObject]:
    """Return the objects at a source's key, folder or glob; in a folder only tables that are not hidden."""
    found = store.found(key)
    if any(one.name == key for one in found):
        return [one for one in found if one.name == key]
    base = plain_start(PurePosixPath(key))
    below_base = (one.name for one in found if base in PurePosixPath(one.name).parents)
    refuse_table_format(below_base, f"{store.uri}/{key}")
    if is_glob(key):
        return [one for one in found if not _is_hidden(one.name.rpartition("/")[2])]
    inside = f"{key}/" if key else ""
    below = [one for one in found if one.name.startswith(inside) and is_table(one.name)]
    return [one for one in below if not _is_hidden(one.name.removeprefix(inside))]


def _is_hidden(name: str) -> bool:
    return any(one.startswith((".", "_")) for one in name.split("/"))


def _remove_others(top: Path, key: str, current: Collection[Path]) -> None:
    """Remove copies, below a folder or matching a glob, that are not current."""
    found = paths_matching(key, top) if is_glob(key) else (top / key).rglob("*")
    for file in list(found):
        if file.is_file() and file not in current and not file.name.startswith("."):
            file.unlink(missing_ok=True)


def _download(store: Store, there: StoredObject, target: Path, top: Path) -> None:
    if _is_current(target, there.identity, _state_of(target)):
        return
    logger.info("downloading {}/{}, {:,} bytes", store.uri, there.name, there.size)
    _make_way(target, top)
    with replacing(target) as partial:
        store.download(there.name, partial)
        size = partial.stat().st_size
        if size != there.size:
            raise StoreError(f"{store.uri}/{there.name}: only {size:,} of {there.size:,} bytes arrived")
        sha256 = _stamp(partial)
    write_sealed_json(_state_of(target), asdict(_CopyRecord(target.name, there.identity, size, sha256)))


def _make_way(target: Path, top: Path) -> None:
    """Remove copies in the way of a new one: a key may have been a folder before, or a folder a key."""
    if target.is_dir():
        shutil.rmtree(target)
    for folder in target.relative_to(top).parents:
        if (top / folder).is_file():
            (top / folder).unlink()


def _web_copy(uri: str, root: InputFolder) -> Path:
    """Return the up-to-date copy of a file from the web or Google Drive."""
    from recsys_cli.data_preparation.readers.web_download import open_answer

    folder = web_folder_of(uri, root.path)
    state = folder / _STATE
    with open_answer(uri, root.options) as answer:
        record = _read_record(state)
        if record is None or not _is_current(folder / record.name, answer.identity, state):
            logger.info("downloading {}", shown(uri))
            with staging_folder(folder.parent) as staged:
                _save(answer, staged)
                replace_folder(staged, folder)
            record = _read_record(state)
    assert record is not None
    return folder / record.name


def _save(answer: "Answer", folder: Path) -> None:
    file = folder / "download"
    answer.save(file)
    named = file.rename(path_below(folder, _with_ending(plain_name(answer.name), file)))
    record = _CopyRecord(named.name, answer.identity, named.stat().st_size, _stamp(named))
    write_sealed_json(folder / _STATE, asdict(record))


def _with_ending(name: str, file: Path) -> str:
    """Return a file's name; without an ending it gets one according to its content."""
    if Path(name).suffix:
        return name
    with file.open("rb") as stream:
        return f"{name}.parquet" if stream.read(len(_PARQUET)) == _PARQUET else f"{name}.csv"


def _is_current(target: Path, identity: str | None, state: Path) -> bool:
    """Return whether a copy was made from the source's current content, and is intact."""
    record = _read_record(state)
    if record is None or identity is None or record.identity != identity or not target.is_file():
        return False
    found = target.stat()
    if found.st_size != record.size:
        return False
    if (target, found.st_mtime_ns) not in _hashed:
        if sha256_of(target) != record.sha256:
            logger.warning("the copy {} is damaged and is downloaded again", target)
            return False
        _hashed.add((target, found.st_mtime_ns))
    return True


def _stamp(file: Path) -> str:
    """Return a copy's SHA-256, and set its modification time from it: the same content has the same time."""
    sha256 = sha256_of(file)
    seconds, rest = divmod(int(sha256[:16], 16), 10**9)
    time = (10**9 + seconds % _TIMES) * 10**9 + rest
    os.utime(file, ns=(time, time))
    return sha256


def _state_of(target: Path) -> Path:
    return target.with_name(f".{target.name}{_STATE}")


def _read_record(state: Path) -> _CopyRecord | None:
    try:
        record = _CopyRecord(**read_sealed_json(state))
        path_below(state.parent, record.name)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return record


@contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    with locked(root / COPIES / ".lock", "downloading inputs", _LOCK_SECONDS):
        yield


@contextmanager
def _as_input_error(uri: str) -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        usual = (
            "check the link and who may read it" if drive_id(uri) else "check address, credentials and rights"
        )
        raise InputError(
            f"the source cannot be downloaded: {error}", where=shown(uri), fix=error.fix or usual
        ) from error

"""Sources that lie elsewhere: fetched into the workspace before they are read, again once they change."""

import glob
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from loguru import logger

from recsys_cli.data_preparation.readers.web_download import Answer, open_answer
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.storage.atomic_files import put_folder, replacing, staging_folder
from recsys_cli.utils.storage.hashing import sha256_of
from recsys_cli.utils.storage.json_files import read_sealed_json, write_sealed_json
from recsys_cli.utils.storage.locks import locked
from recsys_cli.utils.storage.object_store import Store, StoredObject, StoreError
from recsys_cli.utils.storage.uris import (
    COPIES,
    WEB,
    bucket_and_key,
    copy_of,
    drive_id,
    is_glob,
    is_uri,
    scheme_of,
    shown,
    web_folder_of,
)

_LOCK_SECONDS = 3_600  # that another run of the workspace may take to fetch
_PARQUET = b"PAR1"
_STATE = ".seen"  # ends the name of the file that tells what a copy was made from
_TIMES = 500_000_000  # seconds, that copies' times are spread over
_hashed: set[tuple[Path, int]] = set()  # copies that this process has found to be whole, with their time


@dataclass(frozen=True)
class _Seen:
    """What a copy was made from; `identity`: what changes with the file, None where nothing does."""

    name: str
    identity: str | None
    size: int
    sha256: str


def local_source(path: str, root: Path, is_table: Callable[[str], bool]) -> Path:
    """Return where a source's file, folder or glob lies on this disk; what a URI names is fetched before.

    Args:
        is_table: whether a file of a folder, by its name, is fetched.

    Raises: InputError where it cannot be fetched; SettingsError for a URI that cannot be one of a source.
    """
    if not is_uri(path):
        return root / path
    is_web = scheme_of(path) in WEB
    if not is_web:
        Store(bucket_and_key(path)[0]).check_usable()
    with _one_at_a_time(root), _answering(path):
        return _web_copy(path, root) if is_web else _mirror(path, root, is_table)


def remote_sizes(uri: str, is_table: Callable[[str], bool]) -> list[int]:
    """Return the bytes of each file that a source's URI names; 0 where a server does not tell.

    Raises: as `local_source`.
    """
    with _answering(uri):
        if scheme_of(uri) not in WEB:
            return [one.size for one in _found(uri, is_table)]
        with open_answer(uri) as answer:
            return [answer.size or 0]


def _mirror(uri: str, root: Path, is_table: Callable[[str], bool]) -> Path:
    """Make the copies of what a store's URI names the same as it is there; objects that are gone, go."""
    bucket, _ = bucket_and_key(uri)
    copy, top, store = copy_of(uri, root), copy_of(bucket, root), Store(bucket)
    found = _found(uri, is_table)
    for one in found:
        _fetch(store, one, top / one.name)
    _remove_others(copy, {top / one.name for one in found})
    return copy


def _found(uri: str, is_table: Callable[[str], bool]) -> list[StoredObject]:
    """Return what a source's URI names; of a folder the tables that are not hidden."""
    bucket, key = bucket_and_key(uri)
    found = Store(bucket).found(key)
    if any(one.name == key for one in found):
        return [one for one in found if one.name == key]
    if is_glob(key):
        return [one for one in found if not _is_hidden(one.name.rpartition("/")[2])]
    inside = f"{key}/" if key else ""
    below = [one for one in found if one.name.startswith(inside) and is_table(one.name)]
    return [one for one in below if not _is_hidden(one.name.removeprefix(inside))]


def _is_hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))


def _remove_others(copy: Path, kept: set[Path]) -> None:
    """Remove the copies below a folder, or that match a glob, of what is no longer there."""
    path = str(copy)
    found = glob.iglob(path, recursive=True) if is_glob(path) else map(str, copy.rglob("*"))
    for file in [Path(one) for one in found]:
        if file.is_file() and file not in kept and not file.name.startswith("."):
            file.unlink()


def _fetch(store: Store, there: StoredObject, target: Path) -> None:
    if _is_current(target, there.identity, _state_of(target)):
        return
    logger.info("fetching {}/{}, {:,} bytes", store.uri, there.name, there.size)
    if target.is_dir():
        shutil.rmtree(target)  # a key that was a folder of keys before
    with replacing(target) as part:
        store.download(there.name, part)
        size = part.stat().st_size
        if size != there.size:
            raise StoreError(f"{store.uri}/{there.name}: {size:,} of {there.size:,} bytes came")
        sha256 = _stamp(part)
    write_sealed_json(_state_of(target), asdict(_Seen(target.name, there.identity, size, sha256)))


def _web_copy(uri: str, root: Path) -> Path:
    """Return the copy of a file of the web, or of Google Drive, the same as it is there."""
    folder = web_folder_of(uri, root)
    state = folder / _STATE
    with open_answer(uri) as answer:
        seen = _seen(state)
        if seen is None or not _is_current(folder / seen.name, answer.identity, state):
            logger.info("fetching {}", shown(uri))
            with staging_folder(folder.parent) as staged:
                _save(answer, staged)
                put_folder(staged, folder)
            seen = _seen(state)
    assert seen is not None
    return folder / seen.name


def _save(answer: Answer, folder: Path) -> None:
    file = folder / "download"
    answer.save(file)
    named = file.rename(folder / _with_ending(answer.name, file))
    seen = _Seen(named.name, answer.identity, named.stat().st_size, _stamp(named))
    write_sealed_json(folder / _STATE, asdict(seen))


def _with_ending(name: str, file: Path) -> str:
    """Return a file's name with an ending that tells its kind, by what it holds where it has none."""
    if Path(name).suffix:
        return name
    with file.open("rb") as stream:
        return f"{name}.parquet" if stream.read(len(_PARQUET)) == _PARQUET else f"{name}.csv"


def _is_current(target: Path, identity: str | None, state: Path) -> bool:
    """Tell whether a copy was made from what is there now, and is whole."""
    seen = _seen(state)
    if seen is None or identity is None or seen.identity != identity or not target.is_file():
        return False
    found = target.stat()
    if found.st_size != seen.size:
        return False
    if (target, found.st_mtime_ns) not in _hashed:
        if sha256_of(target) != seen.sha256:
            logger.warning("the copy {} is damaged and is fetched again", target)
            return False
        _hashed.add((target, found.st_mtime_ns))
    return True


def _stamp(file: Path) -> str:
    """Return a copy's SHA-256; its time becomes one that stands for it: the same content, the same time."""
    sha256 = sha256_of(file)
    seconds, rest = divmod(int(sha256[:16], 16), 10**9)
    time = (10**9 + seconds % _TIMES) * 10**9 + rest
    os.utime(file, ns=(time, time))
    return sha256


def _state_of(target: Path) -> Path:
    return target.with_name(f".{target.name}{_STATE}")


def _seen(state: Path) -> _Seen | None:
    try:
        return _Seen(**read_sealed_json(state))
    except (OSError, ValueError, TypeError):
        return None


@contextmanager
def _one_at_a_time(root: Path) -> Iterator[None]:
    with locked(root / COPIES / ".lock", "fetching inputs", _LOCK_SECONDS):
        yield


@contextmanager
def _answering(uri: str) -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        fix = (
            "check the link and who may read it" if drive_id(uri) else "check address, credentials and rights"
        )
        raise InputError(f"the source cannot be fetched: {error}", where=shown(uri), fix=fix) from error

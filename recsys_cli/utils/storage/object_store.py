"""Object stores through fsspec's file systems: S3, Google Cloud Storage, Azure."""

import errno
import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from recsys_cli.utils.errors import RecsysError, SettingsError, first_line
from recsys_cli.utils.storage.network_limits import NetworkLimits, StorageOptions, StoreError, check_room
from recsys_cli.utils.storage.time_budget import TimeBudget
from recsys_cli.utils.storage.uris import STORES, WEB, is_glob, scheme_of, shown

_IDENTITY = (
    "size",
    "ETag",
    "etag",
    "md5Hash",
    "content_settings",
    "LastModified",
    "last_modified",
    "updated",
)
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}
_BLOCK = 8 * 2**20


@dataclass(frozen=True)
class StoredObject:
    """An object of a store: its name below the URI, its size, and what changes with its content."""

    name: str
    size: int
    identity: str

    @property
    def is_folder_marker(self) -> bool:
        """Whether it only makes a folder visible in the store's web page."""
        return self.name.endswith("/") and not self.size


@dataclass(frozen=True)
class Store:
    """The objects below a URI.

    Attributes:
        options: of the settings; they may be secrets.
        until: when all calls must have ended, in seconds of the monotonic clock.

    Every method raises StoreError if the store does not answer in time, SettingsError if the scheme's extra
    is not installed.
    """

    uri: str
    options: StorageOptions = field(default_factory=dict, repr=False, hash=False)
    until: float = math.inf

    def check_usable(self) -> None:
        """Check that the URI is one of an object store, and that its file system is installed.

        Raises: SettingsError.
        """
        scheme = scheme_of(self.uri)
        if scheme in WEB:
            raise SettingsError(
                f"results cannot be written to {scheme}://",
                where=shown(self.uri),
                fix=f"name a folder, or a URI of {', '.join(STORES)}",
            )
        if find_spec(STORES[scheme]) is None:
            raise SettingsError(
                f"{scheme}:// needs the extra [{scheme}], which is not installed",
                where=shown(self.uri),
                fix=f"pip install 'recsys-cli[{scheme}]'",
            )

    @cached_property
    def _system(self) -> Any:
        self.check_usable()
        from fsspec import filesystem

        scheme = scheme_of(self.uri)
        with self._as_store_error():
            return filesystem(scheme, use_listings_cache=False, **self.options.get(scheme, {}))

    @cached_property
    def _root(self) -> str:
        return str(self._system._strip_protocol(self.uri)).rstrip("/")  # pylint: disable=protected-access

    def found(self, path: str) -> list[StoredObject]:
        """Return the objects that a path below the URI means, sorted: one object, a folder's, or a glob's."""
        with self._as_store_error(path):
            where = self._path(path)
            listed = self._call("_find", where, detail=True) if _is_plain(path) else {}
            if is_glob(path) and where not in listed:
                listed = self._call("_glob", where, detail=True)
            files = [self._object(info) for info in listed.values() if info["type"] == "file"]
        return sorted((one for one in files if not one.is_folder_marker), key=lambda one: one.name)

    def names(self) -> list[str]:
        """Return the names directly below the URI; none if there is nothing."""
        with self._as_store_error():
            try:
                listed = self._call("_ls", self._root, detail=False)
            except FileNotFoundError:
                return []
        return sorted({str(one).rstrip("/").rpartition("/")[2] for one in listed} - {""})

    def read(self, name: str) -> bytes:
        """Return a small object's bytes.

        Raises: FileNotFoundError if there is none.
        """
        with self._as_store_error(name):
            try:
                return bytes(self._call("_cat_file", self._path(name)))
            except FileNotFoundError as error:
                missing = error
        raise missing

    def write(self, name: str, content: bytes) -> None:
        """Write a small object, in one step."""
        with self._as_store_error(name):
            self._call("_pipe_file", self._path(name), content)

    def remove(self, name: str) -> None:
        """Remove an object."""
        with self._as_store_error(name):
            self._call("_rm_file", self._path(name))

    def download(self, name: str, target: Path) -> None:
        """Copy an object to a local file.

        Raises: OutputError if the disk has no room for it.
        """
        with self._as_store_error(name):
            self._call("_get_file", self._path(name), str(target), callback=self._bounded(target))

    def upload(self, file: Path, name: str) -> None:
        """Copy a local file to an object; it appears whole or not at all."""
        with self._as_store_error(name):
            self._call("_put_file", str(file), self._path(name))

    def sha256_of(self, name: str) -> str:
        """Return the SHA-256 of an object's bytes, read again from the store."""
        digest = hashlib.sha256()
        with self._as_store_error(name):
            size = int(dict(self._call("_info", self._path(name)))["size"])
            for start in range(0, size, _BLOCK):
                end = min(start + _BLOCK, size)
                digest.update(self._call("_cat_file", self._path(name), start=start, end=end))
        return digest.hexdigest()

    def _call(self, method: str, *given: Any, **named: Any) -> Any:
        """Call a coroutine of the file system; it is cancelled when its time is over."""
        from fsspec.asyn import sync
        from fsspec.exceptions import FSTimeoutError

        system, limits = self._system, NetworkLimits.of(self.options)
        with TimeBudget(min(limits.max_seconds, self.until - time.monotonic()), shown(self.uri)) as budget:
            left = budget.left()
            try:
                return sync(system.loop, getattr(system, method), *given, timeout=left, **named)
            except FSTimeoutError:
                budget.left()
                raise

    def _bounded(self, target: Path) -> Any:
        """Return a listener of a download that ends it where it is too large for the limits or the disk."""
        from fsspec.callbacks import Callback

        limits = NetworkLimits.of(self.options)

        class Bounded(Callback):  # type: ignore[misc]
            def set_size(self, size: int | None) -> None:
                super().set_size(size)
                limits.check_size(size or 0)
                check_room(size or 0, target.parent)

            def relative_update(self, inc: int = 1) -> None:
                super().relative_update(inc)
                limits.check_size(self.value)
                if (self.value - inc) // _BLOCK != self.value // _BLOCK:
                    check_room(0, target.parent)

        return Bounded()

    def _object(self, info: Mapping[str, Any]) -> StoredObject:
        known = "|".join(f"{name}={info[name]}" for name in _IDENTITY if info.get(name) is not None)
        bucket, name = f"{self._root}/", str(info["name"])
        if not name.startswith(bucket):
            raise ValueError(f"it lists {name!a}, which does not lie there")
        name = name.removeprefix(bucket)
        return StoredObject(name, int(info["size"] or 0), hashlib.sha256(known.encode()).hexdigest())

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    @contextmanager
    def _as_store_error(self, name: str = "") -> Iterator[None]:
        """Turn the errors of each store's own library into StoreError."""
        try:
            yield
        except RecsysError:
            raise
        except StoreError as error:
            raise StoreError(f"{shown(self.uri)}{_place(name)}: {error}", error.fix) from error
        except OSError as error:
            if error.errno in _DISK:
                raise  # the copy cannot be written
            raise self._store_error(error, name) from error
        except Exception as error:  # pylint: disable=broad-exception-caught
            raise self._store_error(error, name) from error

    def _store_error(self, error: Exception, name: str) -> StoreError:
        reason = first_line(error)
        return StoreError(f"{shown(self.uri)}{_place(name)} does not answer as it should: {reason}")


def _place(name: str) -> str:
    return f" ({name})" if name else ""


def _is_plain(path: str) -> bool:
    """Return whether a path may be a key: one with brackets may be a key as well as a glob."""
    return not is_glob(path.replace("[", ""))

"""Object stores through fsspec's file systems: S3, Google Cloud Storage, Azure."""

import errno
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any

from recsys_cli.utils.credentials import without_credentials
from recsys_cli.utils.errors import RecsysError, SettingsError, first_line
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

StorageOptions = Mapping[str, Mapping[str, Any]]  # options of each scheme's file system, such as credentials
NO_OPTIONS: StorageOptions = MappingProxyType({})


class StoreError(Exception):
    """An object store or web server failed or gave an unusable answer; credentials in the text are masked."""

    def __init__(self, what: str) -> None:
        super().__init__(without_credentials(what))


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

    Every method raises StoreError if the store does not answer, SettingsError if the scheme's extra is not
    installed.
    """

    uri: str
    options: StorageOptions = field(default_factory=dict, repr=False, hash=False)

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
            listed = self._system.find(where, detail=True) if _is_plain(path) else {}
            if is_glob(path) and where not in listed:
                listed = self._system.glob(where, detail=True)
            files = [self._object(info) for info in listed.values() if info["type"] == "file"]
        return sorted((one for one in files if not one.is_folder_marker), key=lambda one: one.name)

    def names(self) -> list[str]:
        """Return the names directly below the URI; none if there is nothing."""
        with self._as_store_error():
            try:
                listed = self._system.ls(self._root, detail=False)
            except FileNotFoundError:
                return []
        return sorted({str(one).rstrip("/").rpartition("/")[2] for one in listed} - {""})

    def read(self, name: str) -> bytes:
        """Return a small object's bytes.

        Raises: FileNotFoundError if there is none.
        """
        with self._as_store_error(name):
            try:
                return bytes(self._system.cat_file(self._path(name)))
            except FileNotFoundError as error:
                missing = error
        raise missing

    def write(self, name: str, content: bytes) -> None:
        """Write a small object, in one step."""
        with self._as_store_error(name):
            self._system.pipe_file(self._path(name), content)

    def remove(self, name: str) -> None:
        """Remove an object."""
        with self._as_store_error(name):
            self._system.rm_file(self._path(name))

    def download(self, name: str, target: Path) -> None:
        """Copy an object to a local file."""
        with self._as_store_error(name):
            self._system.get_file(self._path(name), str(target))

    def upload(self, file: Path, name: str) -> None:
        """Copy a local file to an object; it appears whole or not at all."""
        with self._as_store_error(name):
            self._system.put_file(str(file), self._path(name))

    def sha256_of(self, name: str) -> str:
        """Return the SHA-256 of an object's bytes, read again from the store."""
        digest = hashlib.sha256()
        with (
            self._as_store_error(name),
            self._system.open(self._path(name), "rb", block_size=_BLOCK, cache_type="none") as file,
        ):
            while block := file.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest()

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
        except OSError as error:
            if error.errno in _DISK:
                raise  # the copy cannot be written
            raise self._store_error(error, name) from error
        except Exception as error:  # pylint: disable=broad-exception-caught
            raise self._store_error(error, name) from error

    def _store_error(self, error: Exception, name: str) -> StoreError:
        reason = first_line(error)
        place = f" ({name})" if name else ""
        return StoreError(f"{shown(self.uri)}{place} does not answer as it should: {reason}")


def _is_plain(path: str) -> bool:
    """Return whether a path may be a key: one with brackets may be a key as well as a glob."""
    return not is_glob(path.replace("[", ""))

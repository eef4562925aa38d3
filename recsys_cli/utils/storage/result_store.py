"""Folders of results by name, each complete or absent: on this disk, or in a store with a copy on this disk.

In a store a result `NAME` consists of the objects `NAME/<key>/…`, never changed once written, and a small
object `NAME/_current.json` that names the current key, and each file's size and hash. It is written last.
"""

import os
import re
import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

from loguru import logger

from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.storage.atomic_writes import staging_folder
from recsys_cli.utils.storage.folder_exchange import replace_folder
from recsys_cli.utils.storage.hashing import sha256_of
from recsys_cli.utils.storage.json_files import read_sealed_json, sealed, unsealed, write_sealed_json
from recsys_cli.utils.storage.leftovers import names_in, unless_gone
from recsys_cli.utils.storage.network_limits import NO_OPTIONS, StorageOptions, StoreError
from recsys_cli.utils.storage.object_store import Store
from recsys_cli.utils.storage.regular_files import is_regular
from recsys_cli.utils.storage.replacement_journal import standing, standing_names
from recsys_cli.utils.storage.uris import copy_of, is_uri

CURRENT = "_current.json"
_KEPT_TIME = timedelta(days=1)  # before outdated objects are removed: a reader may still use them
_TIME = "%Y%m%dT%H%M%S"  # the start of a key
_PROBE = ".writable"
_PLAIN = re.compile(r"\w[\w.-]*", re.ASCII)  # a name of a file or key


@dataclass(frozen=True)
class Results:
    """The results of one kind.

    Attributes:
        folder: the folder on this disk; for a store: the folder of its copies.
        store: the object store; None if the folder itself holds the results.

    Every method raises OutputError if the disk or the store fails.
    """

    folder: Path
    store: Store | None = None
    _fresh: set[str] = field(default_factory=set)

    @classmethod
    def at(cls, path: str, root: Path, options: StorageOptions = NO_OPTIONS) -> "Results":
        """Return the results at a path or URI of the settings; paths are relative to the workspace `root`.

        Args:
            options: of the file system of each scheme.
        """
        return cls(copy_of(path, root), Store(path, options)) if is_uri(path) else cls(root / path)

    def __str__(self) -> str:
        return str(self.folder) if self.store is None else self.store.uri

    def location_of(self, *names: str) -> str:
        """Return the path or URI of something in the results, as messages show it."""
        return "/".join((str(self), *names))

    def names(self) -> list[str]:
        """Return the names of all results, incomplete ones included."""
        if self.store is None:
            return standing_names(self.folder)
        with self._as_output_error():
            return [name for name in self.store.names() if not name.startswith(".")]

    def open(self, name: str, only: Collection[str] | None = None) -> Path:
        """Return the folder of a result; for a store: its copy, which the first call updates.

        The folder does not exist if the result does not.

        Args:
            only: names of the files that are needed; None: all.
        """
        if self.store is not None and name not in self._fresh:
            with self._as_output_error():
                self._fetch(name, only)
            if only is None:
                self._fresh.add(name)
        return standing(self.folder / name)

    def reread(self, name: str) -> None:
        """Download a result from the store again, whatever the copy holds."""
        if self.store is not None:
            with self._as_output_error():
                self._fetch(name, anew=True)

    def put(self, staged: Path, name: str, key: str | None = None) -> None:
        """Publish a staged folder under a name, in one step; an earlier result of that name is replaced.

        Args:
            key: a run's id, which a store's objects are named after; None: a key from the time.
        """
        if self.store is not None:
            with self._as_output_error():
                _send(self.store, staged, name, key or f"{datetime.now(UTC).strftime(_TIME)}-{token_hex(3)}")
        replace_folder(staged, self.folder / name)
        self._fresh.add(name)

    def read_note(self, name: str) -> dict[str, Any] | None:
        """Return the object that `write_note` wrote; None if there is none.

        Raises: ValueError if it was changed since.
        """
        if self.store is None:
            note = self.folder / name
            return read_sealed_json(note) if os.path.lexists(note) else None
        with self._as_output_error(), suppress(FileNotFoundError):
            return unsealed(self.store.read(name))
        return None

    def write_note(self, name: str, value: dict[str, Any]) -> None:
        """Write a small JSON object beside the results, in one step."""
        if self.store is None:
            write_sealed_json(self.folder / name, value)
            return
        with self._as_output_error():
            self.store.write(name, sealed(value))

    def check_reachable(self) -> None:
        """Check, before any work is done, that the store can be written."""
        if self.store is not None:
            with self._as_output_error():
                self.store.write(_PROBE, b"")
            with suppress(StoreError):
                self.store.remove(_PROBE)

    def _fetch(self, name: str, only: Collection[str] | None = None, *, anew: bool = False) -> None:
        """Make the copy of a result equal to the store's; damaged files are copied as they are and logged."""
        assert self.store is not None
        current, target = _current(self.store, name), standing(self.folder / name)
        if current is None:
            shutil.rmtree(target, ignore_errors=True)
            return
        files = current["files"]
        wanted = set(files) if only is None else set(files) & set(only)
        there = {name: target / name for name in names_in(target)}
        sound = {
            file for file, path in there.items() if not anew and file in files and _matches(path, files[file])
        }
        if wanted <= sound == set(there):
            return
        held = {one.name for one in self.store.found(f"{name}/{current['key']}")}
        with staging_folder(self.folder) as staged:
            for file in sound:
                with unless_gone():  # another run may have fetched the result meanwhile, too
                    os.link(there[file], staged / file)
            for file in (wanted | sound) - set(names_in(staged)):
                place = f"{name}/{current['key']}/{file}"
                if place in held:
                    self.store.download(place, staged / file)
                if not _matches(staged / file, files[file]):
                    logger.warning("{}/{} is missing or damaged", self.store.uri, place)
            replace_folder(staged, target)

    @contextmanager
    def _as_output_error(self) -> Iterator[None]:
        try:
            yield
        except StoreError as error:
            raise OutputError(
                str(error),
                where=str(self),
                fix=error.fix
                or "check address, credentials and rights of the store; `recsys doctor` tries them",
            ) from error


def _send(store: Store, staged: Path, name: str, key: str) -> None:
    """Upload the files of a folder under a key, verify them, and make this key the current one last."""
    before = _current(store, name)
    files = {
        file.name: {"sha256": sha256_of(file), "bytes": file.stat().st_size}
        for file in sorted(staged.iterdir())
    }
    for file, expected in files.items():
        place = f"{name}/{key}/{file}"
        store.upload(staged / file, place)
        if store.sha256_of(place) != expected["sha256"]:
            raise StoreError(f"{store.uri}/{place} is not what was sent")
    store.write(f"{name}/{CURRENT}", sealed({"schema_version": 1, "key": key, "files": files}))
    _remove_outdated(store, name, {key, before["key"] if before else key})


def _remove_outdated(store: Store, name: str, kept: Collection[str]) -> None:
    """Remove objects of other keys, replaced or never published, that are a day old or more."""
    for one in store.found(name):
        key = one.name.removeprefix(f"{name}/").partition("/")[0]
        if key not in kept and _age_of(key) > _KEPT_TIME:
            store.remove(one.name)


def _age_of(key: str) -> timedelta:
    """Return the age of a key, which begins with its time; zero if it does not."""
    try:
        return datetime.now(UTC) - datetime.strptime(key.partition("-")[0], _TIME).replace(tzinfo=UTC)
    except ValueError:
        return timedelta(0)


def _current(store: Store, name: str) -> dict[str, Any] | None:
    """Return the record of a name's current key; None if there is none, or it cannot be trusted."""
    try:
        current = unsealed(store.read(f"{name}/{CURRENT}"))
        if not all(_PLAIN.fullmatch(one) for one in (current["key"], *current["files"])):
            raise ValueError("it names files elsewhere")
        if not all(set(map(type, _facts_of(one))) == {str, int} for one in current["files"].values()):
            raise ValueError("it has no hashes and sizes")
        return current
    except FileNotFoundError:
        return None
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        logger.warning(
            "{}/{}/{} is ignored, because it cannot be trusted: {}", store.uri, name, CURRENT, error
        )
        return None


def _facts_of(file: dict[str, Any]) -> tuple[Any, Any]:
    """Return the hash and size of a file in the record of a key."""
    return file["sha256"], file["bytes"]


def _matches(file: Path, expected: dict[str, Any]) -> bool:
    sha256, size = _facts_of(expected)
    return is_regular(file) and file.stat().st_size == size and sha256_of(file) == sha256

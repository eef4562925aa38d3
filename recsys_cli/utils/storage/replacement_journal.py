"""Replace a folder where no system call can: with a journal from which every state is finished or undone.

Siblings of the folder NAME, in the order in which they come:

    .NAME.journal   what replaces the folder: written first, removed last, locked by whoever works on NAME
    .NAME.new       the new folder, complete, until it becomes NAME
    .NAME.old       the old folder, complete, until NAME is the new one
    .NAME.copy      a folder that is being copied because a rename is refused: another volume, or an overlay

A replacement that was stopped before NAME was the new folder is undone: NAME is the old one again.
"""

import errno
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path

from loguru import logger

from recsys_cli.utils.errors import LockedError
from recsys_cli.utils.storage.atomic_writes import sync
from recsys_cli.utils.storage.hashing import sha256_of
from recsys_cli.utils.storage.json_files import sealed, unsealed
from recsys_cli.utils.storage.leftovers import names_in

_JOURNAL = re.compile(r"\.(.+)\.journal")
_WAIT_SECONDS, _PAUSE_SECONDS = 60, 0.02


@dataclass(frozen=True)
class Replacement:
    """The replacement of a folder, under way or stopped.

    Example:
        Replacement(Path("recommendations/date=2026-07-01")).by(staged)
    """

    target: Path

    @property
    def is_begun(self) -> bool:
        """Whether there is a journal: another process works on the folder, or was stopped."""
        return bool(self.target.name) and os.path.lexists(self._journal)

    def by(self, staged: Path) -> None:
        """Replace the folder, which need not exist, by a staged one; after an error it is the old one.

        Raises: OSError; LockedError if another process keeps replacing it.
        """
        with self._locked(make=True) as journal:
            assert journal is not None
            self._restore()
            try:
                self._write_journal(journal, staged)
                self._move(staged, self._new)
                if os.path.lexists(self.target):
                    self._move(self.target, self._old)
                self._rename(self._new, self.target)
            except BaseException:
                with suppress(OSError):  # the journal stays: the next command undoes it
                    self._settle()
                raise
            self._settle()

    def settle(self) -> None:
        """Undo what a process was stopped at, or finish it where only the cleaning up is left.

        Raises: as `by`.
        """
        with self._locked(make=False) as journal:
            if journal is not None:
                self._log(journal)
                self._settle()

    def standing(self) -> Path:
        """Return the path where the complete folder is now: the target's own, once it is settled."""
        return self._old if self._must_be_undone() else self.target

    def _must_be_undone(self) -> bool:
        """Whether the old folder is not replaced yet: the new one is moved away only to become the target."""
        is_waiting = os.path.lexists(self._new) or not os.path.lexists(self.target)
        return os.path.lexists(self._old) and is_waiting

    def _settle(self) -> None:
        """Let the target be the old or the new folder, and remove all else, the journal last."""
        self._restore()
        if not any(map(os.path.lexists, self._leftovers)):
            self._journal.unlink(missing_ok=True)
        sync(self.target.parent)

    def _restore(self) -> None:
        """Let the target be the old or the new folder, and remove the others as far as that goes."""
        if self._must_be_undone():
            _remove(self.target)
            self._rename(self._old, self.target)
        for leftover in self._leftovers:
            with suppress(OSError):
                _remove(leftover)

    def _move(self, source: Path, target: Path) -> None:
        """Rename a folder; where that is refused, copy it, and remove it once the copy is complete."""
        try:
            self._rename(source, target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            _copy(source, self._copy)
            self._rename(self._copy, target)
            _remove(source)

    def _rename(self, source: Path, target: Path) -> None:
        os.rename(source, target)
        sync(self.target.parent)

    @contextmanager
    def _locked(self, *, make: bool) -> Iterator[int | None]:
        """Hold the lock of the journal and yield its descriptor; None if there is none and none is made."""
        flags = os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if make else 0)
        while (descriptor := _opened(self._journal, flags)) is not None:
            try:
                self._wait_for_lock(descriptor)
                if _is_file_of(self._journal, descriptor):  # else its holder has removed it meanwhile
                    yield descriptor
                    return
            finally:
                os.close(descriptor)
        yield None

    def _wait_for_lock(self, descriptor: int) -> None:
        until = time.monotonic() + _WAIT_SECONDS
        while True:
            try:
                flock(descriptor, LOCK_EX | LOCK_NB)
                return
            except BlockingIOError:
                if time.monotonic() > until:
                    raise self._locked_error(descriptor) from None
            time.sleep(_PAUSE_SECONDS)

    def _locked_error(self, descriptor: int) -> LockedError:
        return LockedError(
            f"another process is replacing {self.target.name}: {_text_of(descriptor)}",
            where=str(self._journal),
            fix="wait until it has ended, or stop that process",
        )

    def _write_journal(self, descriptor: int, staged: Path) -> None:
        started = datetime.now(UTC).isoformat(timespec="seconds")
        entry = {"replaced": self.target.name, "by": str(staged), "pid": os.getpid(), "started": started}
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, sealed(entry), 0)
        os.fsync(descriptor)
        sync(self.target.parent)

    def _log(self, journal: int) -> None:
        end = "is undone" if self._must_be_undone() else "is cleaned up"
        logger.warning("replacing {} was interrupted ({}) and {}", self.target, _text_of(journal), end)

    @property
    def _journal(self) -> Path:
        return self._sibling("journal")

    @property
    def _leftovers(self) -> tuple[Path, ...]:
        return self._new, self._old, self._copy

    @property
    def _new(self) -> Path:
        return self._sibling("new")

    @property
    def _old(self) -> Path:
        return self._sibling("old")

    @property
    def _copy(self) -> Path:
        return self._sibling("copy")

    def _sibling(self, role: str) -> Path:
        return self.target.with_name(f".{self.target.name}.{role}")


def standing(target: Path) -> Path:
    """Return the path of a folder to be read, once an interrupted replacement of it is settled.

    That is `target`, which need not exist, or where this user cannot settle it, the old folder beside it.

    Raises: LockedError if another process keeps replacing it.
    """
    replacement = Replacement(target)
    if not replacement.is_begun:
        return target
    try:
        replacement.settle()
    except OSError as error:
        logger.warning("{} cannot be put back: {}", target, error.strerror or error)
    return replacement.standing()


def standing_names(folder: Path) -> list[str]:
    """Return the sorted names in a folder, those whose replacement was interrupted included; none without it.

    Raises: as `standing`.
    """
    begun = [found[1] for name in names_in(folder) if (found := _JOURNAL.fullmatch(name))]
    settled = {name for name in begun if standing(folder / name).exists()}
    return sorted(settled.union(names_in(folder)))


def _opened(path: Path, flags: int) -> int | None:
    try:
        return os.open(path, flags, 0o666)
    except FileNotFoundError:
        return None


def _is_file_of(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.lstat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _text_of(journal: int) -> str:
    """Return who has begun a replacement, and when, as a message shows it."""
    try:
        entry = unsealed(os.pread(journal, os.fstat(journal).st_size, 0))
        return f"process {entry['pid']}, started {entry['started']}"
    except (ValueError, KeyError):
        return "by a process that had done nothing yet"


def _copy(source: Path, target: Path) -> None:
    """Copy a folder, with every file compared and on the disk."""
    shutil.copytree(source, target, symlinks=True)
    for copy in sorted(target.rglob("*")):
        if copy.is_symlink():
            continue
        if copy.is_file() and sha256_of(copy) != sha256_of(source / copy.relative_to(target)):
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(copy))
        sync(copy)
    sync(target)


def _remove(path: Path) -> None:
    """Remove a folder, or whatever else is at a path, if there is anything."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)

"""Finished parts of a scoring run, kept until it is published: a killed run goes on behind them."""

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Self

import polars as pl
from loguru import logger

from recsys_cli.pipelines.scoring.batches import Part, PartFacts
from recsys_cli.pipelines.workspace.layout import RECOMMENDATIONS, Workspace
from recsys_cli.utils.errors import CheckFailedError, LockedError, OutputError, RecsysError
from recsys_cli.utils.storage.atomic_files import replacing
from recsys_cli.utils.storage.hashing import sha256_of
from recsys_cli.utils.storage.json_files import read_sealed_json, write_sealed_json
from recsys_cli.utils.storage.locks import locked

_WORK = "work.json"
_LATER = (OutputError, CheckFailedError)  # the same work may be published when another run comes to it
_FORGOTTEN_SECONDS = 7 * 86_400
_FORMAT = "1"  # of the kept parts: raised when another program would read them wrongly


@dataclass
class Unfinished:
    """The parts that a run has finished, one behind the other; `parts` and `users`: how many.

    At the end of a `with` block they are gone, unless the work was stopped and can be gone on with.
    """

    folder: Path
    parts: int = 0
    users: int = 0

    @property
    def staged(self) -> Path:
        """Where the file of all lists grows, in a folder of its own that will be published."""
        return self.folder / "whole" / RECOMMENDATIONS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        refused = kind is not None and issubclass(kind, RecsysError) and not issubclass(kind, _LATER)
        if kind is None or refused or self.parts == 0:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            shutil.rmtree(self.staged.parent, ignore_errors=True)

    def finished(self) -> Iterator[Part]:
        """Yield what an earlier run has finished, up to the first part that is missing or damaged."""
        while (part := self._read(self.parts)) is not None:
            self.parts, self.users = self.parts + 1, self.users + part.facts.users
            yield part

    def add(self, part: Part) -> None:
        """Keep the next part.

        Raises: OutputError.
        """
        lists, told = self._files(self.parts)
        with replacing(lists) as written:
            part.top.write_ipc(written, compression="lz4")
            hashed = sha256_of(written)
        write_sealed_json(told, {**asdict(part.facts), "sha256": hashed})
        self.parts, self.users = self.parts + 1, self.users + part.facts.users

    def _read(self, number: int) -> Part | None:
        lists, told = self._files(number)
        try:
            facts = read_sealed_json(told)
            if facts.pop("sha256") != sha256_of(lists):
                return None
        except (OSError, ValueError):
            return None
        return Part(PartFacts(**facts), pl.read_ipc(lists))

    def _files(self, number: int) -> tuple[Path, Path]:
        return self.folder / f"part-{number:06d}.arrow", self.folder / f"part-{number:06d}.json"


def open_unfinished(folder: Path, work: Mapping[str, str]) -> Unfinished:
    """Return what an earlier run of the same work has finished; what is left of another one is removed.

    Args:
        work: all that decides the lists, by name.

    Raises: OutputError if the folder cannot be written.
    """
    before, now = _work_of(folder), {"format": _FORMAT, **work}
    if before != now:
        if before:
            others = [name for name in now if before.get(name) != now[name]]
            logger.warning(
                "a killed run's lists are not gone on with; other than then: {}", ", ".join(others)
            )
        shutil.rmtree(folder, ignore_errors=True)
        write_sealed_json(folder / _WORK, now)
    unfinished = Unfinished(folder)
    shutil.rmtree(unfinished.staged.parent, ignore_errors=True)
    unfinished.staged.parent.mkdir()
    return unfinished


def remove_forgotten(workspace: Workspace, day: date) -> None:
    """Remove what killed runs of other days have left, a week ago or more, and nobody went on with."""
    for folder in workspace.staged(day).parent.glob("date=*"):
        if folder.name == f"date={day}" or time.time() - folder.stat().st_mtime < _FORGOTTEN_SECONDS:
            continue
        with suppress(LockedError, OutputError), locked(workspace.lock(folder.name), folder.name):
            shutil.rmtree(folder, ignore_errors=True)
            logger.info("{}, which a killed run had left, is removed", folder)


def _work_of(folder: Path) -> dict[str, str]:
    try:
        return read_sealed_json(folder / _WORK)
    except (OSError, ValueError):
        return {}

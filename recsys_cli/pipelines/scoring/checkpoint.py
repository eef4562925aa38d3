"""Finished batches of a scoring run, stored until it is published: a killed run resumes after them."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Self

from loguru import logger

from recsys_cli.pipelines.scoring.batches import BatchFigures, RankedBatch
from recsys_cli.pipelines.workspace.layout import RECOMMENDATIONS
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.errors import CheckFailedError, OutputError, RecsysError
from recsys_cli.utils.json_record import Sha256
from recsys_cli.utils.storage.atomic_writes import replacing
from recsys_cli.utils.storage.folder_checks import refuse_planted
from recsys_cli.utils.storage.hashing import sha256_of
from recsys_cli.utils.storage.json_files import read_sealed_json, write_sealed_json
from recsys_cli.utils.storage.leftovers import remove_unused
from recsys_cli.utils.storage.locks import locked
from recsys_cli.utils.storage.table_files import read_ipc_file

_WORK = "work.json"
_RESUMABLE = (OutputError, CheckFailedError)  # the same work may be published when another run comes to it
_ABANDONED_SECONDS = 7 * 86_400
_FORMAT = "1"  # of the stored batches: raised when another program would read them wrongly


class _StoredFigures(BatchFigures):
    """A batch's figures as they are stored, with the SHA-256 of its lists."""

    sha256: Sha256


@dataclass
class BatchCheckpoint:
    """The batches that a run has finished, one behind the other; `batches` and `users`: how many.

    The end of a `with` block removes them, unless the work was stopped and can be resumed.
    """

    folder: Path
    batches: int = 0
    users: int = 0

    @property
    def staged(self) -> Path:
        """Where the file of all lists grows, in a folder of its own that will be published."""
        return self.folder / "whole" / RECOMMENDATIONS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        refused = kind is not None and issubclass(kind, RecsysError) and not issubclass(kind, _RESUMABLE)
        if kind is None or refused or self.batches == 0:
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            shutil.rmtree(self.staged.parent, ignore_errors=True)

    def finished(self) -> Iterator[RankedBatch]:
        """Yield what an earlier run has finished, up to the first batch that is missing or damaged."""
        while (batch := self._read(self.batches)) is not None:
            self._count(batch)
            yield batch

    def stored(self) -> Iterator[RankedBatch]:
        """Yield all batches that are finished, in order.

        Raises: OutputError where one is no longer as it was written.
        """
        for number in range(self.batches):
            batch = self._read(number)
            if batch is None:
                raise OutputError(
                    "a stored batch of ranked users is damaged or gone",
                    where=str(self._files(number)[0]),
                    fix="check the disk, and run it again",
                )
            yield batch

    def add(self, batch: RankedBatch) -> None:
        """Store the next batch.

        Raises: OutputError.
        """
        lists, figures = self._files(self.batches)
        with replacing(lists) as written:
            batch.top.write_ipc(written, compression="lz4")
            hashed = sha256_of(written)
        write_sealed_json(figures, {**batch.figures.as_json(), "sha256": hashed})
        self._count(batch)

    def _count(self, batch: RankedBatch) -> None:
        self.batches, self.users = self.batches + 1, self.users + batch.figures.users

    def _read(self, number: int) -> RankedBatch | None:
        lists, figures = self._files(number)
        try:
            stored = _StoredFigures.read(read_sealed_json(figures))
            if stored.sha256 != sha256_of(lists):
                return None
        except (OSError, ValueError):
            return None
        return RankedBatch(stored, read_ipc_file(lists))

    def _files(self, number: int) -> tuple[Path, Path]:
        return self.folder / f"part-{number:06d}.arrow", self.folder / f"part-{number:06d}.json"


def open_checkpoint(folder: Path, work: Mapping[str, str]) -> BatchCheckpoint:
    """Open the checkpoint of an earlier run of the same work; that of any other work is removed.

    Args:
        work: all that decides the lists, by name.

    Raises: OutputError if the folder cannot be written.
    """
    for place in (folder.parent, folder):
        refuse_planted(place)
    before, now = _work_of(folder), {"format": _FORMAT, **work}
    if before != now:
        if before:
            others = [name for name in {**now, **before} if before.get(name) != now.get(name)]
            logger.warning("a killed run's lists are not reused, because these differ: {}", ", ".join(others))
        shutil.rmtree(folder, ignore_errors=True)
        write_sealed_json(folder / _WORK, now)
    checkpoint = BatchCheckpoint(folder)
    shutil.rmtree(checkpoint.staged.parent, ignore_errors=True)
    checkpoint.staged.parent.mkdir()
    return checkpoint


def remove_abandoned(day: ScoringDay) -> None:
    """Remove checkpoints of other days that are a week old or more: nobody has resumed them."""
    lock = partial(_lock_of_other_day, day)
    for folder in remove_unused(day.staged.parent, _ABANDONED_SECONDS, lock, "date=*"):
        logger.info("removed {}, which a killed run had left", folder)


def _lock_of_other_day(day: ScoringDay, name: str) -> AbstractContextManager[object]:
    """Return the lock of whatever writes in the folder of that name; this run holds that of its own day."""
    return nullcontext() if name == day.name else locked(day.workspace.lock(name), name)


def _work_of(folder: Path) -> dict[str, str]:
    try:
        return read_sealed_json(folder / _WORK)
    except (OSError, ValueError):
        return {}

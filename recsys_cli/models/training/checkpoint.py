"""Finished steps of a training, stored on disk: a killed training resumes after them."""

import shutil
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from loguru import logger

from recsys_cli.utils.storage.atomic_writes import staging_folder
from recsys_cli.utils.storage.folder_exchange import replace_folder
from recsys_cli.utils.storage.hashing import sha256_of
from recsys_cli.utils.storage.json_files import read_sealed_json, write_sealed_json
from recsys_cli.utils.storage.leftovers import remove_unused
from recsys_cli.utils.storage.replacement_journal import standing
from recsys_cli.utils.storage.safe_paths import path_below

_FACTS: Final = "step.json"
_MAX_AGE_SECONDS: Final = 7 * 24 * 3600


@dataclass(frozen=True)
class FinishedStep:
    """The result of a step: the files in its folder, and its facts, a JSON object."""

    folder: Path
    facts: Mapping[str, Any]


class StepCheckpoint:
    """The finished steps of one training (same inputs and settings), each in a folder of its own.

    Example:
        step = checkpoint.step("borders", lambda folder: write_borders(folder))
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def has(self, name: str) -> bool:
        """Return whether a step is finished; its files are not verified."""
        return (self._root / name / _FACTS).is_file()

    def step(self, name: str, make: Callable[[Path], Mapping[str, Any]]) -> FinishedStep:
        """Return a finished step; if it is missing or damaged, `make` fills a folder and returns facts.

        Raises: OutputError if it cannot be written.
        """
        folder = self._root / name
        found = _read(standing(folder))
        if found is not None:
            logger.info("{} is reused from the training that was stopped", name)
            return found
        with staging_folder(self._root) as staged:
            facts = dict(make(staged))
            files = {file.name: sha256_of(file) for file in sorted(staged.iterdir())}
            write_sealed_json(staged / _FACTS, {"facts": facts, "files": files})
            replace_folder(staged, folder)
        return FinishedStep(folder, facts)

    def remove(self) -> None:
        """Remove all steps of this training, which has become a model, and other trainings' after a week."""
        shutil.rmtree(self._root, ignore_errors=True)
        with suppress(OSError):
            # One training at a time works here: the caller holds the lock of the models.
            remove_unused(self._root.parent, _MAX_AGE_SECONDS, lambda _name: nullcontext())
            self._root.parent.rmdir()  # fails while others' newer steps are in it


def _read(folder: Path) -> FinishedStep | None:
    """Return a step whose files are intact; None if there is none or a file was changed."""
    if folder.is_symlink() or not (folder / _FACTS).is_file():
        return None
    try:
        record = read_sealed_json(folder / _FACTS)
        for name, expected in record["files"].items():
            file = path_below(folder, name)
            if file.is_symlink() or sha256_of(file) != expected:
                raise ValueError(f"{name} was changed after it was written")
        return FinishedStep(folder, record["facts"])
    except (OSError, ValueError, LookupError, AttributeError) as error:
        logger.warning("the finished step {} is damaged and is repeated: {}", folder, error)
        return None

"""The lock of one run at a time: who is refused learns which process works."""

from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from threading import Timer

import pytest

from recsys_cli.utils.errors import LockedError
from recsys_cli.utils.storage.json_files import write_json
from recsys_cli.utils.storage.locks import locked


@contextmanager
def held(lock: Path) -> Iterator[Timer]:
    """Hold a lock as a run does that has just taken it: its holder file is written a little later."""
    record = {"pid": 4711, "started": "2026-03-02T01:00:00+00:00"}
    late = Timer(0.2, write_json, (lock.with_suffix(".holder"), record))
    with lock.open("w") as file:
        flock(file, LOCK_EX | LOCK_NB)
        yield late


def test_process_is_named_that_has_only_just_taken_the_lock(tmp_path: Path) -> None:
    with held(tmp_path / "date.lock") as late:
        late.start()
        with pytest.raises(LockedError, match="busy with the lists: process 4711, started 2026-03-02"):
            with locked(tmp_path / "date.lock", "the lists"):
                pass


def test_lock_that_is_just_released_is_taken(tmp_path: Path) -> None:
    lock = tmp_path / "date.lock"
    file = lock.open("w")
    flock(file, LOCK_EX | LOCK_NB)  # its holder file is removed already
    Timer(0.2, file.close).start()
    with locked(lock, "the lists"):
        assert lock.with_suffix(".holder").exists()


def test_lock_without_a_named_process_is_still_refused(tmp_path: Path) -> None:
    with held(tmp_path / "date.lock"), pytest.raises(LockedError, match="busy with the lists$"):
        with locked(tmp_path / "date.lock", "the lists"):
            pass

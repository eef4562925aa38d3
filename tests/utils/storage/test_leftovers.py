"""What runs leave in a folder, while other runs work there."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recsys_cli.utils.errors import LockedError
from recsys_cli.utils.storage.leftovers import entries, names_in, remove_unused, unless_gone

DAY = 86_400


@contextmanager
def unlocked(_name: str) -> Iterator[None]:
    yield


def folder_of_age(path: Path, seconds: float) -> Path:
    path.mkdir(parents=True)
    (path / "file").touch()
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


def test_a_folder_that_is_gone_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for gone in (tmp_path / "nowhere", tmp_path / "file", tmp_path / "file/below"):
        assert not names_in(gone) and not entries(gone)


def test_a_dangling_link_is_listed_as_itself(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder").mkdir()
    assert [(one.path.name, one.is_folder) for one in entries(tmp_path)] == [
        ("folder", True),
        ("link", False),
    ]
    assert names_in(tmp_path, "l*") == ["link"]


def test_only_what_vanished_is_passed_over(tmp_path: Path) -> None:
    with unless_gone():
        (tmp_path / "nowhere").stat()
    with pytest.raises(IsADirectoryError), unless_gone():
        tmp_path.read_bytes()


def test_old_folders_are_removed_and_files_and_links_are_not(tmp_path: Path) -> None:
    old, new = folder_of_age(tmp_path / "in/date=1", 8 * DAY), folder_of_age(tmp_path / "in/date=2", 6 * DAY)
    other = folder_of_age(tmp_path / "in/other", 8 * DAY)
    link = tmp_path / "in/date=3"
    link.symlink_to(folder_of_age(tmp_path / "elsewhere", 8 * DAY))
    file = tmp_path / "in/date=4"
    file.touch()
    os.utime(file, (0, 0))
    assert remove_unused(tmp_path / "in", 7 * DAY, unlocked, "date=*") == [old]
    assert not old.exists() and (link / "file").exists()
    assert new.exists() and other.exists() and file.exists()


def test_what_is_locked_stays(tmp_path: Path) -> None:
    busy, free = folder_of_age(tmp_path / "busy", 8 * DAY), folder_of_age(tmp_path / "free", 8 * DAY)

    @contextmanager
    def lock(name: str) -> Iterator[None]:
        if name == "busy":
            raise LockedError("another run is busy")
        yield

    assert remove_unused(tmp_path, 7 * DAY, lock) == [free]
    assert (busy / "file").exists()


def test_what_its_owner_took_up_again_before_the_lock_was_there_stays(tmp_path: Path) -> None:
    folder = folder_of_age(tmp_path / "date=1", 8 * DAY)

    @contextmanager
    def late(_name: str) -> Iterator[None]:
        (folder / "new").touch()  # a run has resumed, and ended, while this one waited
        yield

    assert not remove_unused(tmp_path, 7 * DAY, late)
    assert (folder / "file").exists()


def test_what_its_owner_removes_before_the_lock_is_there_is_no_error(tmp_path: Path) -> None:
    folder = folder_of_age(tmp_path / "date=1", 8 * DAY)

    @contextmanager
    def late(_name: str) -> Iterator[None]:
        folder.rename(tmp_path / "published")
        yield

    assert not remove_unused(tmp_path, 7 * DAY, late)
    assert (tmp_path / "published/file").exists()

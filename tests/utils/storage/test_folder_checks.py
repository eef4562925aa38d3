"""Folders: their file system, and another user's link in the place of the program's own work."""

import os
from pathlib import Path

import pytest

from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.storage.folder_checks import file_system_of, refuse_planted
from recsys_cli.utils.storage.locks import locked

STRANGER = 12_345


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives links away")
def test_a_link_of_another_user_is_refused_and_nothing_is_written_behind_it(tmp_path: Path) -> None:
    behind, link = tmp_path / "behind", tmp_path / ".locks"
    behind.mkdir()
    link.symlink_to(behind)
    os.lchown(link, STRANGER, STRANGER)
    with pytest.raises(OutputError, match="this is a link of user 12345's") as caught:
        with locked(link / "models.lock", "the models"):
            pass
    assert caught.value.where == str(link) and not list(behind.iterdir())


def test_a_link_of_ones_own_a_folder_and_nothing_are_no_trap(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    for name in ("folder", "link", "nothing"):
        refuse_planted(tmp_path / name)
    with locked(tmp_path / "link/models.lock", "the models"):
        assert (tmp_path / "folder/models.holder").exists()


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to nowhere"])
def test_a_lock_that_is_no_file_is_told_of(tmp_path: Path, kind: str) -> None:
    lock = tmp_path / "models.lock"
    if kind == "pipe":
        os.mkfifo(lock)
    elif kind == "folder":
        lock.mkdir()
    else:
        lock.symlink_to("nowhere")
    with pytest.raises(OutputError, match="the lock on the models cannot be taken: ") as caught:
        with locked(lock, "the models"):
            pass
    assert caught.value.where == str(lock) and list(tmp_path.iterdir()) == [lock]


def test_a_file_system_is_named_with_its_place() -> None:
    assert file_system_of(Path("/proc/self/fd")) == "proc, mounted at /proc"


def test_a_folder_that_is_still_to_be_made_lies_where_it_will_be(tmp_path: Path) -> None:
    assert file_system_of(tmp_path / "a/b") == file_system_of(tmp_path)

"""Folders and the file systems that they lie on."""

from pathlib import Path

from recsys_cli.utils.storage.folder_checks import file_system_of


def test_a_file_system_is_named_with_its_place() -> None:
    assert file_system_of(Path("/proc/self/fd")) == "proc, mounted at /proc"


def test_a_folder_that_is_still_to_be_made_lies_where_it_will_be(tmp_path: Path) -> None:
    assert file_system_of(tmp_path / "a/b") == file_system_of(tmp_path)

"""A folder takes the place of a folder, never of a file."""

import os
from pathlib import Path

import pytest

from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.storage.folder_exchange import check_replaceable, replace_folder


@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_what_is_no_folder_is_not_replaced(tmp_path: Path, kind: str) -> None:
    staged, target = tmp_path / "staged", tmp_path / "date=2026-03-02"
    staged.mkdir()
    (staged / "lists").write_text("new")
    if kind == "file":
        target.write_text("mine")
    else:
        os.mkfifo(target)

    with pytest.raises(OutputError, match="a file lies where a folder is written") as caught:
        check_replaceable(target)
    with pytest.raises(OutputError, match="a file lies where a folder is written"):
        replace_folder(staged, target)

    assert caught.value.where == str(target)
    assert target.is_fifo() if kind == "pipe" else target.read_text() == "mine"
    assert (staged / "lists").read_text() == "new"


def test_a_folder_is_replaced_and_its_old_content_is_gone(tmp_path: Path) -> None:
    staged, target = tmp_path / "staged", tmp_path / "date=2026-03-02"
    for folder, text in ((staged, "new"), (target, "old")):
        folder.mkdir()
        (folder / "lists").write_text(text)
    replace_folder(staged, target)
    assert (target / "lists").read_text() == "new" and list(tmp_path.iterdir()) == [target]

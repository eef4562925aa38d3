"""Reading a folder that another run replaces meanwhile."""

from pathlib import Path

from recsys_cli.utils.storage.folder_exchange import replace_folder
from recsys_cli.utils.storage.steady_reads import read_steadily


def made(folder: Path, text: str) -> Path:
    folder.mkdir()
    for name in ("file", "manifest"):
        (folder / name).write_text(text)
    return folder


def test_what_is_read_belongs_together(tmp_path: Path) -> None:
    folder = made(tmp_path / "date=1", "old")
    replacements = [made(tmp_path / name, name) for name in ("first", "second")]

    def read() -> tuple[str, str]:
        file = (folder / "file").read_text()
        if replacements:
            replace_folder(replacements.pop(0), folder)
        return file, (folder / "manifest").read_text()

    assert read_steadily(folder, read) == ("second", "second")


def test_a_folder_that_comes_meanwhile_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "date=1"
    seen: list[bool] = []

    def read() -> bool:
        seen.append(folder.exists())
        if len(seen) == 1:
            made(folder, "new")
        return seen[-1]

    assert read_steadily(folder, read)


def test_a_folder_that_is_replaced_for_ever_ends_the_reading(tmp_path: Path) -> None:
    folder = made(tmp_path / "date=1", "old")
    reads: list[int] = []

    def read() -> int:
        reads.append(1)
        replace_folder(made(tmp_path / "staged", "new"), folder)
        return len(reads)

    assert read_steadily(folder, read) == 5

"""The one door to what is read: regular files of bounded size; everything else is told at once."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from recsys_cli.utils.storage.hashing import sha256_of
from recsys_cli.utils.storage.npy_files import open_array
from recsys_cli.utils.storage.regular_files import (
    IrregularFileError,
    is_regular,
    open_regular,
    read_regular,
    require_regular,
)

Reader = Callable[[Path], object]
READERS: dict[str, Reader] = {
    "read": lambda file: read_regular(file, 100),
    "open": lambda file: open_regular(file).close(),
    "require": require_regular,
    "hash": sha256_of,
    "array": lambda file: open_array(file, [], 1),
}


def pipe(file: Path) -> None:
    os.mkfifo(file)


def bound_socket(file: Path) -> None:
    here = Path.cwd()
    os.chdir(file.parent)  # its name may have 108 characters
    try:
        with socket.socket(socket.AF_UNIX) as one:
            one.bind(file.name)
    finally:
        os.chdir(here)


SPECIAL = {
    "a pipe (FIFO)": pipe,
    "a socket": bound_socket,
    "a device": lambda file: file.symlink_to("/dev/zero"),
    "a folder": lambda file: file.mkdir(),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", SPECIAL)
def test_what_is_no_file_is_told_and_not_waited_for(tmp_path: Path, kind: str, reader: str) -> None:
    SPECIAL[kind](tmp_path / "file")
    with pytest.raises(IrregularFileError) as caught:
        READERS[reader](tmp_path / "file")
    assert str(caught.value) == f"it is {kind}, not a regular file"
    assert caught.value.filename == str(tmp_path / "file") and not is_regular(tmp_path / "file")


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("to", ["nowhere", "file"])
def test_links_that_end_nowhere_are_errors_of_the_system(tmp_path: Path, to: str, reader: str) -> None:
    (tmp_path / "file").symlink_to(tmp_path / to)
    with pytest.raises(OSError, match="No such file|Too many levels"):
        READERS[reader](tmp_path / "file")
    assert not is_regular(tmp_path / "file")


def test_a_link_to_a_file_is_followed(tmp_path: Path) -> None:
    (tmp_path / "held").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("held")
    assert read_regular(tmp_path / "link", 3) == b"abc" and is_regular(tmp_path / "link")


def test_a_file_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abcd")
    assert read_regular(tmp_path / "file", 4) == b"abcd"
    with pytest.raises(IrregularFileError, match="4 bytes or more; at most 3 are read"):
        read_regular(tmp_path / "file", 3)


@pytest.mark.parametrize("reader", ["read", "open", "hash", "array"])
def test_a_giant_of_holes_is_refused_at_once(tmp_path: Path, reader: str) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(IrregularFileError, match="1,099,511,627,776 bytes"):
        READERS[reader](tmp_path / "file")


def test_a_file_with_some_holes_is_read(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.truncate(2**20)
        file.seek(2**21)
        file.write(b"end")
    assert len(read_regular(tmp_path / "file", 2**22)) == 2**21 + 3

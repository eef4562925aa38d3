"""A disk that takes no more: played by the largest file that the system lets the process write."""

import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from recsys_cli.utils.errors import ExitCode

DAY = "2026-03-02"


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one page, all of it free."""
    folder = tmp_path / "disk"
    folder.mkdir()
    size = f"size={os.sysconf('SC_PAGESIZE')}"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=False)
    if mounted.returncode:
        pytest.skip("needs root, and a system that lets it mount a disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize(
    ("command", "size", "what", "where"),
    [
        (("features",), 2_000, "features cannot be written: File too large", "/users.parquet\n"),
        (("score", "--plan"), 5_000, "cannot be written: File too large", f"/date={DAY}.parquet\n"),
        (("train",), 100_000, "cannot be written: File too large", ".parquet\n"),
    ],
    ids=["features", "score", "train"],
)
def test_what_a_library_cannot_write_is_an_output_error(
    workspace: Path,
    refused: Callable[..., str],
    command: tuple[str, ...],
    size: int,
    what: str,
    where: str,
) -> None:
    if command == ("features",):
        shutil.rmtree(workspace / "features")
    with largest_file(size):
        message = refused(ExitCode.OUTPUT, *command, "--date", DAY)
    assert what in message and where in message and "the free space" in message


def test_a_disk_without_room_is_told_before_users_are_ranked(
    refused: Callable[..., str], small_disk: Path
) -> None:
    options = ("--set", f"output.recommendations={small_disk}/lists", "score", "--date", DAY)
    message = refused(ExitCode.OUTPUT, *options, "--top-k", "40")
    assert "2,320 recommendations take 0.0 MB at the very least" in message
    assert f"where: {small_disk}\n  fix: make room there" in message
    assert not list(small_disk.iterdir())

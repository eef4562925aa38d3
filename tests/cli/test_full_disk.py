"""A disk that takes no more: played by the largest file that the system lets the process write."""

import resource
import shutil
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


@pytest.mark.parametrize(
    ("command", "size", "what", "where"),
    [
        (("features",), 2_000, "features cannot be written: File too large", "/users.parquet\n"),
        (("score", "--plan"), 5_000, "cannot be written: File too large", f"/date={DAY}.parquet\n"),
        (("train",), 100_000, "error: File too large", "/model.json\n"),
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

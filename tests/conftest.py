"""The real program, as a user's shell would run it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import polars as pl
import pytest
from hypothesis import settings

NOBODY = 65534

# Two threads of OpenBLAS that wait for a core which another program has are many times slower than one.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # read when numpy is first imported

# A shell's background job ignores SIGINT, and so would the programs that the tests start, and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("patient", deadline=None)  # two files are tested at a time, on whatever machine
settings.load_profile("patient")


@pytest.fixture
def recsys(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run recsys with these arguments, by default in `tmp_path`, without the caller's own RECSYS_*."""

    def run(
        *args: str | Path, cwd: Path = tmp_path, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("RECSYS_", "_RECSYS"))
        }
        return subprocess.run(
            [sys.executable, "-m", "recsys_cli", *map(str, args)],
            cwd=cwd,
            env=clean | dict(env or {}),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=300,
            check=False,
        )

    return run


@pytest.fixture
def without_rights() -> Callable[[], AbstractContextManager[None]]:
    """Be nobody for a block, where the tests run as root: nothing is read-only to root."""

    @contextmanager
    def block() -> Iterator[None]:
        root = os.geteuid() == 0
        if root:
            os.setresuid(NOBODY, NOBODY, 0)
        try:
            yield
        finally:
            if root:
                os.setresuid(0, 0, 0)

    return block


@pytest.fixture(scope="session")
def retail() -> Path:
    """The folder of a year of a shop's purchases: interactions, users and items (tests/data/README.md)."""
    return Path(__file__).parent / "data" / "online-retail-2009"


@pytest.fixture(scope="session")
def retail_sample(retail: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same of every fifth customer, whole histories; items with the words of their titles and a range."""
    folder = tmp_path_factory.mktemp("retail-sample")
    for name in ("interactions", "users"):
        pl.read_parquet(retail / f"{name}.parquet").filter(pl.col("user_id") % 5 == 0).write_parquet(
            folder / f"{name}.parquet"
        )
    pl.read_parquet(retail / "items.parquet").with_columns(
        words=pl.col("title").str.split(" "), range=pl.col("item_id").str.head(2)
    ).write_parquet(folder / "items.parquet")
    return folder


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """A folder of more real data sets beside the checkout; their licences keep them out of the repository."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"this data set may not be passed on, and is not beside the checkout: {folder}")
    return folder

"""Peak memory of reading events into the tables, against the size of the tables themselves.

Usage: python -m tests.benchmarks.input_memory [--parquet 50000000] [--postgresql 10000000]
Each is read by a process of its own. The peak is that of the whole process, less what it had after a first
small read.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from recsys_cli.__main__ import ENVIRONMENT

MOST = 1.5  # times the tables' own size
_PART = 1_000_000
_USERS, _ITEMS = 2_000_000, 50_000
_DAY = date(2026, 7, 1)


def main() -> None:
    """Measure what is asked for, and fail where it is above the bound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parquet", type=int, default=50_000_000, help="events in a folder of parquet")
    parser.add_argument("--postgresql", type=int, default=10_000_000, help="events in PostgreSQL")
    parser.add_argument("--read", help="internal: read what this JSON names")
    asked = parser.parse_args()
    if asked.read:
        print(json.dumps(measured(json.loads(asked.read))))
        return
    os.environ.update(ENVIRONMENT)  # the readers get it from their start on, like those of the program
    results = []
    with TemporaryDirectory(prefix="recsys-memory-") as made:
        folder = Path(made)
        if asked.parquet:
            write_parts(folder / "events", asked.parquet)
            results.append(_in_process(f"parquet, {asked.parquet:,}", folder, {"path": "events"}))
        if asked.postgresql:
            write_parts(folder / "small", asked.postgresql)
            with _postgresql(folder / "small") as table:
                results.append(_in_process(f"PostgreSQL, {asked.postgresql:,}", folder, table))
    sys.exit(any(ratio > MOST for ratio in results))


def write_parts(folder: Path, count: int) -> None:
    """Write random events: integer ids, popular items, a year of times, weights."""
    folder.mkdir()
    users, items = min(_USERS, count // 25), min(_ITEMS, count // 100)
    for number, start in enumerate(range(0, count, _PART)):
        rng, size = np.random.default_rng(number), min(_PART, count - start)
        seconds = rng.integers(0, 365 * 86_400, size)
        pl.DataFrame(
            {
                "user_id": rng.integers(0, users, size) * 7 + 10**9,
                "item_id": (items * rng.random(size) ** 2).astype(np.int64) + 10**6,
                "timestamp": np.datetime64("2025-07-01T00:00:00", "us") + seconds.astype("timedelta64[s]"),
                "weight": rng.random(size) + 0.5,
            }
        ).write_parquet(folder / f"part-{number:03}.parquet")


@contextmanager
def _postgresql(folder: Path) -> Iterator[dict[str, str]]:
    """Yield the settings of the same events in PostgreSQL."""
    from adbc_driver_postgresql import dbapi

    from tests.database_servers import postgresql

    with postgresql([]) as server:
        with dbapi.connect(server.connection, autocommit=True) as connection, connection.cursor() as cursor:
            for file in sorted(folder.glob("*.parquet")):
                cursor.adbc_ingest("events", pl.read_parquet(file).to_arrow(), mode="create_append")
        yield {
            "connection": server.connection,
            "query": "SELECT * FROM events WHERE timestamp < {date}",
        }


def _in_process(name: str, folder: Path, table: dict[str, str]) -> float:
    asked = json.dumps({"folder": str(folder), "table": table})
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.input_memory", "--read", asked],
        stdout=subprocess.PIPE,
        check=True,
    )
    found = json.loads(done.stdout)
    ratio: float = found["peak"] / found["tables"]
    print(
        f"{name}: tables {found['tables'] / 1e6:,.0f} MB, peak {found['peak'] / 1e6:,.0f} MB above the "
        f"start, {ratio:.2f} times; {time.perf_counter() - began:.0f} s",
        flush=True,
    )
    return ratio


def measured(asked: dict[str, Any]) -> dict[str, int]:
    """Read the tables; return their size and the peak above that of a small read, in bytes."""
    from recsys_cli.configs.data_sections import DataSettings
    from recsys_cli.data_preparation.readers.remote_copies import InputFolder
    from recsys_cli.data_preparation.tables.contract import read_tables

    folder = Path(str(asked["folder"]))
    with TemporaryDirectory() as warm:
        small = pl.DataFrame({"user_id": [1], "item_id": [2], "timestamp": [datetime(2026, 1, 1)]})
        small.write_parquet(Path(warm) / "one.parquet")
        one = DataSettings.model_validate({"interactions": {"path": "one.parquet"}})
        read_tables(one, InputFolder(Path(warm)), _DAY, "UTC")
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here
    events = {**asked["table"], "columns": {"weight": "weight"}}
    data = DataSettings.model_validate({"interactions": events})
    tables = read_tables(data, InputFolder(folder), _DAY, "UTC")
    size = sum(frame.estimated_size() for frame in (tables.events, tables.users, tables.items))
    return {"tables": size, "peak": _status("VmHWM") - before, "events": len(tables.events)}


def _status(name: str) -> int:
    """Return a figure of the process's memory in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()

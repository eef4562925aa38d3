"""The physical floor of scoring: what no design saves, on the trained vectors and trees themselves.

    python -m tests.benchmarks.floor WORKSPACE VERSION DAY

Prints one JSON object. A process of its own: the peak memory of a process counts what its parent had.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from recsys_cli.models.reranking.ranker import Ranker
from recsys_cli.models.versions.bundle import read_bundle

USERS, CANDIDATES, K = 20_000, 100, 10
BLOCK = 1_024


def floor_seconds(root: Path, version: str, day: str) -> dict[str, Any]:
    """Return, per user, the bare product with all items, CatBoost's predict on ready columns, the write."""
    model = read_bundle(root / "models" / version).model
    lightfm, ranker = model.stage.fits["lightfm"], model.ranker
    assert lightfm is not None
    items = len(pl.read_parquet(root / f"features/date={day}/items.parquet", columns=["item_id"]))
    rng = np.random.default_rng(1)
    product = timed(product_of(rng, lightfm.users.vectors.shape[1] + 1, items))
    ready = ready_columns(rng, ranker)
    predict = timed(lambda: ranker.model.predict(ready, thread_count=2)) * USERS / BLOCK
    top = recommendations(rng, items)
    with TemporaryDirectory() as folder:
        write = timed(lambda: top.write_parquet(Path(folder) / "top.parquet"))
    parts = {"product": product, "predict": predict, "write": write}
    told = {f"{name}_us": round(seconds * 1e6 / USERS, 2) for name, seconds in parts.items()}
    whole = round(sum(parts.values()) * 1e6 / USERS, 2)
    return told | {"us_per_user": whole, "columns": len(ranker.columns)}


def product_of(rng: np.random.Generator, dimension: int, items: int) -> Callable[[], object]:
    """Return what multiplies all users with all items, block by block."""
    users = rng.normal(size=(USERS, dimension)).astype(np.float32)
    base = rng.normal(size=(dimension, items)).astype(np.float32)
    return lambda: [users[start : start + BLOCK] @ base for start in range(0, USERS, BLOCK)]


def ready_columns(rng: np.random.Generator, ranker: Ranker) -> pl.DataFrame:
    """Return the ranker's frame of a block of users."""
    columns = rng.normal(size=(len(ranker.columns), BLOCK * CANDIDATES)).astype(np.float32)
    frame = pl.DataFrame(dict(zip(ranker.columns, columns, strict=True)))
    return frame.with_columns(pl.lit(1, dtype=pl.Int32).alias(name) for name in ranker.categories)


def recommendations(rng: np.random.Generator, items: int) -> pl.DataFrame:
    """Return lists as they are published."""
    return pl.DataFrame(
        {
            "user_id": np.repeat(np.arange(USERS), K),
            "item_id": rng.integers(0, items, USERS * K),
            "rank": np.tile(np.arange(K, dtype=np.uint16), USERS),
            "score": rng.random(USERS * K).astype(np.float32),
            "sources": ["lightfm"] * (USERS * K),
        }
    )


def timed(work: Any) -> float:
    """Return the seconds of the quickest of three runs."""
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


if __name__ == "__main__":
    print(json.dumps(floor_seconds(Path(sys.argv[1]), *sys.argv[2:])))

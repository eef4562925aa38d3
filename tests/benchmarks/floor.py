"""The physical floor of scoring: what no design saves, on the trained vectors and trees themselves."""

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from recsys_cli.models.bundle import read_bundle

USERS, CANDIDATES, K = 20_000, 100, 10
BLOCK = 1_024


def floor_seconds(root: Path, version: str, day: str) -> dict[str, Any]:
    """Return, per user, the bare product with all items, CatBoost's predict on ready columns and the write."""
    model = read_bundle(root / "models" / version).model
    lightfm, ranker = model.stage.lightfm, model.ranker
    assert lightfm is not None
    items = len(pl.read_parquet(root / f"features/date={day}/items.parquet", columns=["item_id"]))
    rng = np.random.default_rng(1)
    dimension = lightfm.users.vectors.shape[1] + 1
    users = rng.normal(size=(USERS, dimension)).astype(np.float32)
    base = rng.normal(size=(dimension, items)).astype(np.float32)
    product = timed(lambda: [users[start : start + BLOCK] @ base for start in range(0, USERS, BLOCK)])
    columns = rng.normal(size=(BLOCK * CANDIDATES, len(ranker.columns))).astype(np.float32)
    ready = pl.DataFrame(dict(zip(ranker.columns, columns.T, strict=True))).with_columns(
        pl.lit(1, dtype=pl.Int32).alias(name) for name in ranker.categories
    )
    predict = timed(lambda: ranker.model.predict(ready, thread_count=2)) * USERS / BLOCK
    top = recommendations(rng, items)
    with TemporaryDirectory() as folder:
        write = timed(lambda: top.write_parquet(Path(folder) / "top.parquet"))
    parts = {"product": product, "predict": predict, "write": write}
    told = {f"{name}_us": round(seconds * 1e6 / USERS, 2) for name, seconds in parts.items()}
    whole = round(sum(parts.values()) * 1e6 / USERS, 2)
    return told | {"us_per_user": whole, "columns": len(ranker.columns)}


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

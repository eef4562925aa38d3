"""The benchmarks' workspaces: made and trained once, kept in .bench."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

FOLDER = Path(".bench")
DAY = "2026-07-01"
LIGHT = {  # training effort alone: what is scored stays as big
    "candidates.lightfm.epochs": 2,
    "ranker.label_windows": 2,
    "ranker.max_train_users": 20_000,
}
TREES = {"ranker.members": 1, "ranker.iterations": 300, "ranker.early_stopping_rounds": 300}
ALONE = {  # LightFM as the only source
    f"candidates.{name}.num_candidates": 0
    for name in (
        "bm25",
        "bm25_recent",
        "cosine",
        "cosine_recent",
        "ease",
        "ease_recent",
        "popular",
        "segment",
        "content",
    )
}
SETTINGS = {"same": LIGHT | TREES | ALONE, "default": LIGHT}


def run(root: Path, *args: str) -> tuple[float, float]:
    """Run recsys as a process in a workspace; return its seconds and its peak memory in GB."""
    command = [sys.executable, "-m", "recsys_cli", "-q", "-C", str(root), *args]
    started = time.perf_counter()
    with subprocess.Popen(command) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(process.returncode)
    return time.perf_counter() - started, usage.ru_maxrss / 1e6


@dataclass(frozen=True)
class Bench:
    """A workspace of demo data with the features of the day."""

    root: Path

    @classmethod
    def open(cls, folder: Path, users: int, items: int, events_per_user: float = 5.7) -> "Bench":
        """Return the workspace of this size, made if it is not there."""
        root = folder / f"{users}x{items}"
        if not (root / "settings").exists():
            sizes = {"users": users, "items": items, "events-per-user": events_per_user}
            made = [word for name, size in sizes.items() for word in (f"--{name}", str(size))]
            folder.mkdir(exist_ok=True)
            run(root, "init", str(root), "--preset", "demo", *made)
        return cls(root)

    def version(self, name: str) -> str:
        """Return the model of these settings, trained if it is not there."""
        noted = self.root / f"{name}.version"
        if not noted.exists():
            sets = [part for key, value in SETTINGS[name].items() for part in ("--set", f"{key}={value}")]
            run(self.root, "train", "--date", DAY, "--no-promote", *sets)
            newest = max(
                (self.root / "models").glob("*/manifest.json"), key=lambda path: path.stat().st_mtime
            )
            noted.write_text(newest.parent.name)
        return noted.read_text()

    def score(self, name: str, settings: Mapping[str, object] | None = None) -> dict[str, Any]:
        """Score everybody in a process of its own, with the features written before."""
        sets = [part for key, value in (settings or {}).items() for part in ("--set", f"{key}={value}")]
        run(self.root, "models", "promote", self.version(name), "--force")
        run(self.root, "features", "--date", DAY)
        seconds, peak = run(self.root, "score", "--date", DAY, "--force", *sets)
        manifest = json.loads((self.root / f"recommendations/date={DAY}/manifest.json").read_text())
        record = json.loads((self.root / "runs" / manifest["run_id"] / "run.json").read_text())
        return {
            "users": manifest["users"],
            "candidates_per_user": round(manifest["candidates"] / manifest["users"], 1),
            "seconds": round(seconds, 2),
            "users_per_s": round(manifest["users"] / seconds),
            "peak_rss_gb": round(peak, 3),
            "index_recall": manifest.get("index_recall"),
            "stages": {stage["name"]: stage["seconds"] for stage in record["stages"]},
        }


def peer_tables(root: Path) -> list[Path]:
    """Write the events that recsys reads, and its numeric feature columns; return the files."""
    features = root / "features" / f"date={DAY}"
    if not features.exists():
        run(root, "features", "--date", DAY)
    events = pl.read_parquet(root / "data/interactions.parquet").filter(pl.col("total_dur") > 300)
    tables = {"events": events.select("user_id", "item_id", "timestamp").sort("timestamp")}
    for name in ("users", "items"):
        table = pl.read_parquet(features / f"{name}.parquet")
        tables[name] = table.select(key for key, kind in table.schema.items() if kind.is_numeric())
    for name, table in tables.items():
        table.write_parquet(root / f"peer_{name}.parquet")
    return [root / f"peer_{name}.parquet" for name in tables]

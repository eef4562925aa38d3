"""`make bench`: users a second and peak memory of `recsys score`, the peer and the floor, in one run.

    python -m tests.benchmarks [--users 50000 500000] [--items 15706] [--peer PYTHON] [--without-peer]

Demo data shaped like KION (15,706 items, 5.7 events a user). "Same work": LightFM alone, dimension 64, 100
candidates a user, 300 trees of depth 6, the same ready columns on both sides. The peer is RecTools' two-stage
model, at the smaller size (its rate does not rise with users); the floor is the bare product of users and
items, CatBoost's predict on ready columns and the parquet write. "Default": all sources with their defaults,
against the peer given four sources. Whole processes, alternating. Writes .bench/result.json;
`python -m tests.benchmarks.picture` draws the README's picture from it.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.workspaces import DAY, FOLDER, Bench, peer_tables

PEER_PACKAGES = ("rectools[lightfm,catboost]", "pyarrow<22")


def peer_python(given: str | None) -> str:
    """Return a Python with the peer, by default of an environment that is made once."""
    if given:
        return given
    python = FOLDER / "peer" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(FOLDER / "peer")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PEER_PACKAGES], check=True)
    return str(python)


def run_peer(python: str, bench: Bench, sources: list[str]) -> dict[str, Any]:
    """Return what the peer tells of itself, trained and timed on a workspace's data."""
    tables = peer_tables(bench.root)
    program = Path(__file__).with_name("peer.py")
    told = subprocess.run(
        [python, str(program), *map(str, tables), str(bench.root / "peer.parquet"), "--sources", *sources],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )
    return dict(json.loads(told.stdout.splitlines()[-1]))


def run_floor(bench: Bench) -> dict[str, Any]:
    """Return the floor of a workspace's "same work"."""
    words = ["tests.benchmarks.floor", str(bench.root), bench.version("same"), DAY]
    told = subprocess.run([sys.executable, "-m", *words], check=True, capture_output=True, text=True)
    return dict(json.loads(told.stdout))


def main() -> None:
    """Measure, print a table and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, nargs=2, default=[50_000, 500_000])
    parser.add_argument("--items", type=int, default=15_706)
    parser.add_argument("--peer", help="a Python with rectools[lightfm,catboost]; default: one is made")
    parser.add_argument("--without-peer", action="store_true")
    args = parser.parse_args()
    small, large = (Bench.open(FOLDER.absolute(), users, args.items) for users in args.users)
    rows: dict[str, dict[str, Any]] = {}

    def note(name: str, told: dict[str, Any]) -> None:
        rows[name] = told
        print(f"{name:36s} {json.dumps(told)}", flush=True)

    python = None if args.without_peer else peer_python(args.peer)
    started = time.perf_counter()
    if python:
        half = Bench.open(FOLDER.absolute(), args.users[0] // 2, args.items)
        note("peer, LightFM, half the users", run_peer(python, half, ["lightfm"]))
        note("peer, LightFM", run_peer(python, small, ["lightfm"]))
    note("recsys, same work", large.score("same"))
    note("recsys, same work, fewer users", small.score("same"))
    note("floor", run_floor(large))
    if python:
        note("peer, four sources", run_peer(python, small, ["lightfm", "popular", "bm25", "als"]))
    note("recsys, default", small.score("default"))
    result = {"schema_version": 2, "rows": rows, **ratios(rows)}
    (FOLDER / "result.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(ratios(rows), indent=2), f"\nmeasured in {time.perf_counter() - started:.0f} s")


def ratios(rows: dict[str, dict[str, Any]]) -> dict[str, float]:
    """Return the figures to watch."""
    same, floor = rows["recsys, same work"], rows["floor"]
    told = {
        "ratio_to_floor": same["stages"]["rank"] + same["stages"]["write"],
        "peak_rss_gb": same["peak_rss_gb"],
        "ratio_peak_memory": same["peak_rss_gb"] / rows["recsys, same work, fewer users"]["peak_rss_gb"],
    }
    told["ratio_to_floor"] /= same["users"] * floor["us_per_user"] / 1e6
    for name, ours, peer in (
        ("ratio_to_peer", "recsys, same work", "peer, LightFM"),
        ("ratio_to_peer_default", "recsys, default", "peer, four sources"),
    ):
        if peer in rows:
            told[name] = rows[ours]["users_per_s"] / rows[peer]["users_per_s"]
    return {name: round(value, 3) for name, value in told.items()}


if __name__ == "__main__":
    main()

"""`make bench`: users a second and peak memory of `recsys score`, whole processes, at two sizes of demo data.

    python -m tests.benchmarks [--users 50000 500000] [--items 15000]

Memory must not grow with the users: the ratio of the peaks is the figure to watch. Writes .bench/result.json.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

FOLDER = Path(".bench")
DAY = "2026-07-01"
TRAINING = (
    "candidates.lightfm.epochs=1",
    "ranker.label_windows=2",
    "ranker.max_train_users=5000",
    "ranker.iterations=300",
    "ranker.early_stopping_rounds=300",
)


def recsys(workspace: Path, *args: str) -> tuple[float, float]:
    """Run recsys as a process; return its seconds and its peak memory in GB."""
    command = [sys.executable, "-m", "recsys_cli", "-q", "-C", str(workspace), *args]
    started = time.perf_counter()
    with subprocess.Popen(command) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(process.returncode)
    return time.perf_counter() - started, usage.ru_maxrss / 1e6


def measure(workspace: Path, users: int, items: int) -> dict[str, Any]:
    """Make demo data of this size, train lightly and score everybody."""
    recsys(
        workspace, "init", str(workspace), "--preset", "demo", "--users", str(users), "--items", str(items)
    )
    recsys(workspace, "train", "--date", DAY, *(part for pair in TRAINING for part in ("--set", pair)))
    recsys(workspace, "features", "--date", DAY)
    seconds, peak = recsys(workspace, "score", "--date", DAY)
    manifest = json.loads((workspace / f"recommendations/date={DAY}/manifest.json").read_text())
    record = json.loads((workspace / "runs" / manifest["run_id"] / "run.json").read_text())
    return {
        "users": manifest["users"],
        "items": items,
        "candidates_per_user": round(manifest["candidates"] / manifest["users"], 1),
        "seconds": round(seconds, 2),
        "users_per_s": round(manifest["users"] / seconds),
        "peak_rss_gb": round(peak, 3),
        "stages": {stage["name"]: stage["seconds"] for stage in record["stages"]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, nargs=2, default=[50_000, 500_000])
    parser.add_argument("--items", type=int, default=15_000)
    args = parser.parse_args()
    FOLDER.mkdir(exist_ok=True)
    results = []
    for users in args.users:
        with TemporaryDirectory(dir=FOLDER) as folder:
            results.append(measure(Path(folder).absolute(), users, args.items))
        row = results[-1]
        print(
            f"{row['users']:>9,} users  {row['seconds']:>7.1f} s  {row['users_per_s']:>7,} users/s  "
            f"{row['peak_rss_gb']:.2f} GB peak  {row['stages']}"
        )
    ratio = round(results[1]["peak_rss_gb"] / results[0]["peak_rss_gb"], 3)
    print(f"peak memory of the larger over the smaller: {ratio}")
    result = {"schema_version": 1, "sizes": results, "ratio_peak_memory": ratio}
    (FOLDER / "result.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()

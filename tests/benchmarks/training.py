"""A whole `recsys train` beside the libraries alone: LightFM's epochs and CatBoost's fits on the same rows.

    python -m tests.benchmarks.training [--shapes kion items] [--scale 0.01] [--folder .bench]

Shapes: the demo with KION's 962,179 users and 15,706 items; Complete Journey's purchases, which repeat; the
demo with 100,000 items and 200,000 users. Default settings, nothing kept of an earlier training. LightFM's
fits are those of the label windows and the final one, side by side as recsys has them; CatBoost's are those
of all members, up to the holdout and after it, without the making of Pools. Each program is a process of its
own, one after the other. Writes training.json into the folder, after quick trials training-SCALE.json.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from tests.benchmarks.workspaces import DAY, FOLDER, Bench, run

GROCERIES = Path(__file__).parents[3] / "shared/data/complete-journey"
LEAST_USERS = 300  # with fewer there is nothing to stop the ranker by
LAST_LINES = 20  # shown of a program that failed
HEADS = (
    ("shape", 17),
    ("recsys s", 9),
    ("peak GB", 8),
    ("LightFM s", 10),
    ("CatBoost s", 11),
    ("libraries s", 12),
    ("peak GB", 8),
    ("ratio", 6),
    ("silence s", 10),
)


@dataclass(frozen=True)
class Shape:
    """A workspace of a size, and how it is trained.

    Attributes:
        made: returns the workspace in a folder, for a share of the users; None where its data are not there.
    """

    made: Callable[[Path, float], Path | None]
    day: str
    settings: tuple[str, ...] = ()


def demo(users: int, items: int, folder: Path, scale: float) -> Path:
    """Return a workspace of demo data, made once."""
    return Bench.open(folder, max(LEAST_USERS, round(users * scale)), items).root


def groceries(folder: Path, scale: float) -> Path | None:
    """Return a workspace on Complete Journey's first users, made once; None where the data are not there."""
    root = folder / f"complete-journey-{scale:g}"
    if not GROCERIES.is_dir():
        return None
    if not (root / "settings").exists():
        (root / "tables").mkdir(parents=True, exist_ok=True)
        events = pl.scan_parquet(GROCERIES / "interactions.parquet")
        users = events.select(pl.col("user_id").unique().sort()).collect()["user_id"]
        some = users.head(max(LEAST_USERS, round(len(users) * scale)))
        for name in ("interactions", "users", "items"):
            table = pl.scan_parquet(GROCERIES / f"{name}.parquet")
            own = table if name == "items" else table.filter(pl.col("user_id").is_in(some.implode()))
            own.sink_parquet(root / f"tables/{name}.parquet")
        tables = [f"--{file.stem}={file}" for file in (root / "tables").iterdir()]
        run(root, "init", str(root), "--preset", "generic", *tables)
    return root


SHAPES = {
    "kion": Shape(partial(demo, 962_179, 15_706), DAY),
    "complete-journey": Shape(groceries, "2017-12-01", ("scoring.filter_viewed=false",)),
    "items": Shape(partial(demo, 200_000, 100_000), DAY),
}


@dataclass(frozen=True)
class Process:
    """What a process took.

    Attributes:
        silence: the longest time without a line of its messages, in seconds.
        broken_by: the line that ended it; empty: the end of the process.
    """

    seconds: float
    cpu_seconds: float
    peak_gb: float
    silence: float
    broken_by: str

    def told(self) -> dict[str, float]:
        """Return the figures that every process has."""
        figures = {"seconds": self.seconds, "cpu_seconds": self.cpu_seconds, "peak_rss_gb": self.peak_gb}
        return {name: round(value, 3) for name, value in figures.items()}


def watched(module: str, *args: str) -> Process:
    """Run a module as a process, and time the lines of its stderr as they come."""
    started = time.perf_counter()
    lines = [(0.0, "")]
    with subprocess.Popen(
        [sys.executable, "-m", module, *args], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        lines += [(time.perf_counter() - started, line.strip()) for line in process.stderr]
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - started
    if process.returncode:
        print(*(line for _, line in lines[-LAST_LINES:]), sep="\n", file=sys.stderr)
        sys.exit(process.returncode)
    lines.append((seconds, ""))
    silence, broken_by = max((lines[at][0] - lines[at - 1][0], lines[at][1]) for at in range(1, len(lines)))
    peak = usage.ru_maxrss * 1024 / 1e9
    return Process(seconds, usage.ru_utime + usage.ru_stime, peak, silence, broken_by)


def measured(shape: Shape, root: Path) -> dict[str, Any]:
    """Train a workspace, then have the libraries do their part of it alone."""
    with TemporaryDirectory(dir=root, prefix="training-") as scratch:
        settings = [*shape.settings, f"output.models={scratch}/models"]  # without cached fits
        ours = trained(root, shape.day, settings)
        watched("tests.benchmarks.libraries", "inputs", scratch, str(root), shape.day, *settings)
        lightfm, catboost = (alone(library, Path(scratch)) for library in ("lightfm", "catboost"))
    seconds = lightfm["seconds"] + catboost["seconds"]
    processes = lightfm["process"], catboost["process"]
    return {
        "recsys": ours,
        "lightfm": lightfm,
        "catboost": catboost,
        "libraries_seconds": round(seconds, 3),
        "libraries_peak_rss_gb": max(process["peak_rss_gb"] for process in processes),
        "ratio": round(ours["seconds"] / seconds, 3),
        "cpu_ratio": round(ours["cpu_seconds"] / sum(process["cpu_seconds"] for process in processes), 3),
    }


def trained(root: Path, day: str, settings: Sequence[str]) -> dict[str, Any]:
    """Return what `recsys train` took, and its stages."""
    before = set((root / "runs").glob("*/run.json"))
    sets = [word for one in settings for word in ("--set", one)]
    process = watched("recsys_cli", "-v", "-C", str(root), "train", "--date", day, "--no-promote", *sets)
    (file,) = set((root / "runs").glob("*/run.json")) - before
    record = json.loads(file.read_text(encoding="utf-8"))
    return {
        **process.told(),
        "longest_silence_s": round(process.silence, 2),
        "silence_broken_by": process.broken_by,
        "stages": {stage["name"]: round(stage["seconds"], 2) for stage in record["stages"]},
        "peak_gb_by_the_end": {one["name"]: round(one["peak_bytes"] / 1e9, 3) for one in record["stages"]},
    }


def compile_loops(folder: Path) -> None:
    """Train a small demo: after a change of the code numba compiles, and keeps the result."""
    root = Bench.open(folder, LEAST_USERS, LEAST_USERS).root
    with TemporaryDirectory(dir=root, prefix="training-") as models:
        trained(root, DAY, [f"output.models={models}"])


def alone(library: str, folder: Path) -> dict[str, Any]:
    """Return what a library took alone: its own seconds, and what its process had."""
    process = watched("tests.benchmarks.libraries", library, str(folder))
    told = json.loads((folder / f"{library}.seconds.json").read_text(encoding="utf-8"))
    return {**told, "process": process.told()}


def row(name: str, told: dict[str, Any]) -> str:
    """Return a shape's line of the table."""
    ours = told["recsys"]
    values = (
        f"{ours['seconds']:.1f}",
        f"{ours['peak_rss_gb']:.2f}",
        f"{told['lightfm']['seconds']:.1f}",
        f"{told['catboost']['seconds']:.1f}",
        f"{told['libraries_seconds']:.1f}",
        f"{told['libraries_peak_rss_gb']:.2f}",
        f"{told['ratio']:.2f}",
        f"{ours['longest_silence_s']:.1f}",
    )
    return line((name, *values))


def line(cells: Sequence[str]) -> str:
    """Return cells in the table's widths."""
    (_, first), *others = HEADS
    return f"{cells[0]:{first}}" + "".join(
        f"{cell:>{width}}" for cell, (_, width) in zip(cells[1:], others, strict=True)
    )


def main() -> None:
    """Measure the shapes, print a table and write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=list(SHAPES))
    parser.add_argument("--scale", type=float, default=1.0, help="share of the users; default: all")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    args = parser.parse_args()
    folder, scale = args.folder.absolute(), args.scale
    compile_loops(folder)
    file = folder / ("training.json" if scale == 1 else f"training-{scale:g}.json")
    rows: dict[str, dict[str, Any]] = {}
    print(line([head for head, _ in HEADS]), flush=True)
    for name in args.shapes:
        root = SHAPES[name].made(folder, scale)
        if root is None:
            print(f"{name} is left out: there is no {GROCERIES}", flush=True)
            continue
        rows[name] = measured(SHAPES[name], root)
        file.write_text(json.dumps({"schema_version": 1, "scale": scale, "rows": rows}, indent=2) + "\n")
        print(row(name, rows[name]), flush=True)


if __name__ == "__main__":
    main()

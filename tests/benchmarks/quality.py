"""The guide's table of quality: recsys beside other libraries on what real users did next.

    python -m tests.benchmarks.quality [--data FOLDER] [--date DATE] [--days DAYS] [--seeds SEEDS]

FOLDER has interactions.parquet, users.parquet and items.parquet; by default those of tests/data. All are
trained on the events before DATE and evaluated on the DAYS from it on, by RecTools' metrics, once for items
that are new to the user and once with repeats. The other libraries get an environment of their own in .bench.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Final

from tests.benchmarks.workspaces import FOLDER

SAMPLE: Final = Path(__file__).parents[1] / "data" / "online-retail-2009"
PEERS: Final = ("rectools[lightfm,catboost]==0.19.0", "pyarrow<22")
MODES: Final = {"new": "new items", "repeats": "repeats allowed"}
MEASURES: Final = ("NDCG@10", "MAP@10")
Measures = Mapping[str, Mapping[str, float]]  # of each model


def peers_python(folder: Path) -> Path:
    """Return the Python of the other libraries' environment, made if it is not there."""
    python = folder / "bin" / "python"
    complete = folder / "complete"
    if not complete.exists():
        print(f"installing {', '.join(PEERS)} into {folder} …", file=sys.stderr)
        venv.create(folder, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS], check=True)
        complete.touch()
    return python


def our_lists(data: Path, date: str, mode: str, seed: int, root: Path) -> Path:
    """Train and score in a new workspace with the built-in settings; return the published file."""
    tables = [f"--{name}={data.absolute() / name}.parquet" for name in ("interactions", "users", "items")]
    options = [f"scoring.filter_viewed={str(mode == 'new').lower()}"]
    options += [f"{key}.random_state={seed}" for key in ("candidates.lightfm", "ranker")]
    sets = [word for option in options for word in ("--set", option)]
    _recsys("init", root, "--preset", "generic", *tables)
    _recsys("-C", root, *sets, "train", "--date", date, "--no-promote", allowed=(0, 1))
    (version,) = (path.parent.name for path in (root / "models").glob("*/manifest.json"))
    _recsys("-C", root, "models", "promote", version, "--force")
    _recsys("-C", root, *sets, "score", "--date", date)
    return root / f"recommendations/date={date}/recommendations.parquet"


def _recsys(*args: str | Path, allowed: Sequence[int] = (0,)) -> None:
    done = subprocess.run([sys.executable, "-m", "recsys_cli", "-q", *map(str, args)], check=False)
    if done.returncode not in allowed:
        sys.exit(done.returncode)


def evaluated(python: Path, args: argparse.Namespace, mode: str) -> tuple[int, Measures, Measures]:
    """Return the users who evaluate, the measures of each of our seeds, and those of the other libraries."""
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for seed in range(42, 42 + args.seeds):
            lists = our_lists(args.data, args.date, mode, seed, Path(folder) / f"seed-{seed}")
            files.append(shutil.copy(lists, Path(folder) / f"{seed}.parquet"))
        program = Path(__file__).with_name("quality_peers.py")
        command = [python, program, args.data, args.date, str(args.days), mode, *files]
        told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return told["users"], told["lists"], told["peers"]


def table(results: Mapping[str, tuple[int, Measures, Measures]]) -> str:
    """Return the Markdown table: a row a model, the measures of both modes; the best of a column in bold."""
    rows = {
        "`recsys`, two stages": [_ours(ours, name) for _, ours, _ in results.values() for name in MEASURES]
    }
    for peer in next(iter(results.values()))[2]:
        rows[peer] = [f"{peers[peer][name]:.4f}" for _, _, peers in results.values() for name in MEASURES]
    best = [max(column, key=lambda cell: float(cell[:6])) for column in zip(*rows.values(), strict=True)]
    heads = [f"{MODES[mode]}, {users:,} users: {MEASURES[0]}" for mode, (users, _, _) in results.items()]
    lines = ["| | " + " | ".join(f"{head} | {MEASURES[1]}" for head in heads) + " |"]
    lines.append("|---" * (1 + len(best)) + "|")
    for model, cells in rows.items():
        bold = [f"**{cell}**" if cell == top else cell for cell, top in zip(cells, best, strict=True)]
        lines.append(f"| {model} | " + " | ".join(bold) + " |")
    return "\n".join(lines)


def _ours(seeds: Measures, name: str) -> str:
    values = [one[name] for one in seeds.values()]
    spread = f" ({min(values):.4f}–{max(values):.4f})" if len(values) > 1 else ""
    return f"{fmean(values):.4f}{spread}"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, default=SAMPLE)
    parser.add_argument("--date", default="2010-11-26")
    parser.add_argument("--days", type=int, default=14)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--mode", choices=list(MODES), action="append", help="default: both")
    args = parser.parse_args()
    python = peers_python(FOLDER.absolute() / "peers")
    results = {mode: evaluated(python, args, mode) for mode in args.mode or MODES}
    print(f"{args.data.name}, trained before {args.date}, evaluated on the {args.days} days from it on\n")
    print(table(results))


if __name__ == "__main__":
    main()

"""A Ray cluster of two nodes on this machine's two cores against the local engine, in one run.

    python -m tests.benchmarks.cluster [--users 200000] [--items 15706]

Default sources. Whole processes, alternating; then one run more in the midst of which a node is killed. All
files must be the same, byte for byte. What a core takes for a million users goes into README's cost model.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ray.cluster_utils import Cluster

from tests.benchmarks.workspaces import DAY, FOLDER, Bench, run

NODE = {"num_cpus": 1, "object_store_memory": 2**30}
ROUNDS = 2


@contextmanager
def two_nodes() -> Iterator[tuple[Cluster, object]]:
    """Yield a cluster of two nodes with a core each, and the one that no driver is at home on."""
    cluster = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    try:
        yield cluster, cluster.add_node(**NODE)
    finally:
        cluster.shutdown()


def lists(bench: Bench) -> bytes:
    return (bench.root / f"recommendations/date={DAY}/recommendations.parquet").read_bytes()


def score(bench: Bench, *options: str) -> float:
    """Score everybody; return the seconds of the process."""
    return run(bench.root, "score", "--date", DAY, "--force", *options)[0]


def lose_a_node(bench: Bench, cluster: Cluster, node: object) -> float:
    """Score everybody and kill a node once lists of some are ranked; return the seconds of the process."""
    command = [
        sys.executable,
        "-m",
        "recsys_cli",
        "-q",
        "-C",
        str(bench.root),
        "score",
        "--date",
        DAY,
        "--force",
    ]
    started = time.perf_counter()
    with subprocess.Popen([*command, "--engine", "ray", "--address", cluster.address]) as process:
        parts = bench.root / f".recommendations.staged/date={DAY}"
        while len(list(parts.glob("part-*.json"))) < 3:
            if process.poll() is not None:
                sys.exit("it ended before a node could be killed")
            time.sleep(0.01)
        cluster.remove_node(node, allow_graceful=False)
    if process.returncode:
        sys.exit(process.returncode)
    return time.perf_counter() - started


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=15_706)
    args = parser.parse_args()
    bench = Bench.open(FOLDER.absolute(), args.users, args.items)
    bench.score("default")
    seconds: dict[str, list[float]] = {"local": [], "ray": []}
    same = True
    with two_nodes() as (cluster, node):
        for _ in range(ROUNDS):
            seconds["local"].append(score(bench))
            here = lists(bench)
            seconds["ray"].append(score(bench, "--engine", "ray", "--address", cluster.address))
            same = same and lists(bench) == here
            print(json.dumps(seconds), flush=True)
        lost = lose_a_node(bench, cluster, node)
        same = same and lists(bench) == here
    ratio = min(seconds["ray"]) / min(seconds["local"])
    told = {
        "users": args.users,
        "ratio": round(ratio, 3),
        "seconds_a_node_lost": round(lost, 1),
        "same_bytes": same,
    }
    print(json.dumps(told))
    sys.exit(not same)


if __name__ == "__main__":
    main()

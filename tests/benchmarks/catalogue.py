"""A large catalogue: `recsys score` with every kind of `scoring.index`, in one run.

    python -m tests.benchmarks.catalogue [--users 20000] [--items 1000000] [--events-per-user 100]

LightFM of 64 dimensions as the only source, 100 candidates a user, 300 trees of depth 6. Whole processes
with start-up, loading and the making of the index. Recall is the run's own: against the exact lists of a
sample of users.
"""

import argparse
import json

from tests.benchmarks.workspaces import FOLDER, Bench


def main() -> None:
    """Measure and print a line a kind of index."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--events-per-user", type=float, default=100.0)
    args = parser.parse_args()
    bench = Bench.open(FOLDER.absolute(), args.users, args.items, args.events_per_user)
    exact = bench.score("same", {"scoring.index": "exact"})
    print(f"{'exact':6s} {json.dumps(exact)}", flush=True)
    for index in ("ivf", "hnsw"):
        told = bench.score("same", {"scoring.index": index})
        whole, ranking = exact["seconds"] / told["seconds"], exact["stages"]["rank"] / told["stages"]["rank"]
        print(f"{index:6s} {json.dumps(told)}", flush=True)
        print(f"       {whole:.2f} x exact as a process, {ranking:.2f} x in the ranking", flush=True)


if __name__ == "__main__":
    main()

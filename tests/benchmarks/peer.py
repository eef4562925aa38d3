"""The peer: RecTools' two-stage model on the same events, features and sizes; run by its own Python.

    PYTHON peer.py EVENTS USERS ITEMS OUT [--sources lightfm popular bm25 als] [--num-candidates 100] …

EVENTS: parquet with user_id, item_id, timestamp. USERS, ITEMS: parquet with the id and numeric columns.
Prints one JSON line. Only `recommend` and the parquet write are timed: imports, loading and training are a
gift to the peer. PYTHON's environment: rectools[lightfm,catboost].
"""

# pylint: disable=import-error, unused-argument  # the peer lives in an environment of its own

import argparse
import json
import resource
import time
import warnings

import pandas as pd
from catboost import CatBoostRanker
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender
from lightfm import LightFM
from rectools.dataset import Dataset
from rectools.model_selection import TimeRangeSplitter
from rectools.models import (
    ImplicitALSWrapperModel,
    ImplicitItemKNNWrapperModel,
    LightFMWrapperModel,
    PopularModel,
)
from rectools.models.ranking import (
    CandidateFeatureCollector,
    CandidateGenerator,
    CandidateRankingModel,
    CatBoostReranker,
    PerUserNegativeSampler,
)

THREADS = 2


class Columns(CandidateFeatureCollector):  # type: ignore[misc]
    """The ready feature columns of users and items."""

    def __init__(self, users: pd.DataFrame, items: pd.DataFrame) -> None:
        self.users, self.items = users, items

    def _get_user_features(self, users, dataset, fold_info):  # type: ignore[no-untyped-def]
        return self.users[self.users["user_id"].isin(users)]

    def _get_item_features(self, items, dataset, fold_info):  # type: ignore[no-untyped-def]
        return self.items[self.items["item_id"].isin(items)]


def source(name: str, args: argparse.Namespace) -> object:
    """Return a model of the peer's by its short name."""
    if name == "lightfm":
        factors = LightFM(no_components=args.no_components, loss="warp", random_state=1)
        return LightFMWrapperModel(
            factors, epochs=args.epochs, num_threads=THREADS, recommend_n_threads=THREADS
        )
    if name == "popular":
        return PopularModel()
    if name == "bm25":
        return ImplicitItemKNNWrapperModel(BM25Recommender(K=100, num_threads=THREADS))
    factors = AlternatingLeastSquares(
        factors=args.no_components, iterations=5, num_threads=THREADS, random_state=1
    )
    return ImplicitALSWrapperModel(factors, recommend_n_threads=THREADS)


def main() -> None:
    """Train, then time the recommendations of every user."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("events", "users", "items", "out"):
        parser.add_argument(name)
    parser.add_argument("--sources", nargs="+", default=["lightfm"])
    for name, value in (
        ("num-candidates", 100),
        ("k", 10),
        ("trees", 300),
        ("no-components", 64),
        ("epochs", 1),
    ):
        parser.add_argument(f"--{name}", type=int, default=value)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    events = pd.read_parquet(args.events).rename(columns={"timestamp": "datetime"}).assign(weight=1.0)
    dataset = Dataset.construct(events.drop_duplicates(["user_id", "item_id"], keep="last"))
    generators = [
        CandidateGenerator(source(name, args), args.num_candidates, keep_ranks=True, keep_scores=True)
        for name in args.sources
    ]
    trees = CatBoostRanker(
        iterations=args.trees,
        depth=6,
        loss_function="QuerySoftMax",
        thread_count=THREADS,
        verbose=0,
        allow_writing_files=False,
    )
    columns = Columns(pd.read_parquet(args.users), pd.read_parquet(args.items))
    model = CandidateRankingModel(
        generators,
        TimeRangeSplitter("14D", n_splits=1),
        CatBoostReranker(trees),
        sampler=PerUserNegativeSampler(n_negatives=3, random_state=1),
        feature_collector=columns,
    )
    model.fit(dataset)
    users = dataset.user_id_map.external_ids
    started = time.perf_counter()
    model.recommend(users, dataset, k=args.k, filter_viewed=True).to_parquet(args.out)
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    told = {"users": len(users), "seconds": round(seconds, 2), "users_per_s": round(len(users) / seconds)}
    print(json.dumps(told | {"peak_rss_gb": round(peak, 3), "columns": len(trees.feature_names_)}))


if __name__ == "__main__":
    main()

"""Other libraries' lists and ours by RecTools' metrics; run by `quality`, in an environment of its own.

    PYTHON quality_peers.py FOLDER DATE DAYS new|repeats LISTS.parquet …

Ground truth: the (user, item) pairs of the DAYS from DATE on, of users with an event before it; in the mode
`new` without pairs from before. A user without a list counts 0. Prints one JSON object.
"""

# pylint: disable=import-error  # these libraries live in an environment of their own

import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from catboost import CatBoostRanker
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender
from lightfm import LightFM
from rectools.dataset import Dataset
from rectools.metrics import MAP, NDCG
from rectools.model_selection import TimeRangeSplitter
from rectools.models import (
    EASEModel,
    ImplicitALSWrapperModel,
    ImplicitItemKNNWrapperModel,
    LightFMWrapperModel,
    PopularModel,
)
from rectools.models.ranking import (
    CandidateGenerator,
    CandidateRankingModel,
    CatBoostReranker,
    PerUserNegativeSampler,
)

K = 10
THREADS = 2
MOST_ITEMS_OF_EASE = 12_000
METRICS = {"NDCG@10": NDCG(K), "MAP@10": MAP(K)}


def popular(days: int | None = None) -> PopularModel:
    return PopularModel(period=None if days is None else pd.Timedelta(days=days))


def lightfm() -> LightFMWrapperModel:
    factors = LightFM(no_components=64, loss="warp", learning_rate=0.03, max_sampled=20, random_state=42)
    return LightFMWrapperModel(factors, epochs=30, num_threads=THREADS, recommend_n_threads=THREADS)


def two_stages(*, new_only: bool) -> CandidateRankingModel:
    sources = [popular(14), lightfm(), ImplicitItemKNNWrapperModel(BM25Recommender(K=200))]
    trees = CatBoostRanker(
        iterations=300, depth=6, thread_count=THREADS, random_seed=42, verbose=0, allow_writing_files=False
    )
    return CandidateRankingModel(
        [CandidateGenerator(one, num_candidates=100, keep_ranks=True, keep_scores=True) for one in sources],
        TimeRangeSplitter("14D", n_splits=1, filter_already_seen=new_only),
        CatBoostReranker(trees),
        sampler=PerUserNegativeSampler(n_negatives=20, random_state=42),
    )


def peers(items: int, *, new_only: bool) -> dict[str, Any]:
    """Return the models by the names of the table's rows."""
    als = AlternatingLeastSquares(factors=64, iterations=15, alpha=10, random_state=1, num_threads=THREADS)
    found = {
        "popular, all time": popular(),
        **{f"popular, {days} days": popular(days) for days in (7, 14, 30)},
        "item kNN, BM25 (implicit)": ImplicitItemKNNWrapperModel(BM25Recommender(K=200)),
        "item kNN, cosine (implicit)": ImplicitItemKNNWrapperModel(CosineRecommender(K=200)),
        "ALS (implicit)": ImplicitALSWrapperModel(als),
        "LightFM, WARP": lightfm(),
        "RecTools, two stages (popular, LightFM, BM25; CatBoost)": two_stages(new_only=new_only),
    }
    return found | ({"EASE (RecTools)": EASEModel(regularization=500)} if items <= MOST_ITEMS_OF_EASE else {})


def measures(lists: pd.DataFrame, truth: pd.DataFrame, users: np.ndarray) -> dict[str, float]:
    """Return the mean of each metric over the users."""
    return {
        name: float(metric.calc_per_user(lists, truth).reindex(users).fillna(0.0).mean())
        for name, metric in METRICS.items()
    }


def windows(folder: Path, date: str, days: int, *, new_only: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return user_id, item_id, weight, datetime of each pair before the date, and the ground truth."""
    columns = ["user_id", "item_id", "timestamp"]
    events = pd.read_parquet(folder / "interactions.parquet", columns=columns)
    start = pd.Timestamp(date)
    end = start + pd.Timedelta(days=days)
    before = events[events["timestamp"] < start]
    within = events[(events["timestamp"] >= start) & (events["timestamp"] < end)]
    known = before.groupby(["user_id", "item_id"], as_index=False).agg(
        weight=("timestamp", "size"), datetime=("timestamp", "max")
    )
    truth = within[within["user_id"].isin(known["user_id"])][["user_id", "item_id"]].drop_duplicates()
    if new_only:
        pairs = pd.MultiIndex.from_frame(known[["user_id", "item_id"]])
        truth = truth[~pd.MultiIndex.from_frame(truth).isin(pairs)]
    return known, truth


def main() -> None:
    """Print the measures of the files of lists and of the models."""
    warnings.filterwarnings("ignore")
    folder, date, days, mode, *files = sys.argv[1:]
    new_only = mode == "new"
    known, truth = windows(Path(folder), date, int(days), new_only=new_only)
    users, dataset = np.sort(truth["user_id"].unique()), Dataset.construct(known)
    ours = {file: pd.read_parquet(file, columns=["user_id", "item_id", "rank"]) for file in files}
    told: dict[str, Any] = {"users": len(users), "peers": {}}
    told["lists"] = {file: measures(lists, truth, users) for file, lists in ours.items()}
    for name, model in peers(known["item_id"].nunique(), new_only=new_only).items():
        started = time.perf_counter()
        model.fit(dataset)
        lists = model.recommend(users=users, dataset=dataset, k=K, filter_viewed=new_only)
        told["peers"][name] = measures(lists, truth, users)
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr)
    print(json.dumps(told))


if __name__ == "__main__":
    main()

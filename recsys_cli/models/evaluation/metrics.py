"""How good lists are: measures of a user's first k items against what the user did next.

Lists are frames `user, item, rank` (rank from 1, each user and item once); the ground truth is a frame of
distinct `user, item`, and `gain` where some count more than others. A user of the ground truth without a list
counts 0; one without ground truth does not count.
"""

import numpy as np
import polars as pl
from scipy import sparse

from recsys_cli.utils.columns import GAIN, ITEM, RANK, USER

MAP = "MAP"
NDCG = "NDCG"
RECALL = "Recall"
PRECISION = "Precision"
HIT_RATE = "HitRate"
MRR = "MRR"
_BLOCK = 16_384  # users whose lists' vectors are summed at a time
PER_USER = (MAP, NDCG, RECALL, PRECISION, HIT_RATE, MRR)
RECTOOLS_MAP, RECTOOLS_NDCG = "MAP of RecTools", "NDCG of RecTools"


def user_metrics(lists: pl.DataFrame, ground_truth: pl.DataFrame, k: int) -> pl.DataFrame:
    """Return one row per user of the ground truth, sorted: `user` and its measures at k, each f64 in [0, 1].

    With R the user's relevant items, and hits those among the first k places:

    - Precision: hits / k. Recall: hits / |R|. HitRate: 1 with a hit. MRR: 1 / place of the first hit.
    - MAP: mean over min(|R|, k) of the precision at each hit's place; as RecTools' default has it, over |R|.
    - NDCG: binary gain, or that of the ground truth's column `gain`; discount 1 / log2(place + 1), over the
      best that min(|R|, k) hits could give; as RecTools' default has it, binary, over what k hits would give.

    Source: Järvelin and Kekäläinen (2002), Cumulated gain-based evaluation of IR techniques, for NDCG;
    Manning, Raghavan and Schütze (2008), Introduction to Information Retrieval, chapter 8, for the others.
    """
    place = pl.col(RANK).cast(pl.Float64)
    found = pl.int_range(1, pl.len() + 1).over(USER)
    hits = lists.filter(pl.col(RANK) <= k).join(ground_truth, on=[USER, ITEM]).sort(USER, RANK)
    graded = GAIN in ground_truth.columns
    gained = (_discount(place) * (pl.col(GAIN) if graded else 1)).alias("gained")
    gains = (
        hits.select(
            USER, (1 / place).alias("first"), (found / place).alias("precisions"), _discount(place), gained
        )
        .group_by(USER, maintain_order=True)
        .agg(pl.len().alias("hits"), pl.col("first").max(), pl.col("precisions", "discount", "gained").sum())
    )
    ideal = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
    best = pl.col("best") if graded else pl.lit(ideal).gather(pl.col("reach") - 1)
    reachable = [_best_gain(k).alias("best")] if graded else []
    return (
        ground_truth.group_by(USER)
        .agg(pl.len().cast(pl.Int64).alias("relevant"), *reachable)
        .with_columns(pl.min_horizontal("relevant", pl.lit(k)).alias("reach"))
        .join(gains, on=USER, how="left", validate="1:1")
        .sort(USER)
        .with_columns(pl.col("hits", "first", "precisions", "discount", "gained").fill_null(0))
        .select(
            USER,
            (pl.col("precisions") / pl.col("reach")).alias(MAP),
            (pl.col("gained") / best).alias(NDCG),
            (pl.col("hits") / pl.col("relevant")).alias(RECALL),
            (pl.col("hits") / k).alias(PRECISION),
            (pl.col("hits") > 0).cast(pl.Float64).alias(HIT_RATE),
            pl.col("first").alias(MRR),
            (pl.col("precisions") / pl.col("relevant")).alias(RECTOOLS_MAP),
            (pl.col("discount") / ideal[-1]).alias(RECTOOLS_NDCG),
        )
    )


def catalogue_coverage(lists: pl.DataFrame, k: int, catalogue_size: int) -> float:
    """Return the share of the catalogue's items that are in the first k places of at least one list."""
    return lists.filter(pl.col(RANK) <= k)[ITEM].n_unique() / catalogue_size


def gini_of_exposure(lists: pl.DataFrame, k: int, catalogue_size: int) -> float:
    """Return how unequally the first k places go to the catalogue's items, in [0, 1].

    0: every item stands in as many lists; near 1: a few items have all places. Items in no list count, too; 0
    without any row.

    Args:
        catalogue_size: items that may be in a list.

    Source: Gini (1912); LensKit's ListGini.
    """
    counts = _lists_by_item(lists, k)
    rows, size = counts.sum(), max(catalogue_size, len(counts))
    if not rows:
        return 0.0
    places = np.arange(size - len(counts) + 1, size + 1)  # of the items by their lists, the fewest first
    return float(((2 * places - size - 1) * np.sort(counts)).sum() / (size * rows))


def top_item_share(lists: pl.DataFrame, k: int, users: int) -> float:
    """Return the share of the users who have the most frequent item among their first k places, in [0, 1]."""
    return int(_lists_by_item(lists, k).max(initial=0)) / users if users else 0.0


def mean_inv_user_freq(lists: pl.DataFrame, owners: pl.DataFrame, users: int, k: int) -> float:
    """Return the lists' novelty, in bits: the mean over recommended items of -log2(item's users / users).

    Args:
        owners: item, users: how many users had the item before the cut; one without counts as if it had one.
        users: how many users had any item.

    Source: Castells, Hurley and Vargas (2015), Novelty and Diversity in Recommender Systems; RecTools' name.
    """
    shown = lists.filter(pl.col(RANK) <= k).join(owners, on=ITEM, how="left", maintain_order="left")
    share = pl.col("users").fill_null(1) / users
    bits: float | None = shown.select(-share.log(2).mean()).item()
    return bits or 0.0


def intra_list_diversity(lists: pl.DataFrame, vectors: sparse.csr_matrix, k: int) -> float:
    """Return the lists' mean distance between two of their items, 1 - cosine, in [0, 1].

    Lists with fewer than two items that have a vector do not count; without any the diversity is 0.

    Args:
        vectors: (items, dimensions), rows of length 1 or 0.

    Source: Ziegler et al. (2005), Improving Recommendation Lists Through Topic Diversification.
    """
    shown = lists.filter(pl.col(RANK) <= k)
    items = shown[ITEM].to_numpy()
    described = np.diff(vectors.indptr)[items] > 0
    _, rows = np.unique(shown[USER].to_numpy()[described], return_inverse=True)
    if rows.size == 0:
        return 0.0
    counts = np.bincount(rows)
    members = sparse.csr_matrix(
        (np.ones(len(rows)), (rows, items[described])), shape=(len(counts), vectors.shape[0])
    )
    alike = np.concatenate(
        [
            _squared_lengths(members[start : start + _BLOCK] @ vectors)
            for start in range(0, len(counts), _BLOCK)
        ]
    )
    alike -= counts
    several = counts > 1
    if not several.any():
        return 0.0
    return float((1 - alike[several] / (counts[several] * (counts[several] - 1))).mean())


def _squared_lengths(rows: sparse.csr_matrix) -> np.ndarray:
    return np.asarray(rows.multiply(rows).sum(axis=1)).ravel()


def bootstrap_interval(
    differences: np.ndarray, *, resamples: int = 1000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Return the percentile interval of the mean of paired differences, users drawn with replacement.

    Args:
        differences: one value a user.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap, chapter 13.
    """
    random = np.random.default_rng(seed)
    size = len(differences)
    means = [differences[random.integers(0, size, size)].mean() for _ in range(resamples)]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _lists_by_item(lists: pl.DataFrame, k: int) -> np.ndarray:
    """Return how many lists hold each item that is in any, i64."""
    counts = lists.filter(pl.col(RANK) <= k).group_by(ITEM).agg(pl.len().cast(pl.Int64).alias("lists"))
    return np.asarray(counts["lists"].to_numpy())


def _best_gain(k: int) -> pl.Expr:
    """Return the discounted gain of the best k of a user's relevant items in the best order."""
    gains = pl.col(GAIN).sort(descending=True).head(k)
    return (gains / (pl.int_range(0, gains.len()) + 2).log(2)).sum()


def _discount(place: pl.Expr) -> pl.Expr:
    return (1 / (place + 1).log(2)).alias("discount")

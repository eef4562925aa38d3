"""Evaluate one day's lists, for the same users: each source alone, a blend of them, and the two stages."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import polars as pl

from recsys_cli.data_preparation.features.eligibility import nothing_eligible
from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.data_preparation.tables.problems import raise_errors
from recsys_cli.models.candidates.sources.content import item_vectors
from recsys_cli.models.evaluation.metrics import (
    PER_USER,
    catalogue_coverage,
    intra_list_diversity,
    mean_inv_user_freq,
    user_metrics,
)
from recsys_cli.models.reranking.ranker import Ranker
from recsys_cli.models.two_stage import BoundDay, rank_users
from recsys_cli.utils.columns import ELIGIBLE, ITEM, RANK, USER
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.parallel import map_in_threads
from recsys_cli.utils.progress import Progress, no_progress

TWO_STAGES = "two stages"
BLEND = "blend"
USER_SEGMENT = "segment"
COLD = "cold"
COVERAGE = "CatalogCoverage"
NOVELTY = "MeanInvUserFreq"
DIVERSITY = "IntraListDiversity"
_RRF = 60.0  # constant of reciprocal rank fusion, from Cormack, Clarke and Büttcher (2009)
_ACTIVITY = ((1, "1 to 4 items"), (5, "5 to 19 items"), (20, "20 or more items"))


@dataclass(frozen=True)
class Budget:
    """Where relevant pairs of warm users are lost: counts of (user, item) pairs.

    Attributes:
        relevant: pairs in the ground truth.
        proposed: those that are candidates: the most that any ranker could find.
        listed: those in the first k places of the two stages.
        listable: those that the best possible order of the candidates would bring into the first k places.
        by_source: source name → relevant pairs that it proposes, and those that no other source proposes.
    """

    relevant: int
    proposed: int
    listed: int
    listable: int
    by_source: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class EvaluationResult:
    """The evaluation of one day's lists; a contestant is a source, the blend or the two stages.

    Attributes:
        by_user: contestant → one row per user of the ground truth, with `segment` and the measures at k.
        variety: contestant → measures of all its lists together.
    """

    by_user: Mapping[str, pl.DataFrame]
    variety: Mapping[str, Mapping[str, float]]
    budget: Budget


@dataclass(frozen=True)
class EvaluationOptions:
    """How an evaluation ranks and measures.

    Attributes:
        k: measured length of the lists, in items.
        shortlist: candidates a user that the ranker sees; 0: all.
        chunk_users: users that are ranked at a time.
    """

    k: int
    shortlist: int
    chunk_users: int
    threads: int
    progress: Progress = no_progress


def evaluate_day(
    day: BoundDay,
    features: FeatureTables,
    ranker: Ranker,
    ground_truth: pl.DataFrame,
    options: EvaluationOptions,
) -> EvaluationResult:
    """Rank the users of the ground truth by the scoring path and measure each contestant's lists.

    Args:
        ground_truth: distinct user, item of the days that follow, by internal index.

    Raises: InputError if no item may be recommended on the day, or no user with an event before it is in the
        ground truth.
    """
    if not features.items[ELIGIBLE].any():
        raise_errors([nothing_eligible(features.day, "the items")])
    k, names = options.k, [generator.name for generator in day.generators]
    users = ground_truth[USER].unique().sort().to_numpy()
    segments = user_segments(features, users)
    warm = _warm(segments, features)
    bound = ranker.on(day.tables.items)

    def ranked_of(chunk: np.ndarray) -> _RankedUsers:
        ranked = rank_users(chunk, day, bound, options.shortlist).ranks()
        return _RankedUsers(_lists(ranked, names, k), _found(ranked, ground_truth, names))

    parted = chunks_with_progress(users, options.chunk_users, options.progress)
    chunks = list(map_in_threads(ranked_of, parted, options.threads))
    lists = {name: pl.concat(one.lists[name] for one in chunks) for name in chunks[0].lists}
    return EvaluationResult(
        by_user={
            name: user_metrics(frame, ground_truth, k).join(
                segments, on=USER, how="left", maintain_order="left"
            )
            for name, frame in lists.items()
        },
        variety=_variety(lists, features, k),
        budget=_budget(
            pl.concat(one.found for one in chunks), ground_truth.join(warm, on=USER, how="semi"), names, k
        ),
    )


def _variety(
    lists: Mapping[str, pl.DataFrame], features: FeatureTables, k: int
) -> dict[str, dict[str, float]]:
    """Return coverage, novelty and diversity of each contestant's lists."""
    diversity, catalogue = content_diversity(features, k), int(features.items[ELIGIBLE].sum())
    history = features.lazy("pairs")
    all_users = int(history.select(pl.col(USER).n_unique()).collect().item())
    owners = history.group_by(ITEM).agg(pl.len().alias("users")).collect()
    return {
        name: {
            COVERAGE: catalogue_coverage(frame, k, catalogue),
            NOVELTY: mean_inv_user_freq(frame, owners, all_users, k),
            DIVERSITY: diversity(frame),
        }
        for name, frame in lists.items()
    }


def content_diversity(features: FeatureTables, k: int) -> Callable[[pl.DataFrame], float]:
    """Return what measures `intra_list_diversity` of lists by the words and categories of the items."""
    return partial(intra_list_diversity, vectors=item_vectors(features), k=k)


@dataclass(frozen=True)
class _RankedUsers:
    """What the evaluation needs of a chunk of users.

    Attributes:
        lists: contestant → user, item, rank of the first k places.
        found: user, item, rank and NAME_rank of the candidates that are relevant.
    """

    lists: Mapping[str, pl.DataFrame]
    found: pl.DataFrame


def _lists(ranked: pl.DataFrame, names: list[str], k: int) -> dict[str, pl.DataFrame]:
    lists = {name: _listed(ranked, f"{name}_rank", k) for name in names}
    return lists | {BLEND: _blended(ranked, names, k), TWO_STAGES: _listed(ranked, RANK, k)}


def _found(ranked: pl.DataFrame, ground_truth: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    relevant = ranked.join(ground_truth, on=[USER, ITEM], how="semi")
    return relevant.select(USER, ITEM, RANK, *(f"{name}_rank" for name in names))


def measures_of(by_user: pl.DataFrame) -> dict[str, float]:
    """Return the mean of each measure over the users."""
    return {name: float(by_user.select(pl.col(name).mean()).item()) for name in PER_USER}


def popularity_names(by_user: Mapping[str, pl.DataFrame]) -> list[str]:
    """Return the contestants that are popularity sources."""
    return [name for name in by_user if name.startswith("popular_")]


def chunks_with_progress(users: np.ndarray, size: int, progress: Progress) -> Iterator[np.ndarray]:
    """Yield consecutive users, `size` at a time, and report how many are done."""
    for start in range(0, len(users), size):
        progress(start, len(users))
        yield users[start : start + size]
    progress(len(users), len(users))


def _listed(ranked: pl.DataFrame, rank: str, k: int) -> pl.DataFrame:
    """Return user, item, rank of the first k places; NaN (not in the list) compares larger than any k."""
    return ranked.filter(pl.col(rank) <= k).select(USER, ITEM, pl.col(rank).cast(pl.UInt16).alias(RANK))


def _blended(ranked: pl.DataFrame, names: list[str], k: int) -> pl.DataFrame:
    """Return the lists of reciprocal rank fusion over all sources."""
    fused = pl.sum_horizontal((1 / (_RRF + pl.col(f"{name}_rank"))).fill_nan(0.0) for name in names)
    ordered = ranked.with_columns(fused.alias("fused")).sort(
        USER, "fused", ITEM, descending=[False, True, False]
    )
    return _listed(ordered.with_columns(pl.int_range(1, pl.len() + 1).over(USER).alias(RANK)), RANK, k)


def user_segments(features: FeatureTables, users: np.ndarray) -> pl.DataFrame:
    """Return user and segment: cold, or a range of how many items the user had before the day."""
    items = features.users["user_items"].gather(users)
    label = pl.lit(COLD)
    for least, name in _ACTIVITY:
        label = pl.when(pl.col("items") >= least).then(pl.lit(name)).otherwise(label)
    frame = pl.DataFrame({USER: pl.Series(users, dtype=pl.UInt32), "items": items})
    return frame.select(USER, label.alias(USER_SEGMENT))


def _warm(segments: pl.DataFrame, features: FeatureTables) -> pl.DataFrame:
    warm = segments.filter(pl.col(USER_SEGMENT) != COLD)
    if warm.is_empty():
        raise InputError(
            f"no user known before {features.day} has a relevant event in the days from it on",
            where="ranker.label_days, ranker.label_windows",
            fix="give another --date, deliver more history, or lengthen the label windows",
        )
    return warm


def _budget(found: pl.DataFrame, ground_truth: pl.DataFrame, names: list[str], k: int) -> Budget:
    found = found.join(ground_truth, on=[USER, ITEM], how="semi")
    proposed = {name: pl.col(f"{name}_rank").is_not_nan() for name in names}
    counts = found.select(
        pl.sum_horizontal(proposed.values()).alias("sources"),
        *(one.alias(name) for name, one in proposed.items()),
    )
    by_source = {
        name: (int(counts[name].sum()), int((counts[name] & (counts["sources"] == 1)).sum()))
        for name in names
    }
    per_user = found.group_by(USER).len()["len"]
    return Budget(
        relevant=len(ground_truth),
        proposed=len(found),
        listed=int((found[RANK] <= k).sum()),
        listable=int(per_user.clip(upper_bound=k).sum()),
        by_source=by_source,
    )

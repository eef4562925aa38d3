"""The lists of the same users chosen in several ways, such as without a rule, and how each of them does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.models.evaluation.daily_evaluation import (
    COVERAGE,
    DIVERSITY,
    EvaluationOptions,
    chunks_with_progress,
    content_diversity,
    user_segments,
)
from recsys_cli.models.evaluation.metrics import (
    catalogue_coverage,
    gini_of_exposure,
    top_item_share,
    user_metrics,
)
from recsys_cli.models.postprocessing.day_lists import UserLists
from recsys_cli.models.postprocessing.lists import ListLimits, choose_lists, top_lists
from recsys_cli.models.reranking.ranker import BoundRanker, Ranker
from recsys_cli.models.two_stage import BoundDay, Ranked, rank_users
from recsys_cli.utils.columns import ELIGIBLE, ITEM, RANK, USER
from recsys_cli.utils.parallel import map_in_threads

GINI = "GiniOfExposure"
TOP_ITEM = "TopItemShare"


@dataclass(frozen=True)
class ListVariant:
    """A way to choose lists.

    Attributes:
        lists: what comes behind the ranker; None: nothing.
        candidates: what decides the candidates; they are ranked once for all variants with the same object.
    """

    name: str
    lists: UserLists | None
    candidates: UserLists | None


@dataclass(frozen=True)
class VariantResult:
    """How the lists of a variant did.

    Attributes:
        by_user: one row per user of the ground truth, with `segment` and the measures at k.
        variety: measures of all lists together.
    """

    by_user: pl.DataFrame
    variety: Mapping[str, float]


def evaluate_variants(
    variants: Sequence[ListVariant],
    day: BoundDay,
    features: FeatureTables,
    ranker: Ranker,
    ground_truth: pl.DataFrame,
    options: EvaluationOptions,
) -> dict[str, VariantResult]:
    """Choose the lists of the users of the ground truth in each way, by the scoring path, and measure them.

    Args:
        variants: their `lists` are bound to the users of `features`; their names differ.
        ground_truth: distinct user, item of the days that follow, by internal index.
    """
    users = ground_truth[USER].unique().sort().to_numpy()
    bound, limits = ranker.on(day.tables.items), ListLimits(options.shortlist, options.k)

    def chosen(chunk: np.ndarray) -> list[pl.DataFrame]:
        return _lists(chunk, variants, day, bound, limits)

    chunks = chunks_with_progress(users, options.chunk_users, options.progress)
    columns = zip(*map_in_threads(chosen, chunks, options.threads), strict=True)
    segments, k = user_segments(features, users), options.k
    diversity, catalogue = content_diversity(features, k), int(features.items[ELIGIBLE].sum())
    results = {}
    for variant, frames in zip(variants, columns, strict=True):
        lists = pl.concat(frames)
        by_user = user_metrics(lists, ground_truth, k)
        results[variant.name] = VariantResult(
            by_user.join(segments, on=USER, how="left", maintain_order="left"),
            {
                COVERAGE: catalogue_coverage(lists, k, catalogue),
                DIVERSITY: diversity(lists),
                GINI: gini_of_exposure(lists, k, catalogue),
                TOP_ITEM: top_item_share(lists, k, len(users)),
            },
        )
    return results


def _lists(
    users: np.ndarray,
    variants: Sequence[ListVariant],
    day: BoundDay,
    ranker: BoundRanker,
    limits: ListLimits,
) -> list[pl.DataFrame]:
    """Return user, item, rank of each variant's lists."""
    known: dict[int, Ranked] = {}
    found = []
    for variant in variants:
        key = id(variant.candidates)
        if key not in known:
            known[key] = rank_users(users, replace(day, lists=variant.candidates), ranker, limits.shortlist)
        pieces = choose_lists(users, replace(day, lists=variant.lists), ranker, limits, known[key])
        found.append(top_lists(pieces, limits.top_k).select(USER, ITEM, RANK))
    return found

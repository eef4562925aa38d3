"""Evaluation results summed up: means, differences with intervals, segments and the stage budget."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import polars as pl

from recsys_cli.models.evaluation.daily_evaluation import (
    COLD,
    TWO_STAGES,
    USER_SEGMENT,
    EvaluationResult,
    measures_of,
    popularity_names,
)
from recsys_cli.models.evaluation.evaluation_summary import (
    Comparison,
    EvaluationSummary,
    HoldoutSummary,
    SourceShare,
    StageBudget,
    UserSegment,
    popularity_figure,
)
from recsys_cli.models.evaluation.metrics import MAP, NDCG, bootstrap_interval
from recsys_cli.utils.columns import USER


def holdout_summary(first_day: date, result: EvaluationResult, k: int) -> HoldoutSummary:
    """Return the results, on the days from `first_day` on, of a model that had not seen them."""
    return HoldoutSummary(first_day=first_day, **_summary([result], k))


def evaluation_summary(results: Sequence[EvaluationResult], k: int) -> EvaluationSummary:
    """Return the results of one or more days together: each user of each day counts once.

    Cold users, who had no event before the day, are a segment of their own and count in no other figure.
    """
    return EvaluationSummary(**_summary(results, k))


def _summary(results: Sequence[EvaluationResult], k: int) -> dict[str, Any]:
    pooled = {name: pl.concat(one.by_user[name] for one in results) for name in results[0].by_user}
    warm = {name: frame.filter(pl.col(USER_SEGMENT) != COLD) for name, frame in pooled.items()}
    popular = popularity_names(warm)
    return {
        "k": k,
        "users": len(warm[TWO_STAGES]),
        "cold_users": len(pooled[TWO_STAGES]) - len(warm[TWO_STAGES]),
        "models": {
            name: _at(k, measures_of(frame) | _mean_variety(results, name)) for name, frame in warm.items()
        },
        "comparisons": [_compared(warm, metric, k, list(warm)) for metric in (NDCG, MAP)],
        "against_popularity": _compared(warm, NDCG, k, popular) if popular else None,
        "segments": _segments(pooled, k),
        "budget": _budget(results),
    }


def compare_two_stages(
    ours: Sequence[EvaluationResult], theirs: Sequence[EvaluationResult], metric: str, k: int
) -> Comparison:
    """Compare the two stages of two trainings on the same warm users of the same days."""
    pairs = zip(ours, theirs, strict=True)
    differences = np.concatenate(
        [_warm_values(our, metric) - _warm_values(their, metric) for our, their in pairs]
    )
    return compared_users(f"{metric}@{k}", "today", differences)


def _warm_values(result: EvaluationResult, metric: str) -> np.ndarray:
    """Return one value per warm user, in the order of the users."""
    frame = result.by_user[TWO_STAGES].filter(pl.col(USER_SEGMENT) != COLD).sort(USER)
    return np.asarray(frame[metric].to_numpy())


def _at(k: int, measures: Mapping[str, float]) -> dict[str, float]:
    return {f"{name}@{k}": value for name, value in measures.items()}


def _mean_variety(results: Sequence[EvaluationResult], name: str) -> dict[str, float]:
    measures = results[0].variety[name]
    return {
        measure: float(np.mean([result.variety[name][measure] for result in results])) for measure in measures
    }


def _compared(warm: Mapping[str, pl.DataFrame], metric: str, k: int, others: Sequence[str]) -> Comparison:
    values: dict[str, np.ndarray] = {name: frame[metric].to_numpy() for name, frame in warm.items()}
    rivals = [name for name in others if name != TWO_STAGES]
    best = max(rivals, key=lambda name: float(values[name].mean()))
    differences: np.ndarray = values[TWO_STAGES] - values[best]
    return compared_users(f"{metric}@{k}", best, differences)


def compared_users(metric: str, against: str, differences: np.ndarray) -> Comparison:
    """Return the mean of paired differences, one a user, with its interval."""
    mean, (low, high) = float(differences.mean()), bootstrap_interval(differences)
    return Comparison(metric=metric, against=against, difference=mean, low=low, high=high)


def _segments(pooled: Mapping[str, pl.DataFrame], k: int) -> dict[str, UserSegment]:
    """Return, by segment, its users and the NDCG of the two stages and of the best recent popularity."""
    names = [TWO_STAGES, *popularity_names(pooled)]
    segments = {}
    for segment in sorted(pooled[TWO_STAGES][USER_SEGMENT].unique().to_list()):
        inside = {name: pooled[name].filter(pl.col(USER_SEGMENT) == segment) for name in names}
        ndcg = {name: float(frame[NDCG].to_numpy().mean()) for name, frame in inside.items()}
        popular = [value for name, value in ndcg.items() if name != TWO_STAGES]
        figures = {f"{NDCG}@{k}": ndcg[TWO_STAGES], popularity_figure(k): max(popular, default=None)}
        segments[segment] = UserSegment.read({"users": len(inside[TWO_STAGES]), **figures})
    return segments


def _budget(results: Sequence[EvaluationResult]) -> StageBudget:
    """Return the best that the candidates allow, what each source adds, and what the ranker achieves."""
    budgets = [result.budget for result in results]
    relevant, proposed, listable, listed = (
        sum(getattr(budget, name) for budget in budgets)
        for name in ("relevant", "proposed", "listable", "listed")
    )
    sources = {
        name: SourceShare(
            recall=sum(budget.by_source[name][0] for budget in budgets) / relevant,
            alone=sum(budget.by_source[name][1] for budget in budgets) / relevant,
        )
        for name in budgets[0].by_source
    }
    return StageBudget(
        relevant_pairs=relevant,
        candidate_recall=proposed / relevant,
        ranker_share=listed / listable if listable else 0.0,
        by_source=sources,
    )

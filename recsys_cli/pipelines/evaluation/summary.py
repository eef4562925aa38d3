"""Verdicts as facts: means, differences with intervals, segments and the stage budget, ready for JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
from recsys_cli.models.evaluation.metrics import MAP, NDCG, bootstrap_interval
from recsys_cli.utils.columns import USER


@dataclass(frozen=True)
class Comparison:
    """The two stages against one of the others: mean difference a user, 95 % interval."""

    metric: str
    against: str
    difference: float
    low: float
    high: float


def exam_facts(first_day: date, verdict: EvaluationResult, k: int) -> dict[str, Any]:
    """Return how a model that had not seen the days from `first_day` on did in them."""
    return {"first_day": str(first_day), **verdict_facts([verdict], k)}


def verdict_facts(verdicts: Sequence[EvaluationResult], k: int) -> dict[str, Any]:
    """Return the verdicts of one or more days together: each user of each day counts once.

    Cold users, who had no event before the day, are a segment of their own and count in no other figure.
    """
    pooled = {name: pl.concat(one.by_user[name] for one in verdicts) for name in verdicts[0].by_user}
    warm = {name: frame.filter(pl.col(USER_SEGMENT) != COLD) for name, frame in pooled.items()}
    popular = popularity_names(warm)
    facts: dict[str, Any] = {
        "k": k,
        "users": len(warm[TWO_STAGES]),
        "cold_users": len(pooled[TWO_STAGES]) - len(warm[TWO_STAGES]),
        "models": {
            name: _at(k, measures_of(frame) | _mean_variety(verdicts, name)) for name, frame in warm.items()
        },
        "comparisons": [asdict(_compared(warm, metric, k, list(warm))) for metric in (NDCG, MAP)],
        "against_popularity": asdict(_compared(warm, NDCG, k, popular)) if popular else None,
        "segments": _segments(pooled, k),
        "budget": _budget(verdicts),
    }
    return facts


def compare_two_stages(
    ours: Sequence[EvaluationResult], theirs: Sequence[EvaluationResult], metric: str, k: int
) -> Comparison:
    """Compare the two stages of two trainings on the same warm users of the same days."""
    pairs = zip(ours, theirs, strict=True)
    differences = np.concatenate(
        [_warm_values(our, metric) - _warm_values(their, metric) for our, their in pairs]
    )
    return Comparison(f"{metric}@{k}", "today", float(differences.mean()), *bootstrap_interval(differences))


def _warm_values(verdict: EvaluationResult, metric: str) -> np.ndarray:
    """Return a value a warm user, by user."""
    frame = verdict.by_user[TWO_STAGES].filter(pl.col(USER_SEGMENT) != COLD).sort(USER)
    return np.asarray(frame[metric].to_numpy())


def _at(k: int, measures: Mapping[str, float]) -> dict[str, float]:
    return {f"{name}@{k}": value for name, value in measures.items()}


def _mean_variety(verdicts: Sequence[EvaluationResult], name: str) -> dict[str, float]:
    measures = verdicts[0].variety[name]
    return {
        measure: float(np.mean([verdict.variety[name][measure] for verdict in verdicts]))
        for measure in measures
    }


def _compared(warm: Mapping[str, pl.DataFrame], metric: str, k: int, others: Sequence[str]) -> Comparison:
    values: dict[str, np.ndarray] = {name: frame[metric].to_numpy() for name, frame in warm.items()}
    rivals = [name for name in others if name != TWO_STAGES]
    best = max(rivals, key=lambda name: float(values[name].mean()))
    differences: np.ndarray = values[TWO_STAGES] - values[best]
    return Comparison(f"{metric}@{k}", best, float(differences.mean()), *bootstrap_interval(differences))


def _segments(pooled: Mapping[str, pl.DataFrame], k: int) -> dict[str, Any]:
    """Return, by segment, its users and the NDCG of the two stages and of the best recent popularity."""
    names = [TWO_STAGES, *popularity_names(pooled)]
    segments: dict[str, Any] = {}
    for segment in sorted(pooled[TWO_STAGES][USER_SEGMENT].unique().to_list()):
        inside = {name: pooled[name].filter(pl.col(USER_SEGMENT) == segment) for name in names}
        ndcg = {name: float(frame[NDCG].to_numpy().mean()) for name, frame in inside.items()}
        popular = [value for name, value in ndcg.items() if name != TWO_STAGES]
        segments[segment] = {
            "users": len(inside[TWO_STAGES]),
            f"{NDCG}@{k}": ndcg[TWO_STAGES],
            f"{NDCG}@{k} of popularity": max(popular) if popular else None,
        }
    return segments


def _budget(verdicts: Sequence[EvaluationResult]) -> dict[str, Any]:
    """Return what the candidates allow, what each source adds, what the ranker made of it."""
    budgets = [verdict.budget for verdict in verdicts]
    relevant, proposed, listable, listed = (
        sum(getattr(budget, name) for budget in budgets)
        for name in ("relevant", "proposed", "listable", "listed")
    )
    sources = {
        name: {
            "recall": sum(budget.by_source[name][0] for budget in budgets) / relevant,
            "alone": sum(budget.by_source[name][1] for budget in budgets) / relevant,
        }
        for name in budgets[0].by_source
    }
    return {
        "relevant_pairs": relevant,
        "candidate_recall": proposed / relevant,
        "ranker_share": listed / listable if listable else 0.0,
        "by_source": sources,
    }

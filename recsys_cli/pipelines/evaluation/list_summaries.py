"""The lists by rule and by diversity summed up over one or more days, each user of each day counting once."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

from recsys_cli.configs.rule_sections import Rule
from recsys_cli.models.evaluation.daily_evaluation import COLD, USER_SEGMENT
from recsys_cli.models.evaluation.evaluation_summary import Measures
from recsys_cli.models.evaluation.list_summary import (
    DiversityCurve,
    DiversityPoint,
    FewerRules,
    RulesSummary,
    WithoutRule,
)
from recsys_cli.models.evaluation.list_variants import VariantResult
from recsys_cli.models.evaluation.metrics import NDCG
from recsys_cli.pipelines.evaluation.rules_evaluation import ALL_RULES, NO_RULE, ListResults, without
from recsys_cli.pipelines.evaluation.summary import compared_users
from recsys_cli.utils.columns import USER

ByVariant = Mapping[str, VariantResult]


def rules_summary(results: Sequence[ListResults]) -> RulesSummary | None:
    """Return how the lists did without each rule; None where it was not asked for."""
    days = [one.rules for one in results if one.rules]
    if not days:
        return None
    k = results[0].settings.top_k
    return RulesSummary(
        all_rules=_measures([day[ALL_RULES] for day in days], k),
        no_rule=_fewer([day[NO_RULE] for day in days], days, k),
        without=[_without(rule, results, days, k) for rule in results[0].settings.rules],
    )


def diversity_curve(results: Sequence[ListResults], days: int) -> DiversityCurve | None:
    """Return how the lists did by diversity; None where it was not asked for.

    Args:
        days: length of a window.
    """
    if not results or not results[0].diversity:
        return None
    settings, values = results[0].settings, results[0].diversity
    points = [
        DiversityPoint(
            diversity=float(value),
            measures=_measures([one.diversity[value] for one in results], settings.top_k),
        )
        for value in values
    ]
    return DiversityCurve(k=settings.top_k, days=days, by=settings.diversity_by, points=points)


def _without(rule: Rule, results: Sequence[ListResults], days: Sequence[ByVariant], k: int) -> WithoutRule:
    found = [day.get(without(rule.name), day[ALL_RULES]) for day in days]
    notes = [one.notes.get(rule.name) for one in results]
    note = None if None in notes else "; ".join(dict.fromkeys(one for one in notes if one))
    return WithoutRule(rule=rule.name, action=rule.action, note=note, **_fewer(found, days, k).as_json())


def _fewer(found: Sequence[VariantResult], days: Sequence[ByVariant], k: int) -> FewerRules:
    """Return how lists with fewer rules did, beside those with all."""
    whole = [day[ALL_RULES] for day in days]
    measures, with_all = _measures(found, k), _measures(whole, k)
    pairs = zip(found, whole, strict=True)
    ndcg = np.concatenate([_warm_ndcg(one) - _warm_ndcg(other) for one, other in pairs])
    return FewerRules(
        measures=measures,
        differences={name: value - with_all[name] for name, value in measures.items()},
        ndcg=compared_users(f"{NDCG}@{k}", ALL_RULES, ndcg),
    )


def _measures(days: Sequence[VariantResult], k: int) -> Measures:
    """Return NDCG over the warm users of all days, and the mean of the days' other measures."""
    ndcg = float(np.concatenate([_warm_ndcg(one) for one in days]).mean())
    names = days[0].variety
    variety = {name: float(np.mean([one.variety[name] for one in days])) for name in names}
    return {f"{name}@{k}": value for name, value in ({NDCG: ndcg} | variety).items()}


def _warm_ndcg(result: VariantResult) -> np.ndarray:
    """Return one value per warm user, in the order of the users."""
    warm = result.by_user.filter(pl.col(USER_SEGMENT) != COLD).sort(USER)
    return np.asarray(warm[NDCG].to_numpy())

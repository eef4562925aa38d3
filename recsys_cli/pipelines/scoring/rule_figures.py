"""What rules do to the lists of a run: counted over all users, and compared without each rule in a sample."""

from functools import reduce
from operator import add

import numpy as np

from recsys_cli.models.postprocessing.exploration import explored_places
from recsys_cli.models.postprocessing.rule_effects import Effect, Effects, effects_of_rules
from recsys_cli.pipelines.publication.list_request import DayRequest
from recsys_cli.pipelines.publication.manifest import RuleFigures, RulesRecord
from recsys_cli.pipelines.scoring.local_engine import Chunk, Ranking
from recsys_cli.pipelines.scoring.statistics import ScoreCounts
from recsys_cli.utils.parallel import chunks_of, map_in_threads

_SPANS, _USERS = 4, 512  # that are looked at: spans of users, and users of each


def sampled_effects(ranking: Ranking, users: np.ndarray) -> Effects | None:
    """Return what each rule changes in the lists of some users, spread over all; None where there are none.

    Args:
        users: internal indices, ascending.
    """

    def effects(chunk: Chunk) -> Effects:
        own = chunk.users - np.uint32(chunk.first)
        return effects_of_rules(own, chunk.day, ranking.ranker, ranking.limits.of_lists)

    chunks = (
        Chunk(some, span.first, span.day)
        for span in ranking.some_spans(users, _SPANS)
        for some in chunks_of(_spread(span.users), _USERS // ranking.threads)
    )
    found = list(map_in_threads(effects, chunks, ranking.threads))
    return reduce(add, found) if found else None


def _spread(users: np.ndarray) -> np.ndarray:
    places = np.unique(np.linspace(0, len(users) - 1, min(len(users), _USERS)).astype(int))
    return np.asarray(users[places])


def rules_record(lists: DayRequest, counts: ScoreCounts) -> RulesRecord:
    """Return what came behind the ranker, and what it did."""
    assert lists.asked is not None
    settings, effects = lists.asked.settings, counts.effects
    quotas = sum(rule.action == "quota" for rule in settings.rules)
    figures = [
        RuleFigures(
            name=rule.name,
            action=rule.action,
            rows=counts.by_rule[number],
            unmet=counts.unmet[number],
            **_figures_of(number, counts, quotas if rule.action == "quota" else 0),
        )
        for number, rule in enumerate(settings.rules)
    ]
    return RulesRecord(
        key=lists.rules_key,
        rules=figures,
        sample=0 if effects is None else effects.users,
        **_together(counts),
        expected_takes=None if effects is None else round(effects.takes / max(effects.users, 1), 6),
        explored=counts.explored,
        drawn_places=counts.users * explored_places(settings.explore, settings.top_k),
        shown=dict(lists.shown),
        files=counts.files,
    )


def _together(counts: ScoreCounts) -> dict[str, float]:
    """Return what all rules change together: quotas change the lists that the others leave, at least."""
    effects, quotas = counts.effects, counts.quotas
    found = {} if effects is None else _shares(effects.together, effects.users, effects.rows, effects.takes)
    if quotas is not None:
        own = _shares(quotas.effect, quotas.users, quotas.rows, quotas.takes)
        most = {name: max(share, found.get(name, 0.0)) for name, share in own.items()}
        found = {**most, "cost": round(found.get("cost", 0.0) + own["cost"], 6)}
    return found


def _figures_of(number: int, counts: ScoreCounts, quotas: int) -> dict[str, float]:
    """Return what a rule changes; of one of several quotas nothing: they are known together alone.

    Args:
        quotas: how many there are, where the rule is one; else 0.
    """
    if quotas and counts.quotas is not None:
        one = counts.quotas
        return {} if quotas > 1 else _shares(one.effect, one.users, one.rows, one.takes)
    if counts.effects is None:
        return {}
    return _shares(
        counts.effects.rules[number], counts.effects.users, counts.effects.rows, counts.effects.takes
    )


def _shares(effect: Effect, users: int, rows: int, takes: float) -> dict[str, float]:
    return {
        "changed_lists": round(effect.lists / max(users, 1), 4),
        "changed_rows": round(min(effect.rows / max(rows, 1), 1.0), 4),
        "cost": round(_cost(effect, takes), 6) + 0.0,  # no -0.0
    }


def _cost(effect: Effect, takes: float) -> float:
    """Return the takes that are lost, as a share of what there would be; below 0: some are won."""
    return -effect.takes / takes if takes > 0 else 0.0

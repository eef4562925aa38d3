"""Publish gates: conditions that lists must meet before they replace the last good ones."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from recsys_cli.configs.sections import GatesSettings
from recsys_cli.models.candidates.registry import sources_on
from recsys_cli.models.evaluation.own_item_auc import own_item_auc
from recsys_cli.pipelines.publication.comparison import mean_shared_items
from recsys_cli.pipelines.publication.lookup import recent_lists
from recsys_cli.pipelines.publication.manifest import FileFacts
from recsys_cli.pipelines.scoring.local_engine import Ranking
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.errors import CheckFailedError
from recsys_cli.utils.storage.atomic_writes import replacing

_RANDOM_AUC, _LEAST_LIFT = 0.5, 0.02  # of random vectors; what a sample tells from them
_UNKNOWN_AUC = 0.6  # of models that do not know what their training measured
_COMPARED = 10_000  # users whose lists are compared with their last ones, or up to twice as many


@dataclass(frozen=True)
class Gate:
    """A figure of a run, and its bound: the most of a "max_…" setting, else the least."""

    setting: str
    what: str
    figure: float
    bound: float

    @property
    def miss(self) -> float:
        """By how much the figure misses the bound; 0 or less where it holds."""
        is_most = self.setting.startswith("max_")
        return self.figure - self.bound if is_most else self.bound - self.figure

    def message(self) -> str:
        """Return what is wrong, as a line."""
        side = "above" if self.setting.startswith("max_") else "below"
        figure, miss, bound = map(_in_digits, (self.figure, self.miss, self.bound))
        return f"{self.what}: {figure}, {miss} {side} gates.{self.setting} = {bound}"


def _in_digits(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


@dataclass(frozen=True)
class StagedLists:
    """A staged recommendations file with its facts, before the publish gates run, and what it comes from.

    Attributes:
        trained_auc: how well learnt vectors ranked own items in the model's holdout; None: not known.
    """

    day: ScoringDay
    file: Path
    facts: FileFacts
    ranking: Ranking
    users: np.ndarray
    trained_auc: float | None


def check_gates(lists: StagedLists, rejected: Path) -> dict[str, int | float]:
    """Return the figures by the settings that bound them, where they all hold.

    Args:
        rejected: where the file is stored for inspection if one does not.

    Raises: CheckFailedError that names each figure that misses its bound.
    """
    gates = list(_gates(lists))
    failed = [gate.message() for gate in gates if gate.miss > 0]
    if not failed:
        return {gate.setting: round(gate.figure, 4) for gate in gates}
    with replacing(rejected) as temporary:
        shutil.copyfile(lists.file, temporary)
    raise CheckFailedError(
        "\n".join(["the lists fail the publish gates; nothing was published", *failed]),
        where=str(rejected),
        fix="look at the lists there; if they are right, loosen these settings and score again: "
        "the ranked lists are reused",
    )


def _gates(lists: StagedLists) -> Iterator[Gate]:
    facts, settings = lists.facts, lists.day.workspace.settings.gates
    if facts.all_users:
        yield Gate("min_users", "users", facts.users, settings.min_users)
    if facts.users >= settings.from_users:
        yield from _of_counts(facts, settings, _has_personal_source(lists.ranking))
        yield from _of_rules(facts, settings)
        yield from _of_overlap(lists)
        yield from _of_own_item_auc(lists, settings.min_own_item_auc)


def _of_counts(facts: FileFacts, settings: GatesSettings, has_personal: bool) -> Iterator[Gate]:
    users, rows = facts.users, max(facts.rows, 1)
    full, nonempty = users - facts.short_lists, users - facts.empty_lists
    yield Gate("min_full_lists", "share of users with a full list", full / users, settings.min_full_lists)
    if has_personal:
        share = facts.fallback_rows / rows
        yield Gate(
            "max_fallback_rows", "share of rows of popularity alone", share, settings.max_fallback_rows
        )
    coverage = facts.items / max(min(facts.eligible_items, rows), 1)
    yield Gate("min_catalogue_coverage", "catalogue coverage", coverage, settings.min_catalogue_coverage)
    top = facts.top_item_lists / max(nonempty, 1)
    yield Gate(
        "max_top_item_share", "share of lists with the most frequent item", top, settings.max_top_item_share
    )


def _of_rules(facts: FileFacts, settings: GatesSettings) -> Iterator[Gate]:
    if facts.lists is None:
        return
    costs = {rule.name: rule.cost for rule in facts.lists.rules if rule.cost is not None}
    if costs:
        name = max(costs, key=lambda one: costs[one])
        what = f"expected takes that the rule {name!r} costs"
        yield Gate("max_rule_cost", what, costs[name], settings.max_rule_cost)
    if facts.lists.cost is not None:
        what = "expected takes that all rules together cost"
        yield Gate("max_cost_of_rules", what, facts.lists.cost, settings.max_cost_of_rules)


def _of_overlap(lists: StagedLists) -> Iterator[Gate]:
    last = recent_lists(lists.day)
    if last is not None:
        ids = lists.ranking.features.user_ids.gather(lists.users)
        overlap = mean_shared_items(lists.file, last.file, ids.gather_every(max(len(ids) // _COMPARED, 1)))
        if overlap is not None:
            bound = lists.day.workspace.settings.gates.min_overlap
            yield Gate("min_overlap", f"mean overlap with the lists of {last}", overlap, bound)


def _of_own_item_auc(lists: StagedLists, share: float) -> Iterator[Gate]:
    """Yield the gate of the first span of users for which the figure is defined.

    Args:
        share: of what the training measured, beyond the half that random vectors have.
    """
    trained = lists.trained_auc or _UNKNOWN_AUC
    if trained < _RANDOM_AUC + _LEAST_LIFT:
        return  # there is nothing that could be lost
    bound = _RANDOM_AUC + share * (trained - _RANDOM_AUC) if share else 0.0
    for span in lists.ranking.spans(lists.users):
        auc = own_item_auc(span.day)
        if auc is not None:
            what = "area under the curve of lightfm, users' own items against others'"
            yield Gate("min_own_item_auc", what, auc, bound)
            return


def _has_personal_source(ranking: Ranking) -> bool:
    stage = ranking.items.stage
    on = sources_on(stage.settings, filter_viewed=stage.only_new_items)
    return not all(one.is_popularity for one in on)

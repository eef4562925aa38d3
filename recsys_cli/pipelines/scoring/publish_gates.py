"""Publish gates: what lists must hold before they take the place of the last good ones."""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from recsys_cli.configs.sections import GatesSettings
from recsys_cli.models.candidates.registry import sources_on
from recsys_cli.models.evaluation.own_item_auc import own_item_auc
from recsys_cli.pipelines.overlap import mean_overlap
from recsys_cli.pipelines.publication.lookup import recent_lists
from recsys_cli.pipelines.scoring.local_engine import Ranking
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.utils.errors import CheckFailedError
from recsys_cli.utils.storage.atomic_files import replacing

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

    def told(self) -> str:
        """Return what is wrong, as a line."""
        side = "above" if self.setting.startswith("max_") else "below"
        figure, miss, bound = map(_in_digits, (self.figure, self.miss, self.bound))
        return f"{self.what}: {figure}, {miss} {side} gates.{self.setting} = {bound}"


def _in_digits(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:.4g}"


@dataclass(frozen=True)
class Waiting:
    """Lists that wait to be published: the file, its facts as in a manifest, and what they come from."""

    day: date
    file: Path
    facts: Mapping[str, Any]
    ranking: Ranking
    users: np.ndarray


def pass_gates(waiting: Waiting, workspace: Workspace, rejected: Path) -> dict[str, float]:
    """Return the figures by the settings that bound them, where they all hold.

    Args:
        rejected: where the file goes for looking at if one does not.

    Raises: CheckFailedError that tells each figure that misses its bound.
    """
    gates = list(_gates(waiting, workspace))
    failed = [gate.told() for gate in gates if gate.miss > 0]
    if not failed:
        return {gate.setting: round(gate.figure, 4) for gate in gates}
    with replacing(rejected) as part:
        shutil.copyfile(waiting.file, part)
    raise CheckFailedError(
        "\n".join(["the lists do not hold what they must; nothing was published", *failed]),
        where=str(rejected),
        fix="look at the lists there; if they are right, loosen these settings and score again: "
        "what is ranked is kept",
    )


def _gates(waiting: Waiting, workspace: Workspace) -> Iterator[Gate]:
    facts, settings = waiting.facts, workspace.settings.gates
    if facts["all_users"]:
        yield Gate("min_users", "users", facts["users"], settings.min_users)
    if facts["users"] >= settings.from_users and facts["rows"]:
        yield from _of_counts(facts, settings, _has_personal_source(waiting.ranking))
        yield from _of_overlap(waiting, workspace)
        yield from _of_own_items(waiting, settings)


def _of_counts(facts: Mapping[str, Any], settings: GatesSettings, has_personal: bool) -> Iterator[Gate]:
    users, rows = facts["users"], facts["rows"]
    full, lists = users - facts["short_lists"], users - facts["empty_lists"]
    yield Gate("min_full_lists", "share of users with a full list", full / users, settings.min_full_lists)
    if has_personal:
        share = facts["fallback_rows"] / rows
        yield Gate(
            "max_fallback_rows", "share of rows of popularity alone", share, settings.max_fallback_rows
        )
    coverage = facts["items"] / min(facts["eligible_items"], rows)
    yield Gate("min_catalogue_coverage", "catalogue coverage", coverage, settings.min_catalogue_coverage)
    top = facts["top_item_lists"] / lists
    yield Gate(
        "max_top_item_share", "share of lists with the most frequent item", top, settings.max_top_item_share
    )


def _of_overlap(waiting: Waiting, workspace: Workspace) -> Iterator[Gate]:
    last = recent_lists(workspace, waiting.day)
    if last is not None:
        day, file = last
        ids = waiting.ranking.features.user_ids.gather(waiting.users)
        overlap = mean_overlap(waiting.file, file, ids.gather_every(max(len(ids) // _COMPARED, 1)))
        if overlap is not None:
            bound = workspace.settings.gates.min_overlap
            yield Gate("min_overlap", f"mean overlap with the lists of {day}", overlap, bound)


def _of_own_items(waiting: Waiting, settings: GatesSettings) -> Iterator[Gate]:
    """Look at the first span of users that says anything."""
    for span in waiting.ranking.spans(waiting.users):
        auc = own_item_auc(span.day)
        if auc is not None:
            what = "area under the curve of lightfm, users' own items against others'"
            yield Gate("min_own_item_auc", what, auc, settings.min_own_item_auc)
            return


def _has_personal_source(ranking: Ranking) -> bool:
    stage = ranking.items.stage
    on = sources_on(stage.settings, filter_viewed=stage.filter_viewed)
    return not all(one.is_popularity for one in on)

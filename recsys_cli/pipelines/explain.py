"""`explain`: rank one user with the function that `score` uses, and keep everything that `score` discards."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta

import numpy as np
import polars as pl

from recsys_cli.data_preparation.features.feature_tables import (
    DAYS_AGO,
    EVENTS,
    FeatureTables,
    events_of_type,
    types_of,
)
from recsys_cli.models.postprocessing.day_lists import open_lists
from recsys_cli.models.postprocessing.lists import ChosenLists, ListLimits, choose_lists
from recsys_cli.models.postprocessing.sold_out import SoldOut
from recsys_cli.models.reranking.ranker import BoundRanker
from recsys_cli.models.two_stage import ALONE, BoundDay, open_items, rank_users
from recsys_cli.pipelines.explanation.item_stages import (
    FeatureValues,
    ItemExplanation,
    RankedUser,
    explain_item,
    left_out,
    plain,
)
from recsys_cli.pipelines.explanation.list_rules import UserRules
from recsys_cli.pipelines.explanation.published_context import (
    ExplainedDay,
    PublishedRow,
    open_explained_day,
    published_list,
)
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import ITEM, ITEM_ID, RANK, RAW_SCORE, SCORE, SOURCES, TITLE, USER_ID

_LATEST_EVENTS = 10
_CLOSE = 1e-5  # scores that differ by less are the same


@dataclass(frozen=True)
class UserFacts:
    """The user's features; `warm`: whether the user has events before the day."""

    warm: bool
    features: FeatureValues


@dataclass(frozen=True)
class LatestItem:
    """An item that the user has had: how often, the last day, and how often by each of several types."""

    item_id: int | str
    title: str | None
    events: int
    last_day: str
    types: dict[str, int]


@dataclass(frozen=True)
class SourceCounts:
    """How many candidates a source was asked for, how many it proposed, and how many reached the list."""

    wanted: int
    proposed: int
    recommended: int


@dataclass(frozen=True)
class RecommendedItem:
    """An item of the list.

    Attributes:
        contributions: SHAP values by feature.
        against: contributions minus their mean over the list and as many candidates after it.
        placed_by, rule, propensity: what gave the item its place, as in the columns of the file.
    """

    item_id: int | str
    title: str | None
    rank: int
    score: float
    raw_score: float
    sources: list[str]
    base_value: float
    contributions: dict[str, float]
    against: dict[str, float]
    features: FeatureValues
    placed_by: str = "score"
    rule: str = ""
    propensity: float | None = None


@dataclass(frozen=True)
class EarlierItem:
    """An item of the list that the ranker alone would give.

    Attributes:
        now: its rank in the list, None where it is no longer in it; rule: what removed or outranked it.
    """

    item_id: int | str
    title: str | None
    rank: int
    score: float
    now: int | None
    rule: str


@dataclass(frozen=True)
class SourceRank:
    """The rank and score that a source gives a candidate; no rank where it did not propose it."""

    rank: int | None
    score: float | None


@dataclass(frozen=True)
class Candidate:
    """A candidate; only those on the shortlist have a score.

    Attributes:
        removed_by: the rule that keeps it out of the list; empty for none.
    """

    item_id: int | str
    title: str | None
    rank: int
    score: float | None
    raw_score: float | None
    sources: dict[str, SourceRank]
    removed_by: str = ""


@dataclass(frozen=True)
class Explanation:
    """Why a user's list looks as it does.

    Attributes:
        run_id: the published run that is explained, None where the date has none.
        published: the user's rows of the published file.
        differences: how `recommendations` differs from them, and why; empty where it does not.
        events: the latest items, the newest first.
        left_out: items that the user has had, that are not listed, not available, or excluded by a rule.
        candidates: all of them, the best first; without rules the list is the first of them.
        before: the list that the ranker alone would give; empty where there are no rules.
        item: why the item that was asked for is in the list, or why not.
    """

    user_id: str | int
    day: date
    run_id: str | None
    model_version: str
    published: list[PublishedRow]
    differences: list[str]
    user: UserFacts
    events: list[LatestItem]
    left_out: dict[str, int]
    sources: dict[str, SourceCounts]
    recommendations: list[RecommendedItem]
    candidates: list[Candidate]
    before: list[EarlierItem]
    item: ItemExplanation | None

    def as_json(self) -> dict[str, object]:
        """Return the explanation as a JSON object."""
        values = asdict(self)
        del values["day"]
        values["item"] = None if self.item is None else self.item.as_json()
        return {"schema_version": 2, **values, "date": str(self.day)}


def explain_user(workspace: Workspace, user_id: str, day: date, item_id: str | None = None) -> Explanation:
    """Explain the user's list of `day`: of the published run, or as it would be scored now.

    Raises: UnknownUserError, UnknownItemError with close matches; ModelError and InputError as `score` does.
    """
    opened = open_explained_day(ScoringDay(workspace, day), user_id)
    features = opened.partition.features.span(opened.user, opened.user + 1)
    bound, ranked = _rank(opened, features, workspace.threads)
    before = _before(ranked, features)
    external_id = features.user_ids[0]
    recommendations = _recommendations(ranked, features)
    published = published_list(opened.day, external_id) if opened.run else []
    return Explanation(
        user_id=external_id,
        day=day,
        run_id=opened.run.run_id if opened.run else None,
        model_version=opened.bundle.version,
        published=published,
        differences=_differences(recommendations, published, opened),
        user=_user(features, bound),
        events=_events(features, day),
        left_out=left_out(features, bound),
        sources=_sources(ranked, bound),
        recommendations=recommendations,
        candidates=_candidates(ranked, features, bound),
        before=before,
        item=None if item_id is None else explain_item(item_id, features, bound, ranked),
    )


def _rank(opened: ExplainedDay, features: FeatureTables, threads: int) -> tuple[BoundDay, RankedUser]:
    model, stored = opened.bundle.model, opened.partition.features
    asked = opened.lists.asked
    lists = None if asked is None else open_lists(asked, model.stage, stored)
    bound = open_items(model.stage, stored, threads, opened.index, lists=lists).of_users(features)
    ranker = model.ranker.on(bound.tables.items)
    chosen, sold_out = _chosen(opened, bound, ranker)
    plain = chosen.ranked
    if lists is not None:
        plain = rank_users(ALONE, replace(bound, lists=None), ranker, opened.shortlist)
    rules = UserRules(chosen, plain, opened.top_k, sold_out)
    frame, encoders = chosen.ranked.frame(bound), model.stage.encoders
    rows = {item: row for row, item in enumerate(frame[ITEM].to_list())}
    listed = [rows[row.item] for row in rules.listed()]
    return bound, RankedUser(frame, opened.top_k, model.ranker, features, encoders, listed, rules)


def _chosen(
    opened: ExplainedDay, bound: BoundDay, ranker: BoundRanker
) -> tuple[ChosenLists, Mapping[int, SoldOut]]:
    """Return the user's list and, with quotas, what these cut off from it."""
    run = opened.run
    if bound.lists is None or run is None or run.lists is None or not run.lists.files or opened.causes:
        limits = ListLimits(opened.shortlist, opened.top_k)
        return choose_lists(ALONE, bound, ranker, limits)[-1], {}
    from recsys_cli.pipelines.explanation.quota_list import list_under_quotas

    found = list_under_quotas(opened, bound, bound.lists, ranker)
    return found.lists, found.sold_out


def _before(ranked: RankedUser, features: FeatureTables) -> list[EarlierItem]:
    """Return the list that the ranker alone would give."""
    ids, titles = features.items[ITEM_ID], features.items[TITLE]
    return [
        EarlierItem(ids[row.item], titles[row.item], row.rank, row.score, row.now, row.rule)
        for row in ranked.rules.before()
    ]


def _differences(
    now: Sequence[RecommendedItem], published: Sequence[PublishedRow], opened: ExplainedDay
) -> list[str]:
    """Return the causes and the first place where two lists differ, one per line; none if they are equal."""
    if opened.run is None:
        return []
    if not published and not opened.run.all_users:
        return [f"run {opened.run.run_id} was over chosen users, not this one: the list is as of now"]
    causes = opened.causes
    if len(now) != len(published):
        return [*causes, f"the published list has {len(published)} items, this one {len(now)}"]
    for one, other in zip(now, published, strict=True):
        if one.item_id != other.item_id or abs(one.score - other.score) > _CLOSE:
            before, after = (f"{row.item_id} with {row.score:.6f}" for row in (other, one))
            return [*causes, f"rank {other.rank}: published was {before}; now it is {after}"]
    return []


def _user(features: FeatureTables, bound: BoundDay) -> UserFacts:
    row = features.users.row(0, named=True)
    del row[USER_ID]
    return UserFacts(bool(bound.history.nnz), plain(row))


def _events(features: FeatureTables, day: date) -> list[LatestItem]:
    own, types = features.pairs.sort(DAYS_AGO, ITEM).head(_LATEST_EVENTS), types_of(features.pairs.schema)
    named = own.join(_names(features), on=ITEM, how="left", maintain_order="left")
    return [
        LatestItem(
            row[ITEM_ID],
            row[TITLE],
            row[EVENTS],
            str(day - timedelta(days=max(1, int(np.ceil(row[DAYS_AGO]))))),
            {name: row[events_of_type(name)] for name in types if row[events_of_type(name)]},
        )
        for row in named.iter_rows(named=True)
    ]


def _sources(ranked: RankedUser, bound: BoundDay) -> dict[str, SourceCounts]:
    chunk, counts = bound.chunk(ALONE), {}
    for source in bound.generators:
        proposed = ~ranked.frame[f"{source.name}_rank"].is_nan()
        counts[source.name] = SourceCounts(
            wanted=int(source.score(chunk).lists.shape[1]),
            proposed=int(proposed.sum()),
            recommended=int(proposed[ranked.listed].sum()),
        )
    return counts


def _recommendations(ranked: RankedUser, features: FeatureTables) -> list[RecommendedItem]:
    top, names = ranked.frame[ranked.listed], ranked.ranker.columns
    if top.is_empty():
        return []
    values, usual = ranked.contributions, ranked.contributions.mean(axis=0)
    named = top.join(_names(features), on=ITEM, how="left", maintain_order="left")
    return [
        RecommendedItem(
            item_id=row[ITEM_ID],
            title=row[TITLE],
            rank=rank,
            score=row[SCORE],
            raw_score=row[RAW_SCORE],
            sources=row[SOURCES].split(","),
            placed_by=why.placed_by,
            rule=why.rule,
            propensity=why.propensity,
            base_value=float(shap[-1]),
            contributions=dict(zip(names, shap[:-1].tolist(), strict=True)),
            against=dict(zip(names, (shap - usual)[:-1].tolist(), strict=True)),
            features=ranked.feature_values(row),
        )
        for rank, (row, shap, why) in enumerate(
            zip(named.iter_rows(named=True), values, ranked.rules.listed(), strict=False), start=1
        )
    ]


def _candidates(ranked: RankedUser, features: FeatureTables, bound: BoundDay) -> list[Candidate]:
    named = ranked.frame.join(_names(features), on=ITEM, how="left", maintain_order="left")
    names = [generator.name for generator in bound.generators]
    removed_by = ranked.rules.removed_by(ranked.frame[ITEM].to_list())
    return [
        Candidate(
            item_id=row[ITEM_ID],
            title=row[TITLE],
            rank=row[RANK],
            score=row[SCORE],
            raw_score=row[RAW_SCORE],
            sources={
                name: SourceRank(_rank_of(row[f"{name}_rank"]), _known(row[f"{name}_score"]))
                for name in names
            },
            removed_by=rule,
        )
        for row, rule in zip(named.iter_rows(named=True), removed_by, strict=True)
    ]


def _rank_of(value: float) -> int | None:
    """Return a source's rank, None where it did not propose the item."""
    return None if np.isnan(value) else int(value)


def _known(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else value


def _names(features: FeatureTables) -> pl.DataFrame:
    return features.items.select(ITEM_ID, TITLE).with_row_index(ITEM)

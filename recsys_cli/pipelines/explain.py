"""`explain`: one user through the very function that scores, keeping everything that `score` throws away."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from recsys_cli.data_preparation.features.day_features import DAYS_AGO, EVENTS, FeatureTables
from recsys_cli.models.two_stage import BoundDay, open_items, rank_users
from recsys_cli.pipelines.explanation.item_stages import ALONE, RankedUser, explain_item, left_out, plain
from recsys_cli.pipelines.explanation.published_context import (
    ExplainedDay,
    open_explained_day,
    published_list,
)
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.utils.columns import ITEM, ITEM_ID, RANK, RAW_SCORE, SCORE, SOURCES, TITLE, USER_ID

_LATEST_EVENTS = 10
_CLOSE = 1e-5  # scores that differ by less are the same


@dataclass(frozen=True)
class Explanation:
    """Why a user's list looks as it does; every part is plain data, ready for JSON.

    Attributes:
        run_id: the published run that is explained, None where the date has none.
        published: the user's rows of the published file.
        differences: how `recommendations` differs from them, and why; empty where it does not.
        user: the user's features; `warm` tells whether there are events.
        events: the latest items, the newest first.
        left_out: items that the user has had, that are not available, that a rule excludes.
        sources: of each, how many candidates it proposed and was to propose, and how many of the list.
        recommendations: the list with features, contributions and `against`: by feature, the contribution
            less its mean over the list and as many candidates behind it.
        candidates: every candidate with each source's rank and score.
        item: why the item that was asked for is in the list, or why not.
    """

    user_id: str | int
    day: date
    run_id: str | None
    model_version: str
    published: list[dict[str, Any]]
    differences: list[str]
    user: dict[str, Any]
    events: list[dict[str, Any]]
    left_out: dict[str, int]
    sources: dict[str, dict[str, int]]
    recommendations: list[dict[str, Any]]
    candidates: list[dict[str, Any]]
    item: dict[str, Any] | None


def explain_user(workspace: Workspace, user_id: str, day: date, item_id: str | None = None) -> Explanation:
    """Explain the user's list of `day`: of the published run, or as it would be scored now.

    Raises: UnknownUserError, UnknownItemError with close matches; ModelError and InputError as `score` does.
    """
    opened = open_explained_day(workspace, user_id, day)
    features = opened.partition.features.span(opened.user, opened.user + 1)
    serving, ranked = _rank(opened, features, workspace.threads)
    external_id = features.user_ids[0]
    recommendations = _recommendations(ranked, features)
    published = published_list(workspace, day, external_id) if opened.run else []
    return Explanation(
        user_id=external_id,
        day=day,
        run_id=opened.run["run_id"] if opened.run else None,
        model_version=opened.bundle.version,
        published=published,
        differences=_differences(recommendations, published, opened),
        user=_user(features, serving),
        events=_events(features, day),
        left_out=left_out(features, serving),
        sources=_sources(ranked, serving),
        recommendations=recommendations,
        candidates=_candidates(ranked, features, serving),
        item=None if item_id is None else explain_item(item_id, features, serving, ranked),
    )


def _rank(opened: ExplainedDay, features: FeatureTables, threads: int) -> tuple[BoundDay, RankedUser]:
    model = opened.bundle.model
    serving = open_items(model.stage, opened.partition.features, threads, opened.index).of_users(features)
    ranker = model.ranker.on(serving.tables.items)
    ranked = rank_users(ALONE, serving, ranker, opened.shortlist)
    return serving, RankedUser(ranked.frame(serving), opened.top_k, model.ranker)


def _differences(
    now: Sequence[dict[str, Any]], published: Sequence[dict[str, Any]], opened: ExplainedDay
) -> list[str]:
    """Return, a line each, the causes and the first place where two lists differ, if they do."""
    if opened.run is None:
        return []
    if not published and not opened.run["all_users"]:
        return [f"run {opened.run['run_id']} was over chosen users, not this one: the list is as of now"]
    causes = opened.causes
    if len(now) != len(published):
        return [*causes, f"the published list has {len(published)} items, this one {len(now)}"]
    for one, other in zip(now, published, strict=True):
        if one[ITEM_ID] != other[ITEM_ID] or abs(one[SCORE] - other[SCORE]) > _CLOSE:
            before, after = (f"{row[ITEM_ID]} with {row[SCORE]:.6f}" for row in (other, one))
            return [*causes, f"rank {other[RANK]}: published was {before}; now it is {after}"]
    return []


def _user(features: FeatureTables, serving: BoundDay) -> dict[str, Any]:
    row = features.users.row(0, named=True)
    del row[USER_ID]
    return {"warm": bool(serving.history.nnz), "features": plain(row)}


def _events(features: FeatureTables, day: date) -> list[dict[str, Any]]:
    own = features.pairs.sort(DAYS_AGO, ITEM).head(_LATEST_EVENTS)
    named = own.join(_names(features), on=ITEM, how="left", maintain_order="left")
    return [
        {
            ITEM_ID: row[ITEM_ID],
            TITLE: row[TITLE],
            "events": row[EVENTS],
            "last_day": str(day - timedelta(days=max(1, int(np.ceil(row[DAYS_AGO]))))),
        }
        for row in named.iter_rows(named=True)
    ]


def _sources(ranked: RankedUser, serving: BoundDay) -> dict[str, dict[str, int]]:
    chunk, counts = serving.chunk(ALONE), {}
    for source in serving.generators:
        proposed = ~ranked.frame[f"{source.name}_rank"].is_nan()
        counts[source.name] = {
            "wanted": int(source.score(chunk).lists.shape[1]),
            "proposed": int(proposed.sum()),
            "recommended": int(proposed.head(ranked.top_k).sum()),
        }
    return counts


def _recommendations(ranked: RankedUser, features: FeatureTables) -> list[dict[str, Any]]:
    top, names = ranked.frame.head(ranked.top_k), ranked.ranker.columns
    if top.is_empty():
        return []
    values, usual = ranked.contributions, ranked.contributions.mean(axis=0)
    named = top.join(_names(features), on=ITEM, how="left", maintain_order="left")
    return [
        {
            ITEM_ID: row[ITEM_ID],
            TITLE: row[TITLE],
            RANK: row[RANK],
            SCORE: row[SCORE],
            RAW_SCORE: row[RAW_SCORE],
            SOURCES: row[SOURCES].split(","),
            "base_value": float(shap[-1]),
            "contributions": dict(zip(names, shap[:-1].tolist(), strict=True)),
            "against": dict(zip(names, (shap - usual)[:-1].tolist(), strict=True)),
            "features": plain({name: row[name] for name in names}),
        }
        for row, shap in zip(named.iter_rows(named=True), values, strict=False)
    ]


def _candidates(ranked: RankedUser, features: FeatureTables, serving: BoundDay) -> list[dict[str, Any]]:
    named = ranked.frame.join(_names(features), on=ITEM, how="left", maintain_order="left")
    names = [generator.name for generator in serving.generators]
    return [
        {
            ITEM_ID: row[ITEM_ID],
            TITLE: row[TITLE],
            RANK: row[RANK],
            SCORE: row[SCORE],
            RAW_SCORE: row[RAW_SCORE],
            SOURCES: {
                name: plain({RANK: _rank_of(row[f"{name}_rank"]), SCORE: row[f"{name}_score"]})
                for name in names
            },
        }
        for row in named.iter_rows(named=True)
    ]


def _rank_of(value: float) -> int | None:
    """Return a source's rank, None where it did not propose the item."""
    return None if np.isnan(value) else int(value)


def _names(features: FeatureTables) -> pl.DataFrame:
    return features.items.select(ITEM_ID, TITLE).with_row_index(ITEM)

"""`explain`: one user through the very function that scores, keeping everything that `score` throws away."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from recsys_cli.data_preparation.features import DAYS_AGO, EVENTS, DayFeatures, FeatureTables
from recsys_cli.data_preparation.ids import close_ids
from recsys_cli.models.ranker import Ranker
from recsys_cli.models.two_stage import ServingDay, open_items, rank_users
from recsys_cli.pipelines.publication import published_manifest
from recsys_cli.pipelines.serving import open_bundle, open_fitting_features
from recsys_cli.pipelines.workspace import Workspace
from recsys_cli.utils.columns import ITEM, ITEM_ID, RANK, RAW_SCORE, SCORE, SOURCES, TITLE, USER_ID
from recsys_cli.utils.dates import parse_day
from recsys_cli.utils.errors import UnknownUserError, UsageError

_LATEST_EVENTS = 10


@dataclass(frozen=True)
class Explanation:
    """Why a user's list looks as it does; every part is plain data, ready for JSON.

    Attributes:
        run_id: the published run that is explained, None where the date has none.
        changed: whether the inputs have changed since that run.
        user: the user's features; `warm` tells whether there are events.
        events: the latest items, the newest first.
        recommendations: the final rows with features and contributions.
        candidates: every candidate with each source's rank and score.
    """

    user_id: str | int
    day: date
    run_id: str | None
    model_version: str
    changed: bool
    user: dict[str, Any]
    events: list[dict[str, Any]]
    recommendations: list[dict[str, Any]]
    candidates: list[dict[str, Any]]


def last_published(workspace: Workspace) -> date | None:
    """Return the latest day with published recommendations."""
    names = [folder.name.removeprefix("date=") for folder in workspace.published.glob("date=????-??-??")]
    days = sorted(
        parse_day(name) for name in names if published_manifest(workspace.published / f"date={name}")
    )
    return days[-1] if days else None


def example_user(workspace: Workspace, day: date) -> str:
    """Return the id of a warm user of the published run.

    Raises: UsageError if nothing is published for the day.
    """
    published = published_manifest(workspace.recommendations(day))
    if published is None:
        raise UsageError(
            f"no user is named, and nothing is published for {day}",
            where="recsys explain",
            fix="give a USER_ID, or run `recsys score` first",
        )
    return str(published["example_user"])


def explain_user(workspace: Workspace, user_id: str, day: date) -> Explanation:
    """Explain the user's list of `day`: of the published run, or as it would be scored now.

    Raises: UnknownUserError with close matches; ModelError and InputError as `score` does.
    """
    published = published_manifest(workspace.recommendations(day))
    bundle = open_bundle(workspace, day, published["model_version"] if published else None)
    partition = open_fitting_features(workspace, bundle, day, lambda found: _find(found, user_id, day))
    user = _find(partition.features, user_id, day)
    features, ranker = partition.features.span(user, user + 1), bundle.model.ranker
    index, top_k, shortlist = _asked(workspace, published)
    items = open_items(bundle.model.stage, partition.features, workspace.threads, index)
    serving = items.of_users(features)
    only = np.zeros(1, dtype=np.uint32)
    ranked = rank_users(only, serving, ranker.on(serving.tables.items), shortlist).frame(serving)
    return Explanation(
        user_id=features.user_ids[0],
        day=day,
        run_id=published["run_id"] if published else None,
        model_version=bundle.version,
        changed=published is not None and published["features_content_hash"] != partition.content_hash,
        user=_user(features, serving),
        events=_events(features, day),
        recommendations=_recommendations(ranked.head(top_k), features, ranker),
        candidates=_candidates(ranked, features, serving),
    )


def _asked(workspace: Workspace, published: Mapping[str, Any] | None) -> tuple[str, int, int]:
    """Return index, length of the lists and shortlist: of the published run, or of the settings."""
    if published:
        return published["index"], published["top_k"], published["shortlist"]
    settings = workspace.settings
    top_k = settings.scoring.top_k
    return settings.candidates.index, top_k, settings.scoring.shortlist_of(top_k)


def _find(features: DayFeatures, user_id: str, day: date) -> int:
    ids = features.user_ids.cast(pl.String)
    found = (ids == user_id).arg_true()
    if len(found):
        return int(found[0])
    raise UnknownUserError(
        f"user {user_id!r} is unknown before {day}",
        where="recsys explain",
        fix=f"close ids: {', '.join(close_ids(ids, user_id))}",
    )


def _user(features: FeatureTables, serving: ServingDay) -> dict[str, Any]:
    row = features.users.row(0, named=True)
    del row[USER_ID]
    return {"warm": bool(serving.history.nnz), "features": _plain(row)}


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


def _recommendations(top: pl.DataFrame, features: FeatureTables, ranker: Ranker) -> list[dict[str, Any]]:
    if top.is_empty():
        return []
    values = ranker.contributions(top)
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
            "contributions": dict(zip(ranker.columns, (float(value) for value in shap[:-1]), strict=True)),
            "features": _plain({name: row[name] for name in ranker.columns}),
        }
        for row, shap in zip(named.iter_rows(named=True), values, strict=True)
    ]


def _candidates(ranked: pl.DataFrame, features: FeatureTables, serving: ServingDay) -> list[dict[str, Any]]:
    named = ranked.join(_names(features), on=ITEM, how="left", maintain_order="left")
    names = [generator.name for generator in serving.generators]
    return [
        {
            ITEM_ID: row[ITEM_ID],
            TITLE: row[TITLE],
            RANK: row[RANK],
            SCORE: row[SCORE],
            RAW_SCORE: row[RAW_SCORE],
            SOURCES: {
                name: _plain({RANK: _rank(row[f"{name}_rank"]), SCORE: row[f"{name}_score"]})
                for name in names
            },
        }
        for row in named.iter_rows(named=True)
    ]


def _rank(value: float) -> int | None:
    """Return a source's rank, None where it did not propose the item."""
    return None if np.isnan(value) else int(value)


def _names(features: FeatureTables) -> pl.DataFrame:
    return features.items.select(ITEM_ID, TITLE).with_row_index(ITEM)


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values that JSON has: no NaN."""
    return {
        name: None if isinstance(value, float) and not np.isfinite(value) else value
        for name, value in values.items()
    }

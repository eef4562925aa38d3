"""The report card: published lists judged by what their users did next, beside recent popularity."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from recsys_cli.data_preparation.features.day_features import DayFeatures, build_features
from recsys_cli.data_preparation.tables.contract import Tables, inspect_tables
from recsys_cli.data_preparation.tables.problems import raise_errors
from recsys_cli.models.evaluation.metrics import (
    HIT_RATE,
    MAP,
    NDCG,
    RECALL,
    RECTOOLS_MAP,
    RECTOOLS_NDCG,
    bootstrap_interval,
    user_metrics,
)
from recsys_cli.models.evaluation.popularity_baseline import popularity_lists
from recsys_cli.pipelines.evaluation.ground_truth import Known, covered_days, ground_truth_of
from recsys_cli.pipelines.publication.lookup import run_settings
from recsys_cli.pipelines.workspace.feature_store import stored_partition
from recsys_cli.pipelines.workspace.inputs import read_inputs
from recsys_cli.pipelines.workspace.layout import RECOMMENDATIONS, Workspace
from recsys_cli.utils.columns import ITEM, ITEM_ID, RANK, USER, USER_ID

_WINDOW = re.compile(r"item_events_(\d+)d")
_MEASURES = (NDCG, MAP, HIT_RATE, RECALL)
_RECTOOLS = {RECTOOLS_NDCG: NDCG, RECTOOLS_MAP: MAP, RECALL: RECALL}


@dataclass(frozen=True)
class Window:
    """The days that lists are judged by.

    Attributes:
        days: how many, from the lists' day on.
        most: publications that are judged: the newest whose days are over, then the newest others.
    """

    days: int
    most: int


@dataclass(frozen=True)
class Card:
    """How the lists of a day did among the users who had an event before it and one in the days from it on.

    Attributes:
        covered_days: of `days`, up to the newest event.
        cold_users: who had one in the days from it on alone; they are not judged.
        measures: by name and k, mean and 95 % interval over the users: mean, low, high.
        popularity: name and NDCG of the window of recent popularity that did best; None where there is none.
        difference: NDCG less that of popularity, of the same users: mean, low, high.
        rectools: the same lists by the definitions of RecTools' defaults.
    """

    day: date
    days: int
    covered_days: int
    k: int
    users: int
    cold_users: int
    measures: dict[str, dict[str, float]]
    popularity: dict[str, Any] | None
    difference: dict[str, float] | None
    rectools: dict[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return the card as a JSON object."""
        plain = dict(vars(self))
        return {"date": str(plain.pop("day")), **plain}


@dataclass(frozen=True)
class _Lists:
    """Published lists, and what was known when they were made."""

    day: date
    file: Path
    k: int
    features: DayFeatures
    known: Known
    new_only: bool


def report_cards(
    workspace: Workspace, published: Mapping[date, Mapping[str, Any]], window: Window
) -> list[Card]:
    """Judge publications, the earliest first: those of all users that later events follow.

    Args:
        published: manifests by day, ascending.

    Raises: InputError for inputs that cannot be used.
    """
    days = [day for day, manifest in published.items() if manifest["all_users"]]
    if not days:
        return []
    settings = workspace.settings
    end = days[-1] + timedelta(days=min(window.days, (date.max - days[-1]).days))
    tables, problems = inspect_tables(settings.data, workspace.root, end, settings.timezone)
    raise_errors(problems)
    assert tables is not None
    chosen = _chosen(tables, days, window)
    cards = (
        _judged(_open(workspace, day, published[day]), tables, covered, window.days)
        for day, covered in chosen
    )
    return [card for card in cards if card is not None]


def _chosen(tables: Tables, days: Sequence[date], window: Window) -> list[tuple[date, int]]:
    """Return the days to judge, ascending, with how many days of their windows are covered."""
    covered = [(day, covered_days(tables, day, window.days)) for day in days]
    newest_first = sorted((one for one in covered if one[1]), reverse=True)
    whole_first = sorted(newest_first, key=lambda one: one[1] < window.days)
    return sorted(whole_first[: window.most])


def _open(workspace: Workspace, day: date, manifest: Mapping[str, Any]) -> _Lists:
    """Return the lists of a day with its features, or where these are gone with what they would be now."""
    partition = stored_partition(workspace, day, manifest["features_content_hash"])
    features: DayFeatures
    if partition is None:
        features = build_features(read_inputs(workspace, day, external_days=[]), workspace.settings.features)
    else:
        features = partition.features
    settings = workspace.settings
    viewed = run_settings(workspace, manifest).get("scoring.filter_viewed", settings.scoring.filter_viewed)
    return _Lists(
        day,
        workspace.recommendations(day) / RECOMMENDATIONS,
        min(settings.evaluation.k, int(manifest["top_k"])),
        features,
        Known(
            features.user_ids, features.items[ITEM_ID], features.lazy("pairs").select(USER, ITEM).collect()
        ),
        bool(viewed),
    )


def _judged(lists: _Lists, tables: Tables, covered: int, days: int) -> Card | None:
    """Return how the lists did; None where nobody that is judged did anything."""
    done = ground_truth_of(tables, lists.known, lists.day, days, new_only=lists.new_only)
    truth = done.join(lists.known.had, on=USER, how="semi")
    if truth.is_empty():
        return None
    k = lists.k
    ours = user_metrics(_published(lists, truth), truth, k)
    rivals = {name: user_metrics(frame, truth, k) for name, frame in _popularity(lists, truth)}
    best = max(rivals, key=lambda name: _mean(rivals[name][NDCG]), default=None)
    return Card(
        lists.day,
        days,
        covered,
        k,
        len(ours),
        done[USER].n_unique() - len(ours),
        {f"{name}@{k}": _interval(ours[name]) for name in _MEASURES},
        None if best is None else {"name": best, f"{NDCG}@{k}": _mean(rivals[best][NDCG])},
        None if best is None else _interval(ours[NDCG] - rivals[best][NDCG]),
        {f"{theirs}@{k}": _mean(ours[name]) for name, theirs in _RECTOOLS.items()},
    )


def _published(lists: _Lists, truth: pl.DataFrame) -> pl.DataFrame:
    """Return user, item, rank of the file, in internal indices: the users of the truth alone."""
    users = truth[USER].unique().sort()
    wanted = pl.DataFrame({USER_ID: lists.known.user_ids.gather(users), USER: users})
    items = lists.known.item_ids.to_frame().with_row_index(ITEM)
    rows = pl.scan_parquet(lists.file).select(USER_ID, ITEM_ID, RANK)
    found = rows.join(wanted.lazy(), on=USER_ID).join(items.lazy(), on=ITEM_ID)
    return found.select(USER, ITEM, RANK).collect(engine="streaming")


def _popularity(lists: _Lists, truth: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    users = truth[USER].unique().sort()
    had = lists.known.had
    left_out = had.filter(pl.col(USER).is_in(users.implode())) if lists.new_only else had.clear()
    names = [_WINDOW.fullmatch(name) for name in lists.features.items.columns]
    if windows := [int(found[1]) for found in names if found]:
        yield from popularity_lists(lists.features, left_out, users.to_numpy(), windows, lists.k).items()


def _interval(values: pl.Series) -> dict[str, float]:
    low, high = bootstrap_interval(values.to_numpy())
    return {"mean": _mean(values), "low": low, "high": high}


def _mean(values: pl.Series) -> float:
    return float(values.to_numpy().mean())

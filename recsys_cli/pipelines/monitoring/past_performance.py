"""How published lists did: measured by what their users did next, beside recent popularity."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date

import polars as pl

from recsys_cli.data_preparation.features.day_features import build_features
from recsys_cli.data_preparation.features.feature_tables import DayFeatures, seen_pairs
from recsys_cli.data_preparation.tables.contract import Tables, inspect_tables
from recsys_cli.data_preparation.tables.ids import indices_of
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
from recsys_cli.pipelines.publication.lookup import Publications, run_settings
from recsys_cli.pipelines.publication.manifest import PublicationManifest
from recsys_cli.pipelines.workspace.feature_store import stored_partition
from recsys_cli.pipelines.workspace.inputs import read_inputs
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import ITEM, ITEM_ID, RANK, USER, USER_ID
from recsys_cli.utils.dates import days_after
from recsys_cli.utils.storage.table_files import scan_parquet_file

_WINDOW = re.compile(r"item_events_(\d+)d")
_MEASURES = (NDCG, MAP, HIT_RATE, RECALL)
_RECTOOLS = {RECTOOLS_NDCG: NDCG, RECTOOLS_MAP: MAP, RECALL: RECALL}


@dataclass(frozen=True)
class Window:
    """The days that lists are evaluated on.

    Attributes:
        days: how many, from the lists' day on.
        most: publications that are evaluated: the newest whose days are over, then the newest others.
    """

    days: int
    most: int


@dataclass(frozen=True)
class Interval:
    """A mean over users, with its 95 % interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class PopularityRival:
    """The window of recent popularity that did best, and its NDCG."""

    name: str
    ndcg: float


@dataclass(frozen=True)
class PastPerformance:
    """How the lists of a day did, for users with events before the day and in the days from it on.

    Attributes:
        covered_days: of `days`, up to the newest event.
        cold_users: users without an event before the day; they are not evaluated.
        measures: by name and k.
        popularity: None where there is none.
        difference: NDCG less that of popularity, of the same users.
        rectools: the same lists by the definitions of RecTools' defaults.
    """

    day: date
    days: int
    covered_days: int
    k: int
    users: int
    cold_users: int
    measures: dict[str, Interval]
    popularity: PopularityRival | None
    difference: Interval | None
    rectools: dict[str, float]

    @property
    def ndcg_name(self) -> str:
        """The name of NDCG at the lists' k."""
        return f"{NDCG}@{self.k}"

    @property
    def ndcg(self) -> Interval:
        """NDCG at the lists' k."""
        return self.measures[self.ndcg_name]

    def as_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        values = asdict(self)
        del values["day"]
        if self.popularity is not None:
            values["popularity"] = {"name": self.popularity.name, self.ndcg_name: self.popularity.ndcg}
        return {"date": str(self.day), **values}


@dataclass(frozen=True)
class _Lists:
    """Published lists, and what was known when they were made."""

    day: ScoringDay
    k: int
    features: DayFeatures
    known: Known
    new_only: bool


def past_performance(workspace: Workspace, published: Publications, window: Window) -> list[PastPerformance]:
    """Evaluate the publications of all users that later events follow, the earliest first.

    Args:
        published: manifests by day, ascending.

    Raises: InputError for inputs that cannot be used.
    """
    days = [day for day, manifest in published.items() if manifest.all_users]
    if not days:
        return []
    settings = workspace.settings
    end = days_after(days[-1], window.days)
    tables, problems = inspect_tables(settings.data, workspace.inputs, end, settings.timezone)
    raise_errors(problems)
    assert tables is not None
    found = (
        _evaluated(_open(ScoringDay(workspace, day), published[day]), tables, covered, window.days)
        for day, covered in _chosen(tables, days, window)
    )
    return [one for one in found if one is not None]


def _chosen(tables: Tables, days: Sequence[date], window: Window) -> list[tuple[date, int]]:
    """Return the days to evaluate, ascending, with how many days of their windows are covered."""
    covered = [(day, covered_days(tables, day, window.days)) for day in days]
    newest_first = sorted((one for one in covered if one[1]), reverse=True)
    whole_first = sorted(newest_first, key=lambda one: one[1] < window.days)
    return sorted(whole_first[: window.most])


def _open(day: ScoringDay, manifest: PublicationManifest) -> _Lists:
    """Return the lists of a day with its features; features that are gone are built again."""
    workspace, settings = day.workspace, day.workspace.settings
    partition = stored_partition(day, manifest.features_content_hash)
    features: DayFeatures
    if partition is None:
        features = build_features(read_inputs(workspace, day.date, feature_days=[]), settings.features)
    else:
        features = partition.features
    then = run_settings(workspace, manifest.run_id)
    viewed = then.get("scoring.filter_viewed", settings.scoring.filter_viewed)
    had = features.lazy("pairs").select(USER, ITEM, "^seen$").collect()
    known = Known(features.user_ids, features.items[ITEM_ID], had, seen_pairs(had))
    return _Lists(day, min(settings.evaluation.k, manifest.top_k), features, known, bool(viewed))


def _evaluated(lists: _Lists, tables: Tables, covered: int, days: int) -> PastPerformance | None:
    """Return how the lists did; None if no evaluated user has an event in those days."""
    day, k = lists.day.date, lists.k
    done = ground_truth_of(tables, lists.known, day, days, new_only=lists.new_only)
    ground_truth = done.join(lists.known.had, on=USER, how="semi")
    if ground_truth.is_empty():
        return None
    ours = user_metrics(_published(lists, ground_truth), ground_truth, k)
    rivals = {name: user_metrics(frame, ground_truth, k) for name, frame in _popularity(lists, ground_truth)}
    best = max(rivals, key=lambda name: _mean(rivals[name][NDCG]), default=None)
    return PastPerformance(
        day=day,
        days=days,
        covered_days=covered,
        k=k,
        users=len(ours),
        cold_users=done[USER].n_unique() - len(ours),
        measures={f"{name}@{k}": _interval(ours[name]) for name in _MEASURES},
        popularity=None if best is None else PopularityRival(best, _mean(rivals[best][NDCG])),
        difference=None if best is None else _interval(ours[NDCG] - rivals[best][NDCG]),
        rectools={f"{theirs}@{k}": _mean(ours[name]) for name, theirs in _RECTOOLS.items()},
    )


def _published(lists: _Lists, ground_truth: pl.DataFrame) -> pl.DataFrame:
    """Return user, item, rank of the file, in internal indices; only users of the ground truth."""
    ids = lists.known.user_ids.gather(ground_truth[USER].unique())
    file = scan_parquet_file(lists.day.file).select(USER_ID, ITEM_ID, RANK)
    rows = file.filter(pl.col(USER_ID).is_in(ids.implode())).collect(engine="streaming")
    users = indices_of(rows[USER_ID], lists.known.user_ids)
    items = indices_of(rows[ITEM_ID], lists.known.item_ids)
    return rows.select(users.alias(USER), items.alias(ITEM), RANK).drop_nulls()


def _popularity(lists: _Lists, ground_truth: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    users = ground_truth[USER].unique().sort()
    seen = lists.known.seen
    left_out = seen.filter(pl.col(USER).is_in(users.implode())) if lists.new_only else seen.clear()
    names = [_WINDOW.fullmatch(name) for name in lists.features.items.columns]
    if windows := [int(found[1]) for found in names if found]:
        yield from popularity_lists(lists.features, left_out, users.to_numpy(), windows, lists.k).items()


def _interval(values: pl.Series) -> Interval:
    low, high = bootstrap_interval(values.to_numpy())
    return Interval(_mean(values), low, high)


def _mean(values: pl.Series) -> float:
    return float(values.to_numpy().mean())

"""`evaluate`: train as of a day, rank by the scoring path, and judge the lists by what users did next."""

from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
from loguru import logger

from recsys_cli.configs.sections import CandidatesSettings
from recsys_cli.data_preparation.features import FeatureTables, build_features
from recsys_cli.data_preparation.problems import raise_errors
from recsys_cli.data_preparation.tables import Tables, inspect_tables, read_tables
from recsys_cli.data_preparation.training_set import window_pairs
from recsys_cli.models.metrics import (
    MAP,
    NDCG,
    PER_USER,
    bootstrap_interval,
    catalogue_coverage,
    mean_inv_user_freq,
    user_metrics,
)
from recsys_cli.models.ranker import Ranker
from recsys_cli.models.training import train_two_stage
from recsys_cli.models.two_stage import ServingDay, TwoStageModel, open_day, rank_users
from recsys_cli.pipelines.run_record import Run
from recsys_cli.pipelines.workspace import Workspace
from recsys_cli.utils.columns import ELIGIBLE, ITEM, ITEM_ID, RANK, TIMESTAMP, USER, USER_ID
from recsys_cli.utils.dates import day_start
from recsys_cli.utils.errors import InputError, UsageError
from recsys_cli.utils.progress import Progress, silent

COVERAGE = "CatalogCoverage"
NOVELTY = "MeanInvUserFreq"
TWO_STAGES = "two stages"
_RANK_OF = {"popular": "popular_rank", "lightfm": "lightfm_rank", TWO_STAGES: RANK}


@dataclass(frozen=True)
class EvaluationRequest:
    """Lists of `k` items for `day`, judged by the `days` days that begin with it."""

    day: date
    days: int
    k: int


@dataclass(frozen=True)
class Exam:
    """What may be learnt from, and what will be asked.

    Attributes:
        request: what the lists are made for.
        tables: everything before the day.
        truth: distinct user, item of the window, by the tables' indices; an item that was unknown before the
            day has an index beyond the tables' items. Users with an event before the day alone.
        covered_days: days of the window up to the newest event.
    """

    request: EvaluationRequest
    tables: Tables
    truth: pl.DataFrame
    covered_days: int


@dataclass(frozen=True)
class Comparison:
    """The two stages against the better of the single models: mean difference a user, 95 % interval."""

    metric: str
    against: str
    difference: float
    low: float
    high: float


@dataclass(frozen=True)
class EvaluationReport:
    """The measures of each contestant.

    Attributes:
        measures: contestant → name of the measure → value.
        candidate_recall: share of the relevant pairs among the candidates: no order of them finds more.
    """

    request: EvaluationRequest
    covered_days: int
    users: int
    relevant_pairs: int
    candidate_recall: float
    measures: dict[str, dict[str, float]]
    comparisons: list[Comparison]

    def facts(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        return {
            "schema_version": 1,
            "date": str(self.request.day),
            "days": self.request.days,
            "covered_days": self.covered_days,
            "k": self.request.k,
            "users": self.users,
            "relevant_pairs": self.relevant_pairs,
            "candidate_recall": self.candidate_recall,
            "models": self.measures,
            "comparisons": [asdict(comparison) for comparison in self.comparisons],
        }


def set_exam(workspace: Workspace, request: EvaluationRequest, run: Run) -> Exam:
    """Read what lies before the day and, apart from it, what users did in the window.

    Raises: UsageError for a `k` or `days` that cannot be judged; InputError where the window holds nothing.
    """
    settings = workspace.settings
    _check_request(request, settings.candidates)
    end = request.day + timedelta(days=request.days)
    with run.stages.stage("read"):
        tables = read_tables(
            settings.data, workspace.root, request.day, settings.timezone, settings.scoring.exclude
        )
        window, problems = inspect_tables(settings.data, workspace.root, end, settings.timezone)
        raise_errors(problems)
        assert window is not None
        covered = _covered_days(window, request)
        truth = _truth(tables, window, request, new_only=settings.scoring.filter_viewed)
    if truth.is_empty():
        raise InputError(
            f"no user known before {request.day} has a relevant event in the {request.days} days from it on",
            where=settings.data.interactions.path,
            fix="give an earlier --date or more --days",
        )
    return Exam(request, tables, truth, covered)


def train_for(exam: Exam, workspace: Workspace, run: Run, progress: Progress = silent) -> TwoStageModel:
    """Learn both stages as `train` does; nothing is kept.

    Raises: InputError when the history is too short; ModelError when there is nothing to learn from.
    """
    with run.stages.stage("train"):
        return train_two_stage(exam.tables, workspace.settings, workspace.threads, progress)[0]


def judge(
    exam: Exam, model: TwoStageModel, workspace: Workspace, run: Run, progress: Progress = silent
) -> EvaluationReport:
    """Rank for the users of the truth by the scoring path, and measure each contestant's lists."""
    k, truth = exam.request.k, exam.truth
    with run.stages.stage("rank"):
        features = build_features(exam.tables, workspace.settings.features)
        lists, reached = _lists(exam, open_day(model.stage, features), model.ranker, workspace, progress)
    with run.stages.stage("measure"):
        by_user = {name: user_metrics(frame, truth, k) for name, frame in lists.items()}
        return EvaluationReport(
            request=exam.request,
            covered_days=exam.covered_days,
            users=truth[USER].n_unique(),
            relevant_pairs=len(truth),
            candidate_recall=reached / len(truth),
            measures={
                name: _means(by_user[name], k) | _variety(frame, features, k) for name, frame in lists.items()
            },
            comparisons=[_compared(by_user, metric, k) for metric in (NDCG, MAP)],
        )


def _check_request(request: EvaluationRequest, candidates: CandidatesSettings) -> None:
    most = min(candidates.num_candidates, candidates.popular.num_candidates)
    if request.k > most:
        raise UsageError(
            f"lists of {request.k} items cannot be compared: a single model proposes {most}",
            where="--k",
            fix="give a smaller --k, or raise num_candidates of candidates and of candidates.popular",
        )
    if request.days > (date.max - request.day).days:
        raise UsageError(
            f"{request.days} days from {request.day} on reach beyond the calendar",
            where="--days",
            fix="give fewer --days",
        )


def _covered_days(window: Tables, request: EvaluationRequest) -> int:
    """Return the days of the window that begin before the newest event; tell when some do not."""
    newest: datetime = window.events.select(pl.col(TIMESTAMP).max()).item()
    starts = [day_start(request.day + timedelta(days=n), window.timezone) for n in range(request.days)]
    covered = sum(start <= newest for start in starts)
    if not covered:
        raise InputError(
            f"the interactions end before {request.day}: there is nothing to judge by",
            where="--date",
            fix=f"give a date before {newest:%Y-%m-%d %H:%M} UTC, the newest event",
        )
    if covered < request.days:
        logger.warning("the interactions cover {} of the {} days from {}", covered, request.days, request.day)
    return covered


def _truth(tables: Tables, window: Tables, request: EvaluationRequest, *, new_only: bool) -> pl.DataFrame:
    """Return distinct user, item of the window, matched to the tables by their ids."""
    users = _places(window.users[USER_ID], tables.users[USER_ID])
    items = _places(window.items[ITEM_ID], tables.items[ITEM_ID])
    done = window_pairs(window, request.day, request.days).select(
        pl.lit(users).gather(USER).alias(USER),
        pl.coalesce(pl.lit(items).gather(ITEM), pl.col(ITEM) + len(tables.items)).alias(ITEM),
    )
    known = done.join(tables.events, on=USER, how="semi")
    return (known.join(tables.events, on=[USER, ITEM], how="anti") if new_only else known).sort(USER, ITEM)


def _places(ids: pl.Series, known: pl.Series) -> pl.Series:
    """Return the place of each id among the known ones, null where it is not."""
    places = known.rename("id").to_frame().with_row_index("place")
    return ids.rename("id").to_frame().join(places, on="id", how="left", maintain_order="left")["place"]


def _lists(
    exam: Exam, day: ServingDay, ranker: Ranker, workspace: Workspace, progress: Progress
) -> tuple[dict[str, pl.DataFrame], int]:
    """Return each contestant's user, item, rank, and how many relevant pairs are among the candidates."""
    users = exam.truth[USER].unique().sort().to_numpy()
    size = workspace.settings.scoring.chunk_users
    parts: dict[str, list[pl.DataFrame]] = {name: [] for name in _RANK_OF}
    reached = 0
    for start in range(0, len(users), size):
        progress(start, len(users))
        ranked = rank_users(users[start : start + size], day, ranker, workspace.threads)
        reached += len(ranked.join(exam.truth, on=[USER, ITEM], how="semi"))
        for name, rank in _RANK_OF.items():
            top = ranked.filter(pl.col(rank) <= exam.request.k)
            parts[name].append(top.select(USER, ITEM, pl.col(rank).alias(RANK)))
    progress(len(users), len(users))
    return {name: pl.concat(frames) for name, frames in parts.items()}, reached


def _means(by_user: pl.DataFrame, k: int) -> dict[str, float]:
    return {f"{name}@{k}": by_user.select(pl.col(name).mean()).item() for name in PER_USER}


def _variety(lists: pl.DataFrame, features: FeatureTables, k: int) -> dict[str, float]:
    catalogue = int(features.items[ELIGIBLE].sum())
    return {
        f"{COVERAGE}@{k}": catalogue_coverage(lists, k, catalogue),
        f"{NOVELTY}@{k}": mean_inv_user_freq(lists, features.pairs, k),
    }


def _compared(by_user: dict[str, pl.DataFrame], metric: str, k: int) -> Comparison:
    values: dict[str, np.ndarray] = {name: frame[metric].to_numpy() for name, frame in by_user.items()}
    best = max((name for name in values if name != TWO_STAGES), key=lambda name: float(values[name].mean()))
    differences: np.ndarray = values[TWO_STAGES] - values[best]
    return Comparison(f"{metric}@{k}", best, float(differences.mean()), *bootstrap_interval(differences))

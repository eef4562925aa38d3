"""The search of `tune`: settings are tried on days before a day until the time is up."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from loguru import logger
from optuna.distributions import distribution_to_json

from recsys_cli.configs.dotted_keys import with_values, without
from recsys_cli.configs.sections import Settings
from recsys_cli.configs.toml_templates import settings_text
from recsys_cli.data_preparation.features.labels import label_cuts
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.evaluation.daily_evaluation import TWO_STAGES
from recsys_cli.models.evaluation.metrics import NDCG
from recsys_cli.models.training.two_stage_training import train_until_holdout
from recsys_cli.pipelines.evaluate import (
    EvaluationRequest,
    HoldoutWindow,
    read_holdouts,
    requests_of_earlier_windows,
)
from recsys_cli.pipelines.evaluation.summary import evaluation_summary
from recsys_cli.pipelines.training.context import temporary_context
from recsys_cli.pipelines.tuning.search_space import space_of, values_of
from recsys_cli.pipelines.tuning.study import Search, open_search
from recsys_cli.pipelines.workspace.inputs import with_days
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_record import Run
from recsys_cli.utils.errors import InputError, ModelError, UsageError
from recsys_cli.utils.storage.atomic_writes import replacing
from recsys_cli.utils.storage.folder_checks import check_writable
from recsys_cli.utils.storage.hashing import sha256_of_json
from recsys_cli.utils.storage.locks import locked

_EVALUATION = 2  # trials' time that the evaluation at the end takes: today's settings and the winner


@dataclass(frozen=True)
class TuneRequest:
    """What is asked for.

    Attributes:
        day: only events before it count.
        budget: seconds for this run.
        windows: label windows that a trial is evaluated on, and as many later ones for the winner.
    """

    day: date
    budget: int
    windows: int = 1
    seed: int = 0


@dataclass(frozen=True)
class TuningPlan:
    """What the trials may use, and the windows that they must not see.

    Attributes:
        known: the table sets that each trial is trained and evaluated on, the latest first.
        holdouts: of the untouched windows, the latest first.
        folder: where the search is stored, named after a hash of all that decides a trial's value.
    """

    workspace: Workspace
    request: TuneRequest
    run: Run
    known: Sequence[Tables]
    holdouts: Sequence[HoldoutWindow]
    folder: Path


@dataclass(frozen=True)
class SearchProgress:
    """How far a search has come.

    Attributes:
        earlier: trials of earlier runs.
        done: trials of this run, failed ones among them.
        expected: trials of this run at the end of its time.
        today, best: NDCG@k of today's settings and of the best; None before there is one.
    """

    earlier: int
    done: int = 0
    failed: int = 0
    expected: int = 1
    today: float | None = None
    best: float | None = None


Observer = Callable[[SearchProgress], None]
Objective = Callable[[TuningPlan, Settings], float]  # larger is better
Clock = Callable[[], float]  # seconds


@dataclass(frozen=True)
class Winner:
    """What a search has found.

    Attributes:
        values, today: all that was tried, by dotted key.
        trial: its number.
        file: the values as a settings file.
    """

    values: dict[str, Any]
    today: dict[str, Any]
    trial: int
    progress: SearchProgress
    file: Path

    def changes(self) -> dict[str, tuple[Any, Any]]:
        """Return today's and the winner's value of each setting that changes."""
        return {key: (self.today[key], new) for key, new in self.values.items() if new != self.today[key]}


def plan_tuning(workspace: Workspace, request: TuneRequest, run: Run) -> TuningPlan:
    """Read what the trials may know and, apart from it, the untouched windows.

    Raises: UsageError for windows that reach beyond the calendar; InputError for tables that cannot be used,
        or windows with nothing to evaluate on; OutputError where the search cannot be stored.
    """
    settings = workspace.settings
    length = timedelta(days=settings.ranker.label_days)
    if request.day - date.min < length * (2 * request.windows + settings.ranker.label_windows):
        raise UsageError(
            f"the label windows before {request.day} reach beyond the calendar",
            where="--date, --windows",
            fix="give a later --date or fewer --windows",
        )
    check_writable(workspace.runs)
    latest = EvaluationRequest(request.day - length, length.days, settings.evaluation.k)
    holdouts = read_holdouts(workspace, requests_of_earlier_windows(latest, request.windows), run)
    last = holdouts[-1].tables  # read without anything from its day on
    cuts = label_cuts(last.day, length.days, settings.ranker.label_windows + request.windows - 1)
    last = with_days(last, workspace, cuts)
    known = [last.as_of(last.day - length * back) for back in range(request.windows)]
    folder = workspace.runs / "tune" / f"{request.day}-{_identity(settings, request, last)}"
    return TuningPlan(workspace, request, run, known, holdouts, folder)


def holdout_ndcg(plan: TuningPlan, settings: Settings) -> float:
    """Return the mean NDCG@k of the two stages over the warm users of the trials' windows.

    Raises: InputError, ModelError where the settings cannot be trained.
    """
    workspace, k = replace(plan.workspace, settings=settings), settings.evaluation.k
    results = []
    for tables in plan.known:
        with temporary_context(workspace, plan.run) as context:
            results.append(train_until_holdout(tables, context).evaluation)
    return evaluation_summary(results, k).models[TWO_STAGES][f"{NDCG}@{k}"]


def search(
    plan: TuningPlan,
    observe: Observer,
    objective: Objective = holdout_ndcg,
    clock: Clock = time.monotonic,
) -> Winner:
    """Try settings until the time is up, today's first, and write the best ones as a settings file.

    Each finished trial is stored at once: a later run resumes after it.

    Raises: InputError, ModelError where today's settings cannot be trained; OutputError; LockedError.
    """
    settings, name = plan.workspace.settings, plan.folder.name
    started, space = clock(), space_of(settings)
    with locked(plan.workspace.lock(f"tune-{name}"), f"the search {name}"):
        trials = open_search(plan.folder, space, values_of(settings, space), plan.request.seed)
        progress = SearchProgress(earlier=len(trials.complete()))
        while not progress.done or progress.done < progress.expected:
            observe(progress)
            failed = progress.failed + (not _try_next(trials, plan, objective, clock))
            left = plan.request.budget - (clock() - started)
            progress = _progress(trials, progress, failed, left)
        observe(progress)
        return _written(trials, progress, plan)


def _try_next(trials: Search, plan: TuningPlan, objective: Objective, clock: Clock) -> bool:
    """Run one trial; return whether it has a value: a failure is logged and stops nothing.

    Raises: InputError, ModelError where it is that of today's settings.
    """
    trial, began = trials.begin(), clock()
    values = trials.values(trial)
    try:
        value = objective(plan, with_values(plan.workspace.settings, values))
    except (InputError, ModelError) as error:
        trials.fail(trial, error.what)
        if values == trials.today:
            raise
        logger.warning("trial {} failed: {}", trial.number, error.what)
        return False
    trials.end(trial, value, clock() - began)
    logger.info("trial {}: NDCG {:.4f} of {}", trial.number, value, values)
    return True


def _progress(trials: Search, before: SearchProgress, failed: int, left: float) -> SearchProgress:
    """Return the progress after one more trial, with `left` seconds of the budget to go."""
    done, seconds = before.done + 1, trials.mean_seconds()
    more = max(0, int(left / seconds) - _EVALUATION) if seconds else 0
    today, best = (trial.value if trial else None for trial in (trials.of_today(), trials.best()))
    return SearchProgress(before.earlier, done, failed, done + more, today, best)


def _written(trials: Search, progress: SearchProgress, plan: TuningPlan) -> Winner:
    best, k = trials.best(), plan.workspace.settings.evaluation.k
    assert best is not None
    winner = Winner(trials.values(best), trials.today, best.number, progress, plan.folder / "settings.toml")
    heading = [
        f"The winner of `recsys tune --date {plan.request.day}`: trial {best.number}.",
        f"NDCG@{k} in the search: {progress.best:.4f}; of the settings before: {progress.today:.4f}.",
        "To adopt it, copy these keys into settings/settings.local.toml.",
    ]
    with replacing(winner.file) as temporary:
        temporary.write_text(settings_text(winner.values, heading=heading), encoding="utf-8")
    return winner


def _identity(settings: Settings, request: TuneRequest, tables: Tables) -> str:
    """Return a hash of all that decides a trial's value, except today's values of the tried settings."""
    space = space_of(settings)
    fixed = without(settings, space)
    decisive = {name: fixed[name] for name in ("timezone", "features", "candidates", "ranker")}
    bounds = {key: distribution_to_json(one) for key, one in space.items()}
    rules = [settings.scoring.filter_viewed, settings.evaluation.k, request.windows]
    meaning = settings.data.event_meaning.model_dump(mode="json", exclude_defaults=True)
    return sha256_of_json([decisive, bounds, rules, tables.content_hash(), *([meaning] if meaning else [])])[
        :8
    ]

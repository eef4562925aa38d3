"""`evaluate`: train as of a day, rank by the scoring path, and measure the lists by what users did next."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

import polars as pl
from loguru import logger

from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.features.eligibility import eligibility_problems
from recsys_cli.data_preparation.features.labels import label_cuts
from recsys_cli.data_preparation.readers.row_sources import shown_source
from recsys_cli.data_preparation.tables.contract import Tables, inspect_tables
from recsys_cli.data_preparation.tables.external_candidates import external_files
from recsys_cli.data_preparation.tables.problems import raise_errors
from recsys_cli.models.candidates.registry import external_settings
from recsys_cli.models.evaluation.daily_evaluation import EvaluationResult, evaluate_day
from recsys_cli.models.evaluation.evaluation_summary import EvaluationSummary
from recsys_cli.models.evaluation.list_summary import DiversityCurve, RulesSummary
from recsys_cli.pipelines.evaluation.ablation import check_left_out, settings_without
from recsys_cli.pipelines.evaluation.ground_truth import Known, covered_days, ground_truth_of
from recsys_cli.pipelines.evaluation.list_summaries import diversity_curve, rules_summary
from recsys_cli.pipelines.evaluation.rules_evaluation import ListResults
from recsys_cli.pipelines.evaluation.summary import evaluation_summary
from recsys_cli.pipelines.evaluation.trained_holdout import (
    TrainedHoldout,
    evaluation_options,
    train_holdout,
)
from recsys_cli.pipelines.workspace.inputs import read_inputs
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_record import Run
from recsys_cli.utils.columns import ITEM_ID, TIMESTAMP, USER, USER_ID
from recsys_cli.utils.dates import days_before
from recsys_cli.utils.errors import InputError, UsageError


@dataclass(frozen=True)
class EvaluationRequest:
    """Lists of `k` items for `day`, evaluated on the `days` days that begin with it."""

    day: date
    days: int
    k: int


@dataclass(frozen=True)
class HoldoutWindow:
    """What a training may know, and the days on which its lists are evaluated.

    Attributes:
        request: what the lists are made for.
        tables: everything before the day.
        ground_truth: distinct user, item of the window, by the tables' indices; an item that was unknown
            before the day has an index beyond the tables' items. Only users who were known before the day.
            Where events have weights also gain, see `window_pairs`.
        covered_days: days of the window up to the newest event.
    """

    request: EvaluationRequest
    tables: Tables
    ground_truth: pl.DataFrame
    covered_days: int


@dataclass(frozen=True)
class EvaluationReport:
    """The evaluation of one or more days together.

    Attributes:
        rules, diversity: of the lists by rule and by diversity; None: not asked for.
    """

    requests: Sequence[EvaluationRequest]
    without: Sequence[str]
    covered_days: int
    summary: EvaluationSummary
    rules: RulesSummary | None = None
    diversity: DiversityCurve | None = None

    def as_json(self) -> dict[str, object]:
        """Return the report as a JSON object."""
        first = self.requests[0]
        return {
            "schema_version": 2,
            "date": str(first.day),
            "dates": [str(request.day) for request in self.requests],
            "days": first.days,
            "covered_days": self.covered_days,
            "without": list(self.without),
            **self.summary.as_json(),
            "rules": None if self.rules is None else self.rules.as_json(),
            "diversity": None if self.diversity is None else self.diversity.as_json(),
        }


def requests_of_earlier_windows(request: EvaluationRequest, cuts: int) -> list[EvaluationRequest]:
    """Return the request and those of the windows before it, the latest first.

    Raises: UsageError where they reach beyond the calendar.
    """
    days = [days_before(request.day, request.days * back, "--date, --days, --cuts") for back in range(cuts)]
    return [EvaluationRequest(day, request.days, request.k) for day in days]


def ablated(workspace: Workspace, without: Sequence[str]) -> Workspace:
    """Return the workspace with sources and groups of features off.

    Raises: UsageError for a name that is none of these, or off already.
    """
    return replace(workspace, settings=settings_without(workspace.settings, without))


def read_holdouts(
    workspace: Workspace, requests: Sequence[EvaluationRequest], run: Run, without: Sequence[str] = ()
) -> list[HoldoutWindow]:
    """Read what each request is trained and evaluated on.

    Args:
        without: sources and groups of features that are left out of the evaluation.

    Raises: as `read_holdout` does; InputError that lists the days of all requests without external
        candidates; UsageError for a source in `without` for which the tables have no data.
    """
    used = ablated(workspace, without)
    days = sorted({day for request in requests for day in _feature_days(request, used.settings)})
    external_files(external_settings(used.settings.candidates), workspace.inputs, days)
    holdouts = [read_holdout(used, request, run) for request in requests]
    check_left_out(workspace.settings, without, holdouts[0].tables)
    return holdouts


def read_holdout(workspace: Workspace, request: EvaluationRequest, run: Run) -> HoldoutWindow:
    """Read what lies before the day and, apart from it, what users did in the window.

    Raises: UsageError for `days` that cannot be evaluated; InputError where the window holds nothing, or no
        item may be recommended on the day.
    """
    settings = workspace.settings
    _check_length(request, settings)
    _check_calendar(request)
    with run.stages.stage("read"):
        tables = read_inputs(workspace, request.day, feature_days=_feature_days(request, settings))
        items_file = shown_source(settings.data.items, workspace.root)
        raise_errors(eligibility_problems(tables.items, request.day, items_file))
        window = _read_window(workspace, request)
        covered = _covered_days(window, request)
        known = Known(tables.users[USER_ID], tables.items[ITEM_ID], tables.events, tables.seen())
        new_only = settings.scoring.filter_viewed
        ground_truth = ground_truth_of(window, known, request.day, request.days, new_only=new_only)
    if ground_truth.join(tables.events, on=USER, how="semi").is_empty():
        raise InputError(
            f"no user known before {request.day} has a relevant event in the {request.days} days from it on",
            where=shown_source(settings.data.interactions, workspace.root),
            fix="give an earlier --date or more --days",
        )
    return HoldoutWindow(request, tables, ground_truth, covered)


def evaluate_holdout(holdout: HoldoutWindow, workspace: Workspace, run: Run) -> EvaluationResult:
    """Train both stages, rank by the scoring path, and measure the lists. Raises: as `trained_on` does."""
    return measured_sources(trained_on(holdout, workspace, run), workspace, run)


def trained_on(holdout: HoldoutWindow, workspace: Workspace, run: Run) -> TrainedHoldout:
    """Train both stages as `train` does, and bind them to the users of the window; no model is stored.

    Raises: InputError when the history is too short; ModelError when there is nothing to learn from.
    """
    return train_holdout(holdout.tables, holdout.ground_truth, holdout.request.k, workspace, run)


def measured_sources(trained: TrainedHoldout, workspace: Workspace, run: Run) -> EvaluationResult:
    """Rank by the scoring path, and measure the lists of each source, a blend and the two stages."""
    with run.stages.stage("evaluate") as progress:
        options = evaluation_options(trained, workspace, progress)
        model, relevant = trained.model, trained.ground_truth
        return evaluate_day(trained.day, trained.features, model.ranker, relevant, options)


def report_of(
    holdouts: Sequence[HoldoutWindow],
    results: Sequence[EvaluationResult],
    without: Sequence[str],
    lists: Sequence[ListResults] = (),
) -> EvaluationReport:
    """Put the results of all days together."""
    requests = [holdout.request for holdout in holdouts]
    covered = sum(holdout.covered_days for holdout in holdouts)
    summary = evaluation_summary(results, requests[0].k)
    rules, curve = rules_summary(lists), diversity_curve(lists, requests[0].days)
    return EvaluationReport(requests, without, covered, summary, rules, curve)


def _read_window(workspace: Workspace, request: EvaluationRequest) -> Tables:
    """Return the tables with all events up to the end of the window."""
    end, settings = request.day + timedelta(days=request.days), workspace.settings
    window, problems = inspect_tables(settings.data, workspace.inputs, end, settings.timezone)
    raise_errors(problems)
    assert window is not None
    return window


def _check_calendar(request: EvaluationRequest) -> None:
    if request.days > (date.max - request.day).days:
        raise UsageError(
            f"{request.days} days from {request.day} on reach beyond the calendar",
            where="--days",
            fix="give fewer --days",
        )


def _feature_days(request: EvaluationRequest, settings: Settings) -> list[date]:
    """Return the days that features are built for: those that the models learn from, and the request's."""
    ranking = settings.ranker
    return [*label_cuts(request.day, ranking.label_days, ranking.label_windows), request.day]


def _check_length(request: EvaluationRequest, settings: Settings) -> None:
    """Refuse lists that a source could not fill."""
    wanted = settings.candidates.on(filter_viewed=settings.only_new_items)
    if request.k > min(wanted.values(), default=request.k):
        raise UsageError(
            f"lists of {request.k} items cannot be compared: a source proposes {min(wanted.values())}",
            where="--k, evaluation.k",
            fix="give a smaller k, or raise num_candidates of the sources",
        )


def _covered_days(window: Tables, request: EvaluationRequest) -> int:
    """Return how many days of the window begin before the newest event; log a warning if some do not.

    Raises: InputError if none does.
    """
    covered = covered_days(window, request.day, request.days)
    if not covered:
        newest: datetime = window.events.select(pl.col(TIMESTAMP).max()).item()
        raise InputError(
            f"the interactions end before {request.day}: there is nothing to evaluate on",
            where="--date",
            fix=f"give a date before {newest:%Y-%m-%d %H:%M} UTC, the newest event",
        )
    if covered < request.days:
        logger.warning("the interactions cover {} of the {} days from {}", covered, request.days, request.day)
    return covered

"""Train both stages on earlier label windows, evaluate on the last one, then retrain on all of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from functools import partial

from loguru import logger

from recsys_cli.data_preparation.features.day_features import features_without_rows
from recsys_cli.data_preparation.features.labels import label_cuts
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.definition import FitTask
from recsys_cli.models.candidates.sources.lightfm import LIGHTFM
from recsys_cli.models.candidates.sources.lightfm_model import LightFMModel
from recsys_cli.models.candidates.sources.lightfm_training import fit_lightfm
from recsys_cli.models.candidates.stage import fit_encoders, prepare_items_once
from recsys_cli.models.evaluation.daily_evaluation import EvaluationResult
from recsys_cli.models.feature_encoding import Encoders
from recsys_cli.models.reranking.feature_join import category_columns, feature_group
from recsys_cli.models.reranking.ranker import Ranker
from recsys_cli.models.training.context import TrainingContext
from recsys_cli.models.training.holdout import HOLDOUT, evaluate_on_holdout
from recsys_cli.models.training.label_window import (
    LabelWindow,
    TrainingTables,
    fitted_stage,
    rows_step,
)
from recsys_cli.models.training.lightfm_fits import LightFMFits, fits_ahead
from recsys_cli.models.training.quantised_rows import QuantisedRows, quantise
from recsys_cli.models.training.ranker_training import fit_ranker, nothing_to_learn, refit_ranker
from recsys_cli.models.training.window_rows import GROUP, LABEL, VALIDATION, WindowRows
from recsys_cli.models.two_stage import TwoStageModel
from recsys_cli.utils.columns import GAIN, ITEM, USER
from recsys_cli.utils.errors import SettingsError
from recsys_cli.utils.progress import Progress

_KEYS = (USER, ITEM, LABEL, GAIN, GROUP, VALIDATION)


@dataclass(frozen=True)
class HoldoutTraining:
    """A training up to its holdout.

    Attributes:
        rows: the ranker's rows of all windows.
        ranker: a ranker that has not seen the last window.
        evaluation, own_item_auc: its evaluation there, and that of learnt vectors.
    """

    windows: list[WindowRows]
    rows: QuantisedRows
    ranker: Ranker
    evaluation: EvaluationResult
    own_item_auc: float | None


@dataclass(frozen=True)
class Training:
    """The result of a training.

    Attributes:
        evaluation: of a model that had not seen the last label window, in that window.
        importance: share of each feature of the ranker, in percent.
        own_item_auc: of learnt vectors on the first day of that window; None: not defined there.
    """

    model: TwoStageModel
    windows: list[WindowRows]
    evaluation: EvaluationResult
    importance: Mapping[str, float]
    own_item_auc: float | None


def train_until_holdout(tables: Tables, context: TrainingContext) -> HoldoutTraining:
    """Train both stages before the last label window and evaluate them in it.

    Raises: InputError if the history is too short; ModelError if there are not both labels, or a window has
        leaked into what was made before it; SettingsError if the ranker has no feature.
    """
    known, cuts = _checked(tables, context)
    with lightfm_ahead(known, cuts, context, final=False) as fits:
        return _until_holdout(known, cuts, context, fits)


def train_two_stage(tables: Tables, context: TrainingContext) -> Training:
    """Train both stages on everything before `tables.day`.

    Raises: as `train_until_holdout` does.
    """
    known, cuts = _checked(tables, context)
    with lightfm_ahead(known, cuts, context, final=True) as fits:
        past = _until_holdout(known, cuts, context, fits)
        with context.stages.stage("ranker") as progress:
            ranker = refit_ranker(past.rows, past.ranker, context.fitting(progress))
        stage = fitted_stage(tables, context, fits.result)
    model = TwoStageModel(stage, ranker, tables.day)
    return Training(model, past.windows, past.evaluation, ranker.importance(), past.own_item_auc)


def feature_columns(
    names: Sequence[str], encoders: Encoders, groups: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the ranker's features in the groups, and which of them hold category codes.

    Args:
        names: columns of the ranker's rows.

    Raises: SettingsError if the groups have no feature.
    """
    features = (name for name in names if name not in _KEYS)
    columns = tuple(name for name in features if feature_group(name) in groups)
    if not columns:
        raise SettingsError(
            f"the ranker has no feature in the groups: {', '.join(groups) or 'none'}",
            where="ranker.feature_groups",
            fix="name more groups",
        )
    known = category_columns(encoders)
    return columns, tuple(name for name in columns if name in known)


def _checked(tables: Tables, context: TrainingContext) -> tuple[TrainingTables, list[date]]:
    """Return the training tables and the label windows' first days.

    Raises: before any work is done, InputError if a window has no event before it or in it; SettingsError for
        features that cannot be made.
    """
    features_without_rows(tables, context.settings.features)
    known, ranking = TrainingTables.of(tables, context.settings), context.settings.ranker
    cuts = label_cuts(tables.day, ranking.label_days, ranking.label_windows)
    for cut in cuts:
        LabelWindow(cut, known, context).check()
    return known, cuts


def _until_holdout(
    known: TrainingTables, cuts: Sequence[date], context: TrainingContext, fits: LightFMFits
) -> HoldoutTraining:
    prepare = prepare_items_once(known.everybody)
    windows = [_rows(LabelWindow(cut, known, context, fits.result, prepare=prepare)) for cut in cuts[:-1]]
    last = LabelWindow(cuts[-1], known, context, fits.result, prepare=prepare)
    windows.append(_rows(last))
    with context.stages.stage("LightFM") as progress:
        fits.wait(progress)  # CatBoost's threads wait for each other: one without a core delays all
    with context.stages.stage("quantise"):
        encoders = fit_encoders(known.everybody, context.settings.features.max_categories)
        groups = context.settings.ranker.feature_groups
        names = next((window.columns for window in windows if window.rows), None)
        if names is None:
            raise nothing_to_learn()
        rows = quantise(windows, *feature_columns(names, encoders, groups))
    with context.stages.stage("ranker") as progress:
        ranker = fit_ranker(rows.first_windows(len(cuts) - 1), context.fitting(progress))
    holdout = evaluate_on_holdout(ranker, last, context)
    return HoldoutTraining(windows, rows, holdout.ranker, holdout.evaluation, holdout.own_item_auc)


def _rows(window: LabelWindow) -> WindowRows:
    rows = window.rows()
    logger.info("label window from {}: {} rows, {} positives", rows.first_day, rows.rows, rows.positives)
    return rows


@contextmanager
def lightfm_ahead(
    known: TrainingTables, cuts: Sequence[date], context: TrainingContext, *, final: bool
) -> Iterator[LightFMFits]:
    """Yield the LightFM fits by day; those that no finished step replaces are started ahead.

    Args:
        final: whether the fit of `tables.day` for all users is needed, too.
    """
    settings, day_of_all = context.settings, known.everybody.day
    section = LIGHTFM.section(settings.candidates)
    if not section.num_candidates:
        yield LightFMFits({}, [], context.threads)
        return
    encoders = fit_encoders(known.everybody, settings.features.max_categories)

    def fit(day: date, progress: Progress) -> LightFMModel:
        tables = known.everybody if day == day_of_all else known.sample
        task = FitTask(tables.as_of(day), encoders, context.threads, progress, context.cached)
        return fit_lightfm(task, section)

    days = [*cuts, day_of_all]
    first = [day_of_all] if final else []  # it takes longest
    first += [cut for cut in cuts if not context.checkpoint.has(rows_step(cut))]
    if cuts[-1] not in first and not context.checkpoint.has(HOLDOUT):
        first.append(cuts[-1])
    with fits_ahead({day: partial(fit, day) for day in days}, first, context.threads) as ahead:
        yield ahead

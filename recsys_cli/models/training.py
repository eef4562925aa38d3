"""Training both stages: frames of earlier cuts, an exam on the last window, and everything again with it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import polars as pl
from loguru import logger

from recsys_cli.configs.sections import RankerSettings, Settings
from recsys_cli.data_preparation.features import FeatureTables, build_features
from recsys_cli.data_preparation.tables import Tables
from recsys_cli.data_preparation.training_set import in_validation, label_cuts, window_pairs, with_negatives
from recsys_cli.models.calibration import Calibration, fit_calibration
from recsys_cli.models.candidates.stage import CandidateStage, fit_candidate_stage
from recsys_cli.models.join import category_columns, feature_group
from recsys_cli.models.judging import Verdict, judge_day
from recsys_cli.models.keeping import ArrayStore, not_kept
from recsys_cli.models.leakage import check_leakage
from recsys_cli.models.ranker import GROUP, LABEL, Ranker, fit_ranker, refit_ranker
from recsys_cli.models.two_stage import ServingDay, TwoStageModel, candidate_frame, open_day, rank_users
from recsys_cli.utils.columns import ITEM, SOURCES, USER, USER_ID
from recsys_cli.utils.errors import InputError, SettingsError
from recsys_cli.utils.parallel import chunks_of, mapped
from recsys_cli.utils.progress import Progress, silent
from recsys_cli.utils.stages import Stages

_NO_FEATURES = (USER, ITEM, SOURCES, LABEL, GROUP, "validation")
_CALIBRATION_USERS = 10_000


@dataclass(frozen=True)
class TrainingWindow:
    """What one label window gave: the candidate models of `cut` saw nothing from that day on."""

    cut: date
    users: int
    rows: int
    positives: int
    reachable: int  # positive pairs of the window, among the candidates or not


@dataclass(frozen=True)
class LabelWindow:
    """A window with all that was made as of its first day.

    Attributes:
        stage, features, day: what scoring would have had on the first day of the window.
        positives: user, item that count as taken in the window.
        frame: the ranker's rows.
    """

    cut: date
    stage: CandidateStage
    features: FeatureTables
    day: ServingDay
    positives: pl.DataFrame
    frame: pl.DataFrame

    def summary(self) -> TrainingWindow:
        """Return the window's figures."""
        frame = self.frame
        reached = int(frame[LABEL].sum())
        return TrainingWindow(self.cut, frame[USER].n_unique(), len(frame), reached, len(self.positives))


@dataclass(frozen=True)
class Rehearsal:
    """A training up to its exam.

    Attributes:
        frames: the ranker's rows of each label window, the earliest first.
        judged: a ranker that has not seen the last window.
        verdict: how it did there.
    """

    frames: list[pl.DataFrame]
    windows: list[TrainingWindow]
    judged: Ranker
    verdict: Verdict


@dataclass(frozen=True)
class Training:
    """What a training gave.

    Attributes:
        verdict: how a model that had not seen the last label window did in it.
        importance: each ranker feature's share, in percent.
    """

    model: TwoStageModel
    windows: list[TrainingWindow]
    verdict: Verdict
    importance: Mapping[str, float]


@dataclass(frozen=True)
class Workshop:
    """What every step of a training shares."""

    settings: Settings
    threads: int
    stages: Stages
    kept: ArrayStore = not_kept


def rehearse(tables: Tables, shop: Workshop, progress: Progress = silent) -> Rehearsal:
    """Learn both stages before the last label window and judge them in it: a training up to its exam.

    Raises: InputError when the history is too short; ModelError when there is nothing to learn from, or a
        window has leaked into what was made before it.
    """
    ranking = shop.settings.ranker
    cuts = label_cuts(tables.day, ranking.label_days, ranking.label_windows)
    steps = len(cuts) + 3
    frames, windows = [], []
    for done, cut in enumerate(cuts):
        progress(done, steps)
        last = label_window(tables, cut, shop)
        windows.append(last.summary())
        frames.append(last.frame)
        logger.info(
            "label window from {}: {} rows, {} positives", cut, len(last.frame), windows[-1].positives
        )
    raise_alarm(tables, last, shop)
    progress(len(cuts), steps)
    judged, verdict = _exam(pl.concat(frames[:-1]), last, shop)
    progress(len(cuts) + 1, steps)
    return Rehearsal(frames, windows, judged, verdict)


def train_two_stage(tables: Tables, shop: Workshop, progress: Progress = silent) -> Training:
    """Learn both stages from everything before `tables.day`.

    Raises: InputError, ModelError as `rehearse` does.
    """
    past = rehearse(tables, shop, progress)
    steps = len(past.windows) + 3
    with shop.stages.stage("ranker"):
        ranker = refit_ranker(pl.concat(past.frames), past.judged, shop.settings.ranker, shop.threads)
    progress(steps - 1, steps)
    with shop.stages.stage("candidate models"):
        stage = fit_candidate_stage(tables, shop.settings, shop.threads, shop.kept)
    progress(steps, steps)
    model = TwoStageModel(stage, ranker, tables.day)
    return Training(model, past.windows, past.verdict, ranker.importance())


def label_window(
    tables: Tables, cut: date, shop: Workshop, stage: CandidateStage | None = None
) -> LabelWindow:
    """Make the ranker's rows of one label window by the scoring path as of `cut`.

    Rows of a user are adjacent. A window reaches to `tables.day` at most.

    Args:
        stage: candidate models that have seen nothing from `cut` on; by default they are learnt.

    Raises: InputError where nothing lies before the window or in it.
    """
    settings, before = shop.settings, tables.as_of(cut)
    if before.events.is_empty():
        raise InputError(
            f"no event lies before {cut}, the first day of a label window",
            where="ranker.label_days, ranker.label_windows",
            fix="give a later --date, or shorten the label windows",
        )
    positives = label_pairs(tables, cut, settings)
    if positives.is_empty():
        raise InputError(
            f"no event that counts lies in the label window from {cut} on",
            where="ranker.label_days, ranker.label_windows",
            fix="give an earlier --date, deliver newer interactions, or lengthen the label windows",
        )
    with shop.stages.stage("features"):
        features = build_features(before, settings.features)
    if stage is None:
        with shop.stages.stage("candidate models"):
            stage = fit_candidate_stage(before, settings, shop.threads, shop.kept)
    with shop.stages.stage("training frame"):
        day = open_day(stage, features, shop.threads)
        frame = labelled_frame(day, positives, tables, cut, settings, shop.threads)
    return LabelWindow(cut, stage, features, day, positives, frame)


def label_pairs(tables: Tables, cut: date, settings: Settings) -> pl.DataFrame:
    """Return the distinct user, item that count as taken in the window from `cut` on.

    Where viewed items are left out of the lists, pairs that the user had before do not count.
    """
    days = min(settings.ranker.label_days, (tables.day - cut) // timedelta(days=1))
    pairs = window_pairs(tables, cut, days)
    if not settings.scoring.filter_viewed:
        return pairs
    return pairs.join(tables.as_of(cut).events, on=[USER, ITEM], how="anti", maintain_order="left")


def labelled_frame(
    day: ServingDay, positives: pl.DataFrame, tables: Tables, cut: date, settings: Settings, threads: int
) -> pl.DataFrame:
    """Return the candidates of users with a positive: all positives and some others, labelled and grouped."""
    ranking, size = settings.ranker, settings.scoring.chunk_users
    users = _label_users(positives, ranking)

    def rows_of(chunk: np.ndarray) -> pl.DataFrame:
        frame = candidate_frame(chunk, day)
        return with_negatives(frame, positives, ranking.n_negatives, ranking.random_state)

    chunks = list(mapped(rows_of, chunks_of(users, size), threads))
    frame = pl.concat(chunks)
    validation = in_validation(tables.users[USER_ID], ranking.validation_share, ranking.random_state)
    return frame.with_columns(validation[frame[USER]], _group(cut, tables.day))


def feature_columns(
    frame: pl.DataFrame, stage: CandidateStage, groups: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the ranker's features in the groups, and of those that hold codes of categories.

    Raises: SettingsError when the groups have no feature.
    """
    names = (name for name in frame.columns if name not in _NO_FEATURES)
    columns = tuple(name for name in names if feature_group(name) in groups)
    if not columns:
        raise SettingsError(
            f"no feature is left for the ranker in the groups: {', '.join(groups) or 'none'}",
            where="ranker.feature_groups",
            fix="name more groups",
        )
    known = category_columns(stage.encoders)
    return columns, tuple(name for name in columns if name in known)


def calibrated(ranker: Ranker, window: LabelWindow, shop: Workshop) -> Calibration:
    """Fit raw scores to what some users, active or not, did in a window that the ranker has not seen."""
    users = np.arange(len(window.features.users), dtype=np.uint32)
    if len(users) > _CALIBRATION_USERS:
        chosen = np.random.default_rng(shop.settings.ranker.random_state)
        users = np.sort(chosen.choice(users, _CALIBRATION_USERS, replace=False))
    bound = ranker.on(window.day.tables.items)
    scoring = shop.settings.scoring
    shortlist = scoring.shortlist_of(scoring.top_k)
    taken = window.positives.with_columns(pl.lit(1, dtype=pl.Int8).alias(LABEL))

    def outcomes(chunk: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        ranked = rank_users(chunk, window.day, bound, shortlist)
        keys = ranked.candidates.keys(ranked.scored.rows)
        labelled = keys.join(taken, on=[USER, ITEM], how="left", maintain_order="left")
        return ranked.scored.raw, labelled[LABEL].fill_null(0).to_numpy()

    chunks = chunks_of(users, scoring.chunk_users)
    raw, labels = zip(*mapped(outcomes, chunks, shop.threads), strict=True)
    return fit_calibration(np.concatenate(raw), np.concatenate(labels))


def raise_alarm(tables: Tables, window: LabelWindow, shop: Workshop) -> None:
    """Stop the training where a label window has leaked into what was made before it.

    Raises: ModelError.
    """
    with shop.stages.stage("leakage alarm"):
        users, features = window.frame[USER].unique().sort(), shop.settings.features
        check_leakage(tables, window.cut, window.stage, window.day, users, features, shop.threads)


def examined(ranker: Ranker, window: LabelWindow, shop: Workshop) -> tuple[Ranker, Verdict]:
    """Return the ranker calibrated on a window that it has not seen, and how it did there."""
    settings = shop.settings
    with shop.stages.stage("calibration"):
        ranker = replace(ranker, calibration=calibrated(ranker, window, shop))
    with shop.stages.stage("exam"):
        verdict = judge_day(
            window.day,
            window.features,
            ranker,
            window.positives,
            k=settings.evaluation.k,
            shortlist=settings.scoring.shortlist_of(settings.evaluation.k),
            chunk_users=settings.scoring.chunk_users,
            threads=shop.threads,
        )
    return ranker, verdict


def _exam(frame: pl.DataFrame, last: LabelWindow, shop: Workshop) -> tuple[Ranker, Verdict]:
    """Return a ranker of the earlier windows, calibrated on the last one, and how it did there."""
    settings = shop.settings
    with shop.stages.stage("ranker"):
        columns, categories = feature_columns(frame, last.stage, settings.ranker.feature_groups)
        ranker = fit_ranker(frame, columns, categories, settings.ranker, shop.threads)
    return examined(ranker, last, shop)


def _label_users(positives: pl.DataFrame, ranking: RankerSettings) -> np.ndarray:
    users = positives[USER].unique()
    if len(users) > ranking.max_train_users:
        users = users.sample(ranking.max_train_users, seed=ranking.random_state)
    return users.sort().to_numpy()


def _group(cut: date, day: date) -> pl.Expr:
    """Return a number of the user at this cut: a ranking loss compares nothing across them."""
    return (pl.col(USER).cast(pl.UInt64) * 100_000 + (day - cut).days).alias(GROUP)

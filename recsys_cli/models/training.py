"""Training both stages: frames of earlier cuts, the ranker, and the candidate stage again with everything."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl
from loguru import logger

from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.features import build_features
from recsys_cli.data_preparation.tables import Tables
from recsys_cli.data_preparation.training_set import in_validation, label_cuts, window_pairs, with_negatives
from recsys_cli.models.candidates.lightfm import fit_lightfm
from recsys_cli.models.join import category_columns
from recsys_cli.models.ranker import GROUP, LABEL, Ranker, fit_ranker
from recsys_cli.models.two_stage import CandidateStage, TwoStageModel, candidate_frame, open_day
from recsys_cli.utils.columns import ITEM, SOURCES, USER, USER_ID
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.progress import Progress, silent

_NO_FEATURES = (USER, ITEM, SOURCES, LABEL, GROUP, "validation")
_FRAME_CHUNK = 8_192


@dataclass(frozen=True)
class TrainingWindow:
    """What one label window gave: the candidate models of `cut` saw nothing from that day on."""

    cut: date
    users: int
    rows: int
    positives: int
    reachable: int  # positive pairs of the window, among the candidates or not


def train_two_stage(
    tables: Tables, settings: Settings, threads: int, progress: Progress = silent
) -> tuple[TwoStageModel, list[TrainingWindow]]:
    """Learn both stages from everything before `tables.day`.

    Raises: InputError when the history is too short; ModelError when there is nothing to learn from.
    """
    cuts = label_cuts(tables.day, settings.ranker.label_days, settings.ranker.label_windows)
    frames, windows = [], []
    for done, cut in enumerate(cuts):
        progress(done, len(cuts) + 2)
        frame, window = training_frame(tables, cut, settings)
        logger.info("label window from {}: {} rows, {} positives", cut, window.rows, window.positives)
        frames.append(frame)
        windows.append(window)
    progress(len(cuts), len(cuts) + 2)
    stage = fit_candidate_stage(tables, settings)
    progress(len(cuts) + 1, len(cuts) + 2)
    ranker = _fit_ranker(pl.concat(frames), stage, settings, threads)
    progress(len(cuts) + 2, len(cuts) + 2)
    return TwoStageModel(stage, ranker, tables.day), windows


def fit_candidate_stage(tables: Tables, settings: Settings) -> CandidateStage:
    """Learn the first stage from the events before `tables.day`."""
    candidates = settings.candidates
    return CandidateStage(
        lightfm=fit_lightfm(tables, candidates.lightfm, settings.features),
        num_candidates=candidates.num_candidates,
        popular_window_days=candidates.popular.window_days,
        popular_candidates=candidates.popular.num_candidates,
        max_categories=settings.features.max_categories,
        filter_viewed=settings.scoring.filter_viewed,
    )


def training_frame(tables: Tables, cut: date, settings: Settings) -> tuple[pl.DataFrame, TrainingWindow]:
    """Return the ranker's rows of one label window, made by the scoring path as of `cut`.

    Rows of a user are adjacent. A window reaches to `tables.day` at most.
    """
    before = tables.as_of(cut)
    if before.events.is_empty():
        raise InputError(
            f"no event lies before {cut}, the first day of a label window",
            where="ranker.label_days, ranker.label_windows",
            fix="give a later --date, or shorten the label windows",
        )
    ranker = settings.ranker
    positives = window_pairs(tables, cut, min(ranker.label_days, (tables.day - cut) // timedelta(days=1)))
    if positives.is_empty():
        raise InputError(
            f"no event lies in the label window from {cut} on",
            where="ranker.label_days, ranker.label_windows",
            fix="give an earlier --date, deliver newer interactions, or lengthen the label windows",
        )
    users = _label_users(positives, ranker.max_train_users, ranker.random_state)
    day = open_day(fit_candidate_stage(before, settings), build_features(before, settings.features))
    chunks = [
        with_negatives(candidate_frame(chunk, day), positives, ranker.n_negatives, ranker.random_state)
        for chunk in np.split(users, range(_FRAME_CHUNK, len(users), _FRAME_CHUNK))
    ]
    frame = pl.concat(chunks)
    validation = in_validation(tables.users[USER_ID], ranker.validation_share, ranker.random_state)
    frame = frame.with_columns(validation[frame[USER]], _group(cut, tables.day))
    reached = int(frame[LABEL].sum())
    return frame, TrainingWindow(cut, frame[USER].n_unique(), len(frame), reached, len(positives))


def _label_users(positives: pl.DataFrame, at_most: int, seed: int) -> np.ndarray:
    users = positives[USER].unique()
    if len(users) > at_most:
        users = users.sample(at_most, seed=seed)
    return users.sort().to_numpy()


def _group(cut: date, day: date) -> pl.Expr:
    """Return a number of the user at this cut: a ranking loss compares nothing across them."""
    return (pl.col(USER).cast(pl.UInt64) * 100_000 + (day - cut).days).alias(GROUP)


def _fit_ranker(frame: pl.DataFrame, stage: CandidateStage, settings: Settings, threads: int) -> Ranker:
    columns = tuple(name for name in frame.columns if name not in _NO_FEATURES)
    known = category_columns(stage.lightfm.users.encoder, stage.lightfm.items.encoder)
    categories = tuple(name for name in columns if name in known)
    return fit_ranker(frame, columns, categories, settings.ranker, threads)

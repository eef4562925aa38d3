"""The leakage alarm: every training proves that what came before a label window knows nothing of it."""

from dataclasses import replace
from datetime import date

import polars as pl
from polars.testing import assert_frame_equal

from recsys_cli.configs.sections import FeaturesSettings
from recsys_cli.data_preparation.features import build_features
from recsys_cli.data_preparation.tables import Tables
from recsys_cli.models.candidates.stage import CandidateStage
from recsys_cli.models.two_stage import ServingDay, candidate_frame, open_day
from recsys_cli.utils.columns import TIMESTAMP
from recsys_cli.utils.dates import day_start
from recsys_cli.utils.errors import ModelError

_SAMPLE = 200  # users


def check_leakage(
    tables: Tables,
    cut: date,
    stage: CandidateStage,
    day: ServingDay,
    users: pl.Series,
    settings: FeaturesSettings,
    threads: int,
) -> None:
    """Stop where candidate models of a window have seen it, or features change once its events are removed.

    Args:
        stage, day: the candidate models and the features that the frame of the window from `cut` was made of.
        users: internal indices of the window's users, ascending; the first ones are looked at.

    Raises: ModelError.
    """
    start = day_start(cut, tables.timezone)
    if stage.newest_event >= start:
        raise _leak(cut, f"the candidate models have learnt from an event of {stage.newest_event}")
    sample = users.head(_SAMPLE).to_numpy()
    past = tables.events.filter(pl.col(TIMESTAMP) < start)
    known = None if tables.external is None else {cut: tables.external[cut]}
    without = replace(tables, day=cut, events=past, external=known)
    again = open_day(stage, build_features(without, settings), threads)
    try:
        assert_frame_equal(candidate_frame(sample, day), candidate_frame(sample, again), check_exact=True)
    except AssertionError as difference:
        raise _leak(cut, f"features change without the window's events: {difference}") from None


def _leak(cut: date, what: str) -> ModelError:
    return ModelError(
        f"leakage: the label window from {cut} on has leaked; {what}",
        where="recsys train",
        fix="this is a bug: please report it with the run's log; nothing was kept",
    )

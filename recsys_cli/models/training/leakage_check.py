"""Every training proves that what came before a label window knows nothing of it."""

from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
from polars.testing import assert_frame_equal

from recsys_cli.configs.sections import FeaturesSettings
from recsys_cli.data_preparation.features.day_features import build_features
from recsys_cli.data_preparation.features.labels import window_pairs
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.stage import CandidateStage, Prepare, prepare_items
from recsys_cli.models.training.label_window import TrainingTables
from recsys_cli.models.two_stage import BoundDay, candidate_frame, open_day
from recsys_cli.utils.columns import TIMESTAMP, USER
from recsys_cli.utils.dates import day_start
from recsys_cli.utils.errors import ModelError

_SAMPLE = 200  # users


def check_leakage(
    tables: TrainingTables,
    cut: date,
    stage: CandidateStage,
    day: BoundDay,
    settings: FeaturesSettings,
    threads: int,
    prepare: Prepare = prepare_items,
) -> None:
    """Stop where candidate models of a window have seen it, or features change once its events are removed.

    The first of the users with an event in the window are looked at.

    Args:
        tables: of all days.
        stage, day: the candidate models and the features that the rows of the window from `cut` were made of.
        prepare: gives what a source makes of the items' own columns, which no event has a part in.

    Raises: ModelError.
    """
    start = day_start(cut, tables.everybody.timezone)
    if stage.newest_event >= start:
        raise _leak(cut, f"the candidate models have learnt from an event of {stage.newest_event}")
    active = window_pairs(tables.sample, cut, (tables.sample.day - cut).days)[USER].unique().sort()
    users = active.head(_SAMPLE).to_numpy()
    everybody, sample = _without(tables.everybody, cut), _without(tables.sample, cut).of_users(users)
    again = open_day(stage, build_features(everybody, settings, sample), threads, prepare)
    ours = candidate_frame(users, day)
    theirs = candidate_frame(np.arange(len(users), dtype=np.uint32), again)
    theirs = theirs.with_columns(pl.lit(pl.Series(users, dtype=pl.UInt32)).gather(USER).alias(USER))
    try:
        assert_frame_equal(ours, theirs, check_exact=True)
    except AssertionError as difference:
        raise _leak(cut, f"features change without the window's events: {difference}") from None


def _without(tables: Tables, cut: date) -> Tables:
    """Return the tables with the events before `cut` alone, by a filter of this check's own."""
    past = tables.events.filter(pl.col(TIMESTAMP) < day_start(cut, tables.timezone))
    known = None if tables.external is None else {cut: tables.external[cut]}
    return replace(tables, day=cut, events=past, external=known)


def _leak(cut: date, what: str) -> ModelError:
    return ModelError(
        f"leakage: the label window from {cut} on has leaked; {what}",
        where="recsys train",
        fix="this is a bug: please report it with the run's log; nothing was kept",
    )

"""The leakage check of every training: nothing made before a label window depends on it."""

from dataclasses import dataclass, replace
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


@dataclass(frozen=True)
class MadeBefore:
    """What was made before a label window, and must not depend on its events.

    Attributes:
        stage, day: the candidate models and features from which the window's rows were made.
        prepare: gives what a source computes from the items' own columns, which does not depend on events.
    """

    stage: CandidateStage
    day: BoundDay
    prepare: Prepare = prepare_items


def check_leakage(
    tables: TrainingTables, first_day: date, made: MadeBefore, settings: FeaturesSettings, threads: int
) -> None:
    """Check that a window's candidate models have not seen it, and that features do not depend on its events.

    Features are compared for the first 200 users with an event in the window.

    Args:
        tables: of all days.
        first_day: the window's first day.

    Raises: ModelError if the window has leaked.
    """
    start = day_start(first_day, tables.everybody.timezone)
    if made.stage.newest_event >= start:
        raise _leak(first_day, f"the candidate models were trained on an event of {made.stage.newest_event}")
    days = (tables.sample.day - first_day).days
    active = window_pairs(tables.sample, first_day, days)[USER].unique().sort()
    users = active.head(_SAMPLE).to_numpy()
    everybody = _without(tables.everybody, first_day)
    sample = _without(tables.sample, first_day).of_users(users)
    rebuilt = open_day(made.stage, build_features(everybody, settings, sample), threads, made.prepare)
    original = candidate_frame(users, made.day)
    without = candidate_frame(np.arange(len(users), dtype=np.uint32), rebuilt)
    without = without.with_columns(pl.lit(pl.Series(users, dtype=pl.UInt32)).gather(USER).alias(USER))
    try:
        assert_frame_equal(original, without, check_exact=True)
    except AssertionError as difference:
        raise _leak(first_day, f"features change without the window's events: {difference}") from None


def _without(tables: Tables, first_day: date) -> Tables:
    """Return the tables with only the events before `first_day`; deliberately not by `Tables.as_of`."""
    before = pl.col(TIMESTAMP) < day_start(first_day, tables.timezone)
    known = None if tables.external is None else {first_day: tables.external[first_day]}
    past = replace(tables.with_entities_of(first_day), day=first_day, external=known)
    if tables.delivered is None:
        return replace(past, events=tables.events.filter(before))
    delivered = tables.delivered.filter(before)
    return replace(past, events=tables.rules.resolved(delivered), delivered=delivered)


def _leak(first_day: date, what: str) -> ModelError:
    return ModelError(
        f"leakage: the label window from {first_day} on has leaked; {what}",
        where="recsys train",
        fix="this is a bug: please report it with the run's log; no model was saved",
    )

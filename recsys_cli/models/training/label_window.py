"""A label window: the state that scoring would have had on its first day, and the ranker's rows from it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.features.day_features import build_features
from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.data_preparation.features.labels import draw_negatives, in_validation, window_pairs
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.sources.lightfm import LIGHTFM
from recsys_cli.models.candidates.sources.lightfm_model import LightFMModel
from recsys_cli.models.candidates.stage import CandidateStage, Prepare, fit_candidate_stage, prepare_items
from recsys_cli.models.reranking.feature_join import join_features
from recsys_cli.models.training.checkpoint import FinishedStep
from recsys_cli.models.training.context import TrainingContext
from recsys_cli.models.training.window_rows import GROUP, LABEL, VALIDATION, WindowRows, write_chunk
from recsys_cli.models.two_stage import BoundDay, candidates_of, open_day
from recsys_cli.utils.columns import GAIN, ITEM, SOURCES, USER, USER_ID
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.parallel import map_in_threads
from recsys_cli.utils.progress import Progress

LightFMOf = Callable[[date, Progress], LightFMModel]  # as of a day


@dataclass(frozen=True)
class TrainingTables:
    """The tables of a training.

    Attributes:
        everybody: all users, items and events.
        sample: the same for the users of label windows, holdout and calibration alone.
    """

    everybody: Tables
    sample: Tables

    @classmethod
    def of(cls, tables: Tables, settings: Settings) -> "TrainingTables":
        """Draw the sample: all users, or `ranker.max_train_users` random ones, active or not."""
        tables = replace(tables, vocabulary=None)  # as of their own day, also where that is an earlier one
        most, size = settings.ranker.max_train_users, len(tables.users)
        if size <= most:
            return cls(tables, tables)
        drawn = np.random.default_rng(settings.ranker.random_state).choice(size, most, replace=False)
        return cls(tables, tables.of_users(np.sort(drawn).astype(np.uint32)))

    def as_of(self, day: date) -> "TrainingTables":
        """Return the tables as they were at the start of an earlier day."""
        everybody = self.everybody.as_of(day)
        same = self.sample is self.everybody
        return TrainingTables(everybody, everybody if same else self.sample.as_of(day))


@dataclass(frozen=True)
class LabelWindow:
    """Up to `ranker.label_days` days from `first_day` on, and what was known before them.

    Costly attributes are computed when first used; users have the internal indices of the sample.

    Attributes:
        tables: of all days.
        lightfm: fits LightFM as of a day, for candidate models that are trained here.
        trained: candidate models that have seen nothing from `first_day` on; None: they are trained here.
        prepare: gives what a source computes from the items' own columns.
    """

    first_day: date
    tables: TrainingTables
    context: TrainingContext
    lightfm: LightFMOf | None = None
    trained: CandidateStage | None = None
    prepare: Prepare = prepare_items

    @cached_property
    def before(self) -> TrainingTables:
        """The tables as of the window's first day.

        Raises: InputError if they have no event.
        """
        before = self.tables.as_of(self.first_day)
        if before.everybody.events.is_empty():
            raise InputError(
                f"there is no event before {self.first_day}, the first day of a label window",
                where="ranker.label_days, ranker.label_windows",
                fix="use a later --date, or shorten the label windows",
            )
        return before

    @cached_property
    def positives(self) -> pl.DataFrame:
        """The distinct user, item that are positive in the window.

        Raises: InputError if there is none.
        """
        positives = label_pairs(self.tables.sample, self.first_day, self.context.settings)
        if positives.is_empty():
            raise InputError(
                f"the label window from {self.first_day} on has no relevant event",
                where="ranker.label_days, ranker.label_windows",
                fix="use an earlier --date, deliver newer interactions, or lengthen the label windows",
            )
        return positives

    def check(self) -> None:
        """Raise: InputError if there is no event before the window or in it."""
        assert not self.before.everybody.events.is_empty() and not self.positives.is_empty()

    @cached_property
    def features(self) -> FeatureTables:
        """The features that scoring would have had on the first day."""
        with self.context.stages.stage("features"):
            before, settings = self.before, self.context.settings.features
            return build_features(before.everybody, settings, before.sample)

    @cached_property
    def stage(self) -> CandidateStage:
        """The candidate models that scoring would have had on the first day."""
        if self.trained is not None:
            return self.trained
        assert self.lightfm is not None
        return fitted_stage(self.before.everybody, self.context, self.lightfm)

    @cached_property
    def day(self) -> BoundDay:
        """The candidate models bound to the first day and the sample's users."""
        features, stage = self.features, self.stage
        with self.context.stages.stage("open candidate models"):
            return open_day(stage, features, self.context.threads, self.prepare)

    def rows(self) -> WindowRows:
        """Return the ranker's rows, stored on disk; a user's rows are adjacent.

        Raises: InputError if there is no event before the window or in it; OutputError if the disk is full.
        """
        step = self.context.checkpoint.step(rows_step(self.first_day), self._write_rows)
        return _as_rows(self.first_day, step)

    def _write_rows(self, folder: Path) -> Mapping[str, Any]:
        self.check()
        positives, day = self.positives, self.day
        facts: dict[str, Any] = {"users": 0, "rows": 0, "positives": 0, "files": 0, "columns": []}
        with self.context.stages.stage("training rows") as progress:
            for frame in self._chunks(day, progress):
                write_chunk(frame, folder, facts["files"])
                facts["files"] += 1
                facts["users"] += frame[USER].n_unique()
                facts["rows"] += len(frame)
                facts["positives"] += int(frame[LABEL].sum())
                facts["columns"] = frame.columns
        return facts | {"positives_in_window": len(positives)}

    def _chunks(self, day: BoundDay, progress: Progress) -> Iterator[pl.DataFrame]:
        """Yield the rows of users in a random order, up to the maximum number of rows."""
        users, size = self._shuffled_users(), self.context.settings.scoring.chunk_users
        chunks = (np.sort(users[start : start + size]) for start in range(0, len(users), size))
        left = self.context.window_rows
        for number, frame in enumerate(
            map_in_threads(partial(self._labelled, day), chunks, self.context.threads)
        ):
            fitting = _first_users(frame, left)
            if len(fitting):
                yield fitting
            left -= len(fitting)
            shares = min((number + 1) * size, len(users)) / len(users), 1 - left / self.context.window_rows
            progress(round(max(shares) * len(users)), len(users))
            if len(fitting) < len(frame) or left <= 0:
                progress(len(users), len(users))
                return

    def _shuffled_users(self) -> np.ndarray:
        users = self.positives[USER].unique().sort().to_numpy()
        order = np.random.default_rng(self.context.settings.ranker.random_state)
        return order.permutation(users)

    def _labelled(self, day: BoundDay, users: np.ndarray) -> pl.DataFrame:
        """Return the sampled candidates of users with label, group, validation and every feature."""
        ranking, sample = self.context.settings.ranker, self.tables.sample
        candidates = candidates_of(users, day)
        keys = candidates.keys()
        drawn = draw_negatives(
            keys.select(USER, ITEM), self.positives, ranking.n_negatives, ranking.random_state
        )
        frame = join_features(candidates.some(drawn["row"].to_numpy()), day.tables).drop(SOURCES)
        if GAIN in self.positives.columns:
            gains = frame.select(USER, ITEM).join(
                self.positives, on=[USER, ITEM], how="left", maintain_order="left"
            )
            frame = frame.with_columns(gains[GAIN].fill_null(0.0).cast(pl.Float32))
        validation = in_validation(
            sample.users[USER_ID].gather(frame[USER]), ranking.validation_share, ranking.random_state
        )
        return frame.with_columns(
            drawn[LABEL], validation.alias(VALIDATION), _group(self.first_day, sample.day)
        )


def rows_step(first_day: date) -> str:
    """Return the checkpoint's name of the step that makes a window's rows."""
    return f"rows-{first_day}"


def label_pairs(tables: Tables, first_day: date, settings: Settings) -> pl.DataFrame:
    """Return the distinct user, item that are positive in the window from `first_day` on.

    A window ends at `tables.day` at the latest. With scoring.filter_viewed, pairs that a user had seen before
    are not positive. Columns as in `window_pairs`.
    """
    days = min(settings.ranker.label_days, (tables.day - first_day) // timedelta(days=1))
    pairs = window_pairs(tables, first_day, days)
    if not settings.scoring.filter_viewed:
        return pairs
    return pairs.join(tables.as_of(first_day).seen(), on=[USER, ITEM], how="anti", maintain_order="left")


def fitted_stage(tables: Tables, context: TrainingContext, lightfm: LightFMOf) -> CandidateStage:
    """Fit every source on the events before `tables.day`; `lightfm` gives LightFM."""
    settings = context.settings
    done: dict[str, LightFMModel] = {}
    if LIGHTFM.section(settings.candidates).num_candidates:
        with context.stages.stage("LightFM") as progress:
            done[LIGHTFM.name] = lightfm(tables.day, progress)
    with context.stages.stage("similarities") as progress:
        return fit_candidate_stage(tables, settings, context.threads, done, progress)


def _as_rows(first_day: date, step: FinishedStep) -> WindowRows:
    facts = step.facts
    return WindowRows(
        first_day=first_day,
        folder=step.folder,
        files=facts["files"],
        columns=tuple(facts["columns"]),
        users=facts["users"],
        rows=facts["rows"],
        positives=facts["positives"],
        positives_in_window=facts["positives_in_window"],
    )


def _first_users(frame: pl.DataFrame, most: int) -> pl.DataFrame:
    """Return the rows of the first users, whole users only, at most `most` rows."""
    if len(frame) <= most:
        return frame
    group = frame[GROUP].to_numpy()
    ends = np.flatnonzero(np.append(group[1:] != group[:-1], True)) + 1
    return frame.head(int(ends[ends <= most].max(initial=0)))


def _group(first_day: date, day: date) -> pl.Expr:
    """Return a number for the user and the window: a ranking loss compares rows of the same number only."""
    return (pl.col(USER).cast(pl.UInt64) * 100_000 + (day - first_day).days).alias(GROUP)

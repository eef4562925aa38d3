"""The first stage: every source of candidates, learnt before a day and bound to a day's features."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import polars as pl

from recsys_cli.configs.event_sections import EventMeaning
from recsys_cli.configs.sections import FeatureSettings, Settings
from recsys_cli.configs.source_sections import CandidatesSettings
from recsys_cli.data_preparation.features.day_features import declared
from recsys_cli.data_preparation.features.feature_tables import DayFeatures
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.definition import EXACT, BoundSource, FitTask, Shared, SourceDay
from recsys_cli.models.candidates.registry import Definition, fitted_sources, sources_on
from recsys_cli.models.feature_encoding import Encoders, fit_encoder
from recsys_cli.utils.columns import ITEM_ID, TIMESTAMP, USER_ID
from recsys_cli.utils.errors import SettingsError
from recsys_cli.utils.progress import Progress, no_progress

Fits = Mapping[str, Any]  # what sources have learnt, by the section that the fit belongs to


@dataclass(frozen=True)
class CandidateStage:
    """The sources as trained.

    Attributes:
        settings: sections of the sources, as they were at the training.
        encoders: vocabularies of the declared features.
        newest_event: time, in UTC, of the newest event that anything was learnt from.
        id_types: polars types of user and item ids, as text.
        features: sections of the features of other packages, as they were at the training.
        events: what events counted for at the training.
        fits: what the sources have learnt; those that learn nothing, or are off, have none.
        filter_viewed: whether viewed items are left out; it shapes training too, so the model keeps it.
    """

    settings: CandidatesSettings
    encoders: Encoders
    newest_event: datetime
    id_types: tuple[str, str]
    fits: Fits
    max_categories: int
    filter_viewed: bool
    features: Mapping[str, FeatureSettings] = field(default_factory=dict)
    events: EventMeaning = EventMeaning()

    @property
    def only_new_items(self) -> bool:
        """Whether a list holds nothing that the user has had an event with."""
        return self.filter_viewed and not self.events.shows_again


def fit_encoders(tables: Tables, most: int) -> Encoders:
    """Learn the vocabularies of the declared features, at most so many values of each."""
    users, items = tables.vocabulary or (tables.users, tables.items)
    return Encoders(fit_encoder(users, declared(users), most), fit_encoder(items, declared(items), most))


def fit_candidate_stage(
    tables: Tables,
    settings: Settings,
    threads: int,
    done: Fits | None = None,
    progress: Progress = no_progress,
) -> CandidateStage:
    """Learn every source that is on from the events before `tables.day`.

    Args:
        done: fits that are not made again.
    """
    candidates, most = settings.candidates, settings.features.max_categories
    encoders = fit_encoders(tables, most)
    task = FitTask(tables, encoders, threads, progress)
    definitions = fitted_sources(candidates, filter_viewed=settings.only_new_items)
    fits = done or {}
    return CandidateStage(
        settings=candidates,
        encoders=encoders,
        newest_event=_newest_event(tables),
        id_types=(str(tables.users.schema[USER_ID]), str(tables.items.schema[ITEM_ID])),
        fits=_fitted((one.name, fits.get(one.name) or _fit(one, task, candidates)) for one in definitions),
        max_categories=most,
        filter_viewed=settings.scoring.filter_viewed,
        features=settings.features.plugins(),
        events=settings.data.event_meaning,
    )


def continue_candidate_stage(
    base: CandidateStage,
    tables: Tables,
    settings: Settings,
    threads: int,
    since: date,
    progress: Progress = no_progress,
) -> CandidateStage:
    """Train sources further from earlier fits: those that can resume learn from the events since a day.

    The others are learnt anew. The vocabularies of the declared features stay; so do all settings that shape
    a candidate.
    """
    task = FitTask(tables, base.encoders, threads)
    reporting = replace(task, progress=progress)

    def continued(definition: Definition) -> Any:
        fit, section = base.fits.get(definition.name), definition.section(base.settings)
        if fit is None or definition.resume is None:
            return _fit(definition, task, base.settings)
        return definition.resume(fit, reporting, section, settings.warm_start, since)

    definitions = fitted_sources(base.settings, filter_viewed=base.only_new_items)
    fits = _fitted((one.name, continued(one)) for one in definitions)
    return replace(base, newest_event=_newest_event(tables), fits=fits)


Prepare = Callable[[Definition, DayFeatures, CandidatesSettings, int], Any]


def prepare_items(
    definition: Definition, features: DayFeatures, candidates: CandidatesSettings, threads: int
) -> Any:
    """Return what a source derives from the items' own columns; None where it derives nothing."""
    if definition.prepare is None:
        return None
    return definition.prepare(features, definition.section(candidates), threads)


def prepare_items_once(tables: Tables) -> Prepare:
    """Return a `prepare_items` that works once for all days of a training whose items do not change."""
    made = Shared()

    def prepare(
        definition: Definition, features: DayFeatures, candidates: CandidatesSettings, threads: int
    ) -> Any:
        key = f"{definition.name} {features.day}" if tables.past_items else definition.name
        return made.get(key, lambda: prepare_items(definition, features, candidates, threads))

    return prepare


def open_sources(
    stage: CandidateStage,
    features: DayFeatures,
    threads: int,
    index: str = EXACT,
    prepare: Prepare = prepare_items,
) -> tuple[BoundSource, ...]:
    """Bind every source that is on to the items of a day.

    Args:
        index: how vectors are searched, as in the settings.
        prepare: returns what a source derives from the items' own columns.

    Raises: SettingsError when there is none.
    """
    shared, sources = Shared(), list[BoundSource]()
    for one in sources_on(stage.settings, filter_viewed=stage.only_new_items):
        section, prepared = one.section(stage.settings), prepare(one, features, stage.settings, threads)
        for name in section.names(one.name):
            fit = stage.fits.get(one.fit_section)
            day = SourceDay(name, section, features, stage.encoders, fit, prepared, index, shared)
            bound = one.bind(day)
            if bound is not None:
                sources.append(bound)
    if not sources:
        raise SettingsError(
            "no source of candidates is on, or none fits the data",
            where="candidates",
            fix="raise num_candidates of a source",
        )
    return tuple(sources)


def _fit(definition: Definition, task: FitTask, candidates: CandidatesSettings) -> Any:
    assert definition.fit is not None
    return definition.fit(task, definition.section(candidates))


def _fitted(fits: Iterable[tuple[str, Any]]) -> Fits:
    return {name: fit for name, fit in fits if fit is not None}


def _newest_event(tables: Tables) -> datetime:
    newest: datetime = tables.events.select(pl.col(TIMESTAMP).max()).item()
    return newest

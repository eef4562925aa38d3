"""The first stage: every source of candidates, learnt before a day and bound to a day's features."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from functools import cached_property, partial

import polars as pl
from scipy import sparse

from recsys_cli.configs.candidate_sections import CandidatesSettings, ContentSettings
from recsys_cli.configs.sections import Settings
from recsys_cli.configs.source_names import CONTENT, EASE, RECENT
from recsys_cli.data_preparation.features.day_features import (
    EVENTS,
    RECENCY,
    DayFeatures,
    FeatureTables,
    declared,
)
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.protocol import CandidateGenerator
from recsys_cli.models.candidates.sources.content import content_weights
from recsys_cli.models.candidates.sources.ease import fit_ease
from recsys_cli.models.candidates.sources.external import external_generator
from recsys_cli.models.candidates.sources.history import history_generator
from recsys_cli.models.candidates.sources.item_knn import fit_item_knn
from recsys_cli.models.candidates.sources.lightfm import LightFMModel
from recsys_cli.models.candidates.sources.lightfm_training import continue_lightfm, fit_lightfm
from recsys_cli.models.candidates.sources.popular import popular_lists, segment_lists
from recsys_cli.models.candidates.sources.similarity import BoundWeights, ItemWeights, SimilarityModel
from recsys_cli.models.feature_encoding import Encoders, fit_encoder
from recsys_cli.utils.columns import ELIGIBLE, ITEM, ITEM_ID, TIMESTAMP, USER, USER_ID
from recsys_cli.utils.errors import SettingsError
from recsys_cli.utils.progress import Progress, silent

EXACT = "exact"


@dataclass(frozen=True)
class CandidateStage:
    """The sources as trained.

    Attributes:
        settings: counts and windows of the sources; a model keeps those of its training.
        encoders: vocabularies of the declared features.
        newest_event: time, in UTC, of the newest event that anything was learnt from.
        id_types: polars types of user and item ids, as text.
        lightfm: None where it is off.
        similarities: by name: the similarities of item_knn, ease.
        filter_viewed: whether viewed items are left out; it shapes training too, so the model keeps it.
    """

    settings: CandidatesSettings
    encoders: Encoders
    newest_event: datetime
    id_types: tuple[str, str]
    lightfm: LightFMModel | None
    similarities: Mapping[str, SimilarityModel]
    max_categories: int
    filter_viewed: bool


LearntLightFM = Callable[[Tables, Encoders], LightFMModel | None]


def fit_encoders(tables: Tables, most: int) -> Encoders:
    """Learn the vocabularies of the declared features, at most so many values of each."""
    return Encoders(
        fit_encoder(tables.users, declared(tables.users), most),
        fit_encoder(tables.items, declared(tables.items), most),
    )


def fit_candidate_stage(
    tables: Tables,
    settings: Settings,
    threads: int,
    lightfm: LearntLightFM | None = None,
    progress: Progress = silent,
) -> CandidateStage:
    """Learn every source that is on from the events before `tables.day`.

    Args:
        lightfm: how LightFM is learnt; by default here and now, from all users.
    """
    candidates, most = settings.candidates, settings.features.max_categories
    encoders = fit_encoders(tables, most)
    learnt = None
    if candidates.lightfm.num_candidates:
        learnt = (
            fit_lightfm(tables, encoders, candidates.lightfm)
            if lightfm is None
            else lightfm(tables, encoders)
        )
    return CandidateStage(
        settings=candidates,
        encoders=encoders,
        newest_event=tables.events.select(pl.col(TIMESTAMP).max()).item(),
        id_types=(str(tables.users.schema[USER_ID]), str(tables.items.schema[ITEM_ID])),
        lightfm=learnt,
        similarities=_fit_similarities(tables, candidates, threads, progress),
        max_categories=most,
        filter_viewed=settings.scoring.filter_viewed,
    )


def continue_candidate_stage(
    base: CandidateStage,
    tables: Tables,
    settings: Settings,
    threads: int,
    since: date,
    progress: Progress = silent,
) -> CandidateStage:
    """Learn the sources on top of earlier ones: LightFM some epochs on events since a day, the rest anew.

    The vocabularies of the declared features stay; so do all settings that shape a candidate.
    """
    lightfm = base.lightfm
    if lightfm is not None:
        kept = base.settings.lightfm.model_copy(
            update={"warm_epochs": settings.candidates.lightfm.warm_epochs}
        )
        lightfm = continue_lightfm(lightfm, tables, base.encoders, kept, since, progress)
    return replace(
        base,
        newest_event=tables.events.select(pl.col(TIMESTAMP).max()).item(),
        lightfm=lightfm,
        similarities=_fit_similarities(tables, base.settings, threads),
    )


@dataclass(frozen=True)
class UserSide:
    """The users that sources are bound to, with what several sources need of them."""

    features: FeatureTables

    @cached_property
    def counts(self) -> sparse.csr_matrix:
        """(users, items) f32: the logarithm of how often a user had an item, and 1."""
        return pair_matrix(self.features, (1 + pl.col(EVENTS)).log(2.0))

    @cached_property
    def recency(self) -> sparse.csr_matrix:
        """(users, items) f32: a user's events with an item, each halved every half-life."""
        return pair_matrix(self.features, pl.col(RECENCY))


Source = Callable[[UserSide], CandidateGenerator]  # bound to a day's items; waits for its users
ContentWeights = Callable[[DayFeatures, ContentSettings, int], ItemWeights | None]


def open_sources(
    stage: CandidateStage,
    features: DayFeatures,
    threads: int,
    index: str = EXACT,
    content: ContentWeights = content_weights,
) -> tuple[Source, ...]:
    """Bind every source that is on to the items of a day.

    Args:
        index: how vectors are searched, as in the settings.
        content: gives the items' similarities by their words.

    Raises: SettingsError when there is none.
    """
    settings = stage.settings
    sources: list[Source] = []
    if stage.lightfm is not None:
        factors = stage.lightfm.on(features.items, stage.encoders, settings.lightfm.num_candidates)
        factors = factors if index == EXACT else factors.with_index(index)
        sources.append(lambda users: factors.of_users(users.features, stage.encoders.users))
    sources += _similar(stage, features, threads, content)
    if settings.popular.num_candidates:
        popular = popular_lists(features, settings.popular)
        sources += [partial(lambda lists, users: lists.of_users(users.features), lists) for lists in popular]
    if settings.segment.num_candidates:
        segments = segment_lists(features, settings.segment)
        sources += [lambda users: segments.of_users(users.features)] if segments is not None else []
    if settings.history.num_candidates and not stage.filter_viewed:
        sources.append(lambda users: history_generator(users.features, settings.history))
    if settings.external.is_on:
        sources.append(lambda users: external_generator(users.features, settings.external))
    if not sources:
        raise SettingsError(
            "no source of candidates is on, or none fits the data",
            where="candidates",
            fix="raise num_candidates of a source",
        )
    return tuple(sources)


def pair_matrix(features: FeatureTables, cells: pl.Expr) -> sparse.csr_matrix:
    """Return (users, items) f32 with a value of each pair's own history."""
    values = features.pairs.select(cells.cast(pl.Float32)).to_series().to_numpy()
    places = (features.pairs[USER].to_numpy(), features.pairs[ITEM].to_numpy())
    return sparse.csr_matrix((values, places), shape=(len(features.users), len(features.items)))


def _fit_similarities(
    tables: Tables, settings: CandidatesSettings, threads: int, progress: Progress = silent
) -> dict[str, SimilarityModel]:
    counts, ids = _counts(tables)
    knn, ease = settings.item_knn, settings.ease
    fitted: dict[str, SimilarityModel] = {}
    for name in knn.similarities:
        wanted = {name: knn.num_candidates, name + RECENT: knn.recent_candidates}
        if any(count and source not in knn.without for source, count in wanted.items()):
            fitted[name] = fit_item_knn(counts, ids, name, knn.neighbours, threads, progress)
    if (ease.num_candidates or ease.recent_candidates) and len(ids) <= ease.max_items:
        fitted[EASE] = fit_ease(counts, ids, ease)
    return fitted


def _counts(tables: Tables) -> tuple[sparse.csr_matrix, pl.Series]:
    """Return (users, items with an event) f32, the events of each pair, and the ids of these items."""
    pairs = tables.events.group_by(USER, ITEM).agg(pl.len().cast(pl.Float32).alias(EVENTS)).sort(USER, ITEM)
    items = pairs[ITEM].unique().sort()
    places = (pairs[USER].to_numpy(), items.search_sorted(pairs[ITEM]).to_numpy())
    shape = (len(tables.users), len(items))
    return sparse.csr_matrix((pairs[EVENTS].to_numpy(), places), shape=shape), tables.items[items][ITEM_ID]


def _similar(
    stage: CandidateStage, features: DayFeatures, threads: int, content: ContentWeights
) -> list[Source]:
    settings, eligible = stage.settings, features.items[ELIGIBLE].to_numpy()
    sources: list[Source] = []

    def add(name: str, weights: BoundWeights, wanted: int, *, recent: bool) -> None:
        if wanted and name not in settings.item_knn.without:
            sources.append(
                lambda users: weights.of_users(name, users.recency if recent else users.counts, wanted)
            )

    for name, model in stage.similarities.items():
        counts = settings.ease if name == EASE else settings.item_knn
        weights = model.on(features.items[ITEM_ID]).bound(eligible)
        add(name, weights, counts.num_candidates, recent=False)
        add(name + RECENT, weights, counts.recent_candidates, recent=True)
    if settings.content.num_candidates:
        words = content(features, settings.content, threads)
        if words is not None:
            add(CONTENT, words.bound(eligible), settings.content.num_candidates, recent=True)
    return sources

"""The first stage: every source of candidates, learnt before a day and bound to a day's features."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime

import polars as pl
from scipy import sparse

from recsys_cli.configs.sections import CandidatesSettings, Settings
from recsys_cli.data_preparation.features import EVENTS, RECENCY, FeatureTables, declared
from recsys_cli.data_preparation.tables import Tables
from recsys_cli.models.candidates.content import content_weights
from recsys_cli.models.candidates.ease import fit_ease
from recsys_cli.models.candidates.external import external_generator
from recsys_cli.models.candidates.history import history_generator
from recsys_cli.models.candidates.item_knn import fit_item_knn
from recsys_cli.models.candidates.lightfm import LightFMModel
from recsys_cli.models.candidates.lightfm_training import continue_lightfm, fit_lightfm
from recsys_cli.models.candidates.popular import popular_generators, segment_generator
from recsys_cli.models.candidates.protocol import CandidateGenerator
from recsys_cli.models.candidates.similarity import ItemWeights, SimilarityModel, similarity_generator
from recsys_cli.models.encoding import Encoders, fit_encoder
from recsys_cli.models.keeping import ArrayStore, not_kept
from recsys_cli.utils.columns import ELIGIBLE, ITEM, ITEM_ID, TIMESTAMP, USER, USER_ID
from recsys_cli.utils.errors import SettingsError

EASE = "ease"
CONTENT = "content"
RECENT = "_recent"  # ends the name of a source that weighs the user's items by recency


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


def fit_candidate_stage(
    tables: Tables, settings: Settings, threads: int, kept: ArrayStore = not_kept
) -> CandidateStage:
    """Learn every source that is on from the events before `tables.day`."""
    candidates, most = settings.candidates, settings.features.max_categories
    encoders = Encoders(
        fit_encoder(tables.users, declared(tables.users), most),
        fit_encoder(tables.items, declared(tables.items), most),
    )
    lightfm = (
        fit_lightfm(tables, encoders, candidates.lightfm, kept) if candidates.lightfm.num_candidates else None
    )
    return CandidateStage(
        settings=candidates,
        encoders=encoders,
        newest_event=tables.events.select(pl.col(TIMESTAMP).max()).item(),
        id_types=(str(tables.users.schema[USER_ID]), str(tables.items.schema[ITEM_ID])),
        lightfm=lightfm,
        similarities=_fit_similarities(tables, candidates, threads),
        max_categories=most,
        filter_viewed=settings.scoring.filter_viewed,
    )


def continue_candidate_stage(
    base: CandidateStage, tables: Tables, settings: Settings, threads: int, since: date
) -> CandidateStage:
    """Learn the sources on top of earlier ones: LightFM some epochs on events since a day, the rest anew.

    The vocabularies of the declared features stay; so do all settings that shape a candidate.
    """
    lightfm = base.lightfm
    if lightfm is not None:
        kept = base.settings.lightfm.model_copy(
            update={"warm_epochs": settings.candidates.lightfm.warm_epochs}
        )
        lightfm = continue_lightfm(lightfm, tables, base.encoders, kept, since)
    return replace(
        base,
        newest_event=tables.events.select(pl.col(TIMESTAMP).max()).item(),
        lightfm=lightfm,
        similarities=_fit_similarities(tables, base.settings, threads),
    )


def open_generators(
    stage: CandidateStage, features: FeatureTables, threads: int
) -> tuple[CandidateGenerator, ...]:
    """Bind every source that is on to the users and items of a day.

    Raises: SettingsError when there is none.
    """
    settings = stage.settings
    generators: list[CandidateGenerator] = []
    if stage.lightfm is not None:
        generators.append(stage.lightfm.generator(features, stage.encoders, settings.lightfm.num_candidates))
    generators += _similar(stage, features, threads)
    if settings.popular.num_candidates:
        generators += popular_generators(features, settings.popular)
    if settings.segment.num_candidates:
        segments = segment_generator(features, settings.segment)
        generators += [segments] if segments is not None else []
    if settings.history.num_candidates and not stage.filter_viewed:
        generators.append(history_generator(features, settings.history))
    if settings.external.is_on:
        generators.append(external_generator(features, settings.external))
    if not generators:
        raise SettingsError(
            "no source of candidates is on, or none fits the data",
            where="candidates",
            fix="raise num_candidates of a source",
        )
    return tuple(generators)


def pair_matrix(features: FeatureTables, cells: pl.Expr) -> sparse.csr_matrix:
    """Return (users, items) f32 with a value of each pair's own history."""
    values = features.pairs.select(cells.cast(pl.Float32)).to_series().to_numpy()
    places = (features.pairs[USER].to_numpy(), features.pairs[ITEM].to_numpy())
    return sparse.csr_matrix((values, places), shape=(len(features.users), len(features.items)))


def _fit_similarities(
    tables: Tables, settings: CandidatesSettings, threads: int
) -> dict[str, SimilarityModel]:
    counts, ids = _counts(tables)
    knn, ease = settings.item_knn, settings.ease
    fitted: dict[str, SimilarityModel] = {}
    if knn.num_candidates or knn.recent_candidates:
        for name in knn.similarities:
            fitted[name] = fit_item_knn(counts, ids, name, knn.neighbours, threads)
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


def _similar(stage: CandidateStage, features: FeatureTables, threads: int) -> list[CandidateGenerator]:
    settings = stage.settings
    eligible = features.items[ELIGIBLE].to_numpy()
    tastes = {
        "": pair_matrix(features, (1 + pl.col(EVENTS)).log(2.0)),
        RECENT: pair_matrix(features, pl.col(RECENCY)),
    }
    generators: list[CandidateGenerator] = []

    def add(name: str, suffix: str, weights: ItemWeights, wanted: int) -> None:
        if wanted:
            generators.append(similarity_generator(name + suffix, tastes[suffix], weights, eligible, wanted))

    for name, model in stage.similarities.items():
        counts = settings.ease if name == EASE else settings.item_knn
        weights = model.on(features.items[ITEM_ID])
        add(name, "", weights, counts.num_candidates)
        add(name, RECENT, weights, counts.recent_candidates)
    if settings.content.num_candidates:
        words = content_weights(features, settings.content, threads)
        if words is not None:
            wanted = settings.content.num_candidates
            generators.append(similarity_generator(CONTENT, tastes[RECENT], words, eligible, wanted))
    return generators

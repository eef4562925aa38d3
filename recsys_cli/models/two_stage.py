"""Both stages together: `rank_users` is the scoring path, for a million users and for one."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from scipy import sparse

from recsys_cli.data_preparation.features import EVENTS, FeatureTables
from recsys_cli.models.candidates.lightfm import LightFMGenerator, LightFMModel, LightFMSide
from recsys_cli.models.candidates.merge import propose_candidates, sources_text
from recsys_cli.models.candidates.popular import popular_generator
from recsys_cli.models.candidates.protocol import CandidateGenerator, UserChunk
from recsys_cli.models.join import RankerTables, join_features, ranker_tables
from recsys_cli.models.ranker import Ranker
from recsys_cli.utils.columns import ITEM, ITEM_ID, RANK, RAW_SCORE, SCORE, USER, USER_ID


@dataclass(frozen=True)
class CandidateStage:
    """The first stage as trained: a LightFM and the counts of each source.

    Attributes:
        filter_viewed: whether viewed items are left out; it shapes training too, so the model keeps it.
    """

    lightfm: LightFMModel
    num_candidates: int
    popular_window_days: int
    popular_candidates: int
    max_categories: int
    filter_viewed: bool


@dataclass(frozen=True)
class TwoStageModel:
    """What training learnt; `trained_through` is the first day that it has not seen."""

    stage: CandidateStage
    ranker: Ranker
    trained_through: date


@dataclass(frozen=True)
class ServingDay:
    """A candidate stage over one day's users and items, ready to serve any chunk of them."""

    generators: tuple[CandidateGenerator, ...]
    lightfm: LightFMGenerator
    tables: RankerTables
    history: sparse.csr_matrix
    filter_viewed: bool

    def chunk(self, users: np.ndarray) -> UserChunk:
        """Return the users with what they have viewed."""
        if self.filter_viewed:
            return UserChunk(users, self.history[users])
        return UserChunk(users, sparse.csr_matrix(np.zeros((len(users), 0), dtype=np.float32)))


def open_day(stage: CandidateStage, features: FeatureTables) -> ServingDay:
    """Bind a candidate stage to the partition of a day."""
    lightfm = stage.lightfm.generator(features, stage.num_candidates)
    popular = popular_generator(features, stage.popular_window_days, stage.popular_candidates)
    tables = ranker_tables(
        features,
        stage.lightfm.users.encoder,
        stage.lightfm.items.encoder,
        with_history=not stage.filter_viewed,
        max_categories=stage.max_categories,
    )
    return ServingDay((lightfm, popular), lightfm, tables, _history(features), stage.filter_viewed)


def candidate_frame(users: np.ndarray, day: ServingDay) -> pl.DataFrame:
    """Return the ranker's frame of the users' candidates, sorted by user and item.

    Args:
        users: internal indices, u32, ascending.
    """
    candidates = propose_candidates(day.chunk(users), day.generators)
    candidates = candidates.with_columns(sources_text(day.generators))
    return join_features(candidates, day.tables)


def rank_users(users: np.ndarray, day: ServingDay, ranker: Ranker, threads: int) -> pl.DataFrame:
    """Return all candidates of the users with features, sources, raw_score, score and rank.

    Pure: what `score` publishes are its first rows, `explain` shows the rest. Sorted by user and rank, which
    counts from 1; equal scores keep the order of the internal item index.
    """
    frame = candidate_frame(users, day)
    raw = ranker.raw_scores(frame, threads)
    return (
        frame.with_columns(pl.Series(RAW_SCORE, raw), pl.Series(SCORE, ranker.scores(raw)))
        .sort(USER, RAW_SCORE, descending=[False, True], maintain_order=True)
        .with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.UInt16).over(USER).alias(RANK))
    )


def misfits(model: TwoStageModel, features: FeatureTables, *, filter_viewed: bool) -> list[str]:
    """Return, a line each, how a day's features differ from what the model was trained on."""
    lightfm = model.stage.lightfm
    wrong = [
        *_side_misfits("users", lightfm.users, features.users, USER_ID, features.user_features),
        *_side_misfits("items", lightfm.items, features.items, ITEM_ID, features.item_features),
    ]
    if model.stage.filter_viewed != filter_viewed:
        wrong.append(f"scoring.filter_viewed: trained with {model.stage.filter_viewed}; now {filter_viewed}")
    aggregates = {*features.users.columns, *features.items.columns}
    trained_on = {name for name in model.ranker.columns if "_events_" in name}
    trained_on.add(f"item_events_{model.stage.popular_window_days}d")
    if not trained_on <= aggregates:
        wrong.append(
            f"features.windows_days: the columns {', '.join(sorted(trained_on - aggregates))} are missing"
        )
    return wrong


def _side_misfits(
    name: str, side: LightFMSide, entities: pl.DataFrame, key: str, declared: tuple[str, ...]
) -> list[str]:
    """Return how ids and declared features differ from the training's."""
    trained, now = set(side.encoder.names), set(declared)
    wrong = []
    if side.ids.dtype != entities.schema[key]:
        wrong.append(f"{key}: trained with {side.ids.dtype}; now {entities.schema[key]}")
    if trained != now:
        before, after = (", ".join(sorted(names)) or "none" for names in (trained, now))
        wrong.append(f"features of {name}: trained with {before}; now {after}")
    for feature in sorted(trained & now):
        before, after = _kind(feature in side.encoder.edges), _kind(entities.schema[feature].is_numeric())
        if before != after:
            wrong.append(f"feature {feature} of {name}: trained with {before}; now {after}")
    return wrong


def _kind(is_numeric: bool) -> str:
    return "numbers" if is_numeric else "categories"


def _history(features: FeatureTables) -> sparse.csr_matrix:
    cells = features.pairs[EVENTS].cast(pl.Float32).to_numpy()
    places = (features.pairs[USER].to_numpy(), features.pairs[ITEM].to_numpy())
    return sparse.csr_matrix((cells, places), shape=(len(features.users), len(features.items)))

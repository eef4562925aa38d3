"""Both stages together: `rank_users` is the scoring path, for a million users as for one."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from scipy import sparse

from recsys_cli.configs.event_sections import EventMeaning
from recsys_cli.data_preparation.features.definition import pair_functions
from recsys_cli.data_preparation.features.feature_tables import DayFeatures, FeatureTables
from recsys_cli.models.candidates.definition import EXACT, BoundSource, UserSide
from recsys_cli.models.candidates.merge import Candidates, propose_candidates
from recsys_cli.models.candidates.protocol import CandidateGenerator, UserChunk
from recsys_cli.models.candidates.registry import EXTERNAL, sources, sources_on
from recsys_cli.models.candidates.stage import CandidateStage, Prepare, open_sources, prepare_items
from recsys_cli.models.feature_encoding import FeatureEncoder
from recsys_cli.models.kernels.top_k import top_k_rows
from recsys_cli.models.postprocessing.day_lists import DayLists, UserLists
from recsys_cli.models.reranking.feature_join import ItemTables, RankerTables, item_tables, join_features
from recsys_cli.models.reranking.ranker import BoundRanker, Ranker, Scored
from recsys_cli.utils.columns import ITEM, ITEM_ID, RANK, RAW_SCORE, SCORE, USER, USER_ID

ALONE = np.zeros(1, dtype=np.uint32)  # the internal index of a user whose features alone are there


@dataclass(frozen=True)
class TwoStageModel:
    """A trained model; `trained_through` is the first day that it has not seen."""

    stage: CandidateStage
    ranker: Ranker
    trained_through: date


@dataclass(frozen=True)
class BoundDay:
    """A candidate stage bound to one day's items and users, ready to score any chunk of the users.

    Attributes:
        history: (users, items) what users have had; seen: of these, what lists leave out; None: all.
        lists: what comes behind the ranker: rules, variety, exploration; None: nothing.
    """

    generators: tuple[CandidateGenerator, ...]
    tables: RankerTables
    history: sparse.csr_matrix
    filter_viewed: bool
    seen: sparse.csr_matrix | None = None
    lists: UserLists | None = None

    def viewed(self, users: np.ndarray) -> np.ndarray:
        """Return each user's number of viewed items."""
        return np.asarray(np.diff(self.history.indptr)[users])

    def chunk(self, users: np.ndarray) -> UserChunk:
        """Return the users with the items that they have viewed."""
        if self.filter_viewed:
            return UserChunk(users, (self.history if self.seen is None else self.seen)[users])
        nothing = np.zeros(0, dtype=np.float32), (np.zeros(0, dtype=int), np.zeros(0, dtype=int))
        return UserChunk(users, sparse.csr_matrix(nothing, shape=(len(users), self.history.shape[1])))


@dataclass(frozen=True)
class DayItems:
    """A candidate stage bound to one day's items, ready to be bound to any users.

    Attributes:
        lists: what comes behind the ranker: rules, variety, exploration; None: nothing.
    """

    stage: CandidateStage
    sources: tuple[BoundSource, ...]
    tables: ItemTables
    lists: DayLists | None = None

    @property
    def bytes_per_user(self) -> int:
        """Upper estimate of the memory per user of a chunk while it is ranked, in bytes."""
        count, items = len(self.sources), len(self.tables.items)
        proposals = self.stage.settings.most_candidates
        pairs = min(proposals, items) * (4 * (3 * count + 32) + 96)
        dense = sum(
            8 * items for name, fit in self.stage.fits.items() if sources()[name].scores_all_items(fit)
        )
        return proposals * 8 + pairs + 2 * dense

    def of_users(self, features: FeatureTables) -> BoundDay:
        """Bind these users, whose internal indices start from 0, too."""
        stage = self.stage
        users = UserSide(features, stage.filter_viewed)
        return BoundDay(
            tuple(source(users) for source in self.sources),
            self.tables.of_users(features, stage.encoders, with_history=not stage.only_new_items),
            users.counts,
            stage.filter_viewed,
            users.seen,
            None if self.lists is None else self.lists.of_users(features),
        )


def open_items(
    stage: CandidateStage,
    features: DayFeatures,
    threads: int,
    index: str = EXACT,
    prepare: Prepare = prepare_items,
    lists: DayLists | None = None,
) -> DayItems:
    """Bind a candidate stage to the items of a day.

    Args:
        index: how vectors are searched: candidates.index.
        prepare: gives what a source computes from the items' own columns.
        lists: what comes behind the ranker; None: nothing.
    """
    more = pair_functions(stage.features)
    tables = item_tables(features, stage.encoders, stage.max_categories, more)
    return DayItems(stage, open_sources(stage, features, threads, index, prepare), tables, lists)


def open_day(
    stage: CandidateStage, features: FeatureTables, threads: int, prepare: Prepare = prepare_items
) -> BoundDay:
    """Bind a candidate stage to all items and users of a day."""
    return open_items(stage, features, threads, prepare=prepare).of_users(features)


@dataclass(frozen=True)
class Ranked:
    """Users' candidates in the order of the ranker.

    Attributes:
        candidates: all candidates, sorted by user and item.
        scored: raw scores of the shortlisted candidates.
        scores: published scores of the shortlisted candidates, f32.
    """

    candidates: Candidates
    scored: Scored
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.candidates)

    def top(self, k: int) -> pl.DataFrame:
        """Return user, item, sources, raw_score, score and rank of the first k of each user."""
        raw = self.scored.raw
        best, ranks = top_k_rows(raw, self.scored.indptr, k)
        return self.candidates.keys(self.scored.rows[best]).with_columns(
            pl.Series(RAW_SCORE, raw[best]), pl.Series(SCORE, self.scores[best]), pl.Series(RANK, ranks)
        )

    def frame(self, day: BoundDay) -> pl.DataFrame:
        """Return the same for all candidates, with every feature; scores are null off the shortlist."""
        raw, scores = np.full((2, len(self)), np.nan, dtype=np.float32)
        raw[self.scored.rows], scores[self.scored.rows] = self.scored.raw, self.scores
        order, ranks = self._order(raw)
        return join_features(self.candidates, day.tables)[order].with_columns(
            pl.Series(RAW_SCORE, raw[order]).fill_nan(None),
            pl.Series(SCORE, scores[order]).fill_nan(None),
            pl.Series(RANK, ranks),
        )

    def ranks(self) -> pl.DataFrame:
        """Return user, item, rank and each source's NAME_rank, f32, of all candidates, best first."""
        raw = np.full(len(self), np.nan, dtype=np.float32)
        raw[self.scored.rows] = self.scored.raw
        order, ranks = self._order(raw)
        candidates = self.candidates
        sources = [f"{name}_rank" for name in candidates.names]
        return pl.DataFrame(
            {
                USER: candidates.users[candidates.pairs.rows[order]],
                ITEM: candidates.pairs.items[order].astype(np.uint32),
                RANK: ranks,
                **{name: candidates.columns[name][order] for name in sources},
            }
        )

    def _order(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the order of all candidates, best first per user, and their ranks, u16 from 1."""
        pairs = self.candidates.pairs
        order = np.lexsort((-self.scored.first, -raw, pairs.rows))
        return order, (np.arange(1, len(self) + 1) - pairs.indptr[pairs.rows]).astype(np.uint16)


def candidates_of(users: np.ndarray, day: BoundDay) -> Candidates:
    """Return the users' candidates.

    Args:
        users: internal indices, u32, ascending.
    """
    return propose_candidates(day.chunk(users), day.generators, day.lists)


def candidate_frame(users: np.ndarray, day: BoundDay) -> pl.DataFrame:
    """Return the users' candidates with every feature, sorted by user and item."""
    return join_features(candidates_of(users, day), day.tables)


def rank_users(users: np.ndarray, day: BoundDay, ranker: BoundRanker, shortlist: int) -> Ranked:
    """Return the users' candidates with their scores; a user's result does not depend on the other users.

    A pure function: `score` publishes the first candidates, `explain` shows the others. Equal scores keep the
    order of the internal item index.

    Args:
        shortlist: number of candidates per user that all trees score; 0: all.
    """
    candidates = candidates_of(users, day)
    preference = None if day.lists is None else day.lists.preference
    scored = ranker.scored(candidates, day.tables, shortlist, preference)
    return Ranked(candidates, scored, ranker.scores(scored.raw))


def schema_mismatches(
    model: TwoStageModel, features: DayFeatures, *, filter_viewed: bool, events: EventMeaning
) -> list[str]:
    """Return, one line each, how a day's features differ from those that the model was trained on."""
    stage = model.stage
    wrong = [
        *_side_mismatches("users", stage.encoders.users, features.user_schema, features.user_features),
        *_side_mismatches("items", stage.encoders.items, features.items.schema, features.item_features),
    ]
    kinds = features.user_schema[USER_ID], features.items.schema[ITEM_ID]
    for key, trained, now in zip((USER_ID, ITEM_ID), stage.id_types, kinds, strict=True):
        if trained != str(now):
            wrong.append(f"{key}: trained with {trained}; now {now}")
    if stage.filter_viewed != filter_viewed:
        wrong.append(
            f"scoring.filter_viewed: trained with {stage.filter_viewed}; now {filter_viewed}; "
            "labels, sources and features differ"
        )
    wrong += events.differences(stage.events)
    known = stage.settings.sections()
    external = EXTERNAL in known and known[EXTERNAL].is_on(filter_viewed=filter_viewed)
    if external and not features.with_external:
        wrong.append("candidates.external: trained with this source; now it is off")
    aggregates = {*features.user_schema, *features.items.columns}
    trained_on = {name for name in model.ranker.columns if "_events_" in name}
    trained_on |= {f"item_events_{days}d" for one in known.values() for days in one.feature_windows}
    if not trained_on <= aggregates:
        wrong.append(
            f"features.windows_days: the columns {', '.join(sorted(trained_on - aggregates))} are missing"
        )
    return wrong


def sources_without_proposals(model: TwoStageModel, features: DayFeatures) -> list[str]:
    """Return, one line each, sources of the training that can propose nothing from the day's tables."""
    stage, known, wrong = model.stage, set(model.ranker.columns), []
    for one in sources_on(stage.settings, filter_viewed=stage.only_new_items):
        section = one.section(stage.settings)
        if known & {f"{name}_norm" for name in section.names(one.name)}:
            reason = one.why_no_proposals(features, section)
            wrong += [f"candidates.{one.name}: trained with this source; now {reason}"] if reason else []
    return wrong


def _side_mismatches(
    name: str, encoder: FeatureEncoder, schema: pl.Schema, declared: tuple[str, ...]
) -> list[str]:
    """Return, one line each, how declared features differ from those of the training."""
    trained, now = set(encoder.names), set(declared)
    wrong = []
    if trained != now:
        before, after = (", ".join(sorted(names)) or "none" for names in (trained, now))
        wrong.append(f"features of {name}: trained with {before}; now {after}")
    for feature in sorted(trained & now):
        before, after = _kind(feature in encoder.edges), _kind(schema[feature].is_numeric())
        if before != after:
            wrong.append(f"feature {feature} of {name}: trained with {before}; now {after}")
    return wrong


def _kind(is_numeric: bool) -> str:
    return "numbers" if is_numeric else "categories"

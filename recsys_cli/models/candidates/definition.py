"""What a candidate source is made of: one `SourceDefinition` holds all that the program knows of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import numpy as np
import polars as pl

from recsys_cli.configs.sections import WarmStartSettings
from recsys_cli.configs.source_sections import CandidatesSettings, SourceSettings
from recsys_cli.data_preparation.features.feature_tables import (
    EVENTS,
    RECENCY,
    DayFeatures,
    FeatureTables,
    amount,
    ordered_sum,
    seen_pairs,
)
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.fit_cache import ArrayStore, uncached
from recsys_cli.models.candidates.protocol import CandidateGenerator
from recsys_cli.models.feature_encoding import Encoders
from recsys_cli.utils.columns import ELIGIBLE, ITEM, ITEM_ID, SEEN, USER
from recsys_cli.utils.errors import ModelError
from recsys_cli.utils.progress import Progress, no_progress

if TYPE_CHECKING:
    from scipy import sparse

    from recsys_cli.models.postprocessing.item_similarity import ItemSimilarity

EXACT = "exact"
S = TypeVar("S", bound=SourceSettings)
Made = TypeVar("Made")


@dataclass(frozen=True)
class UserSide:
    """The users that sources are bound to, with what several sources need of them.

    Attributes:
        filter_viewed: whether lists leave out the items that users have seen.
    """

    features: FeatureTables
    filter_viewed: bool = False

    @cached_property
    def counts(self) -> sparse.csr_matrix:
        """(users, items) f32: the logarithm of how often, or by what weight, a user had an item, and 1."""
        return pair_matrix(self.features, (1 + amount(self.features.pairs.schema)).log(2.0))

    @cached_property
    def recency(self) -> sparse.csr_matrix:
        """(users, items) f32: a user's events with an item, each halved every half-life."""
        return pair_matrix(self.features, pl.col(RECENCY))

    @cached_property
    def seen(self) -> sparse.csr_matrix:
        """(users, items) f32: the items that lists leave out, where they leave out what users have seen."""
        if SEEN not in self.features.pairs.columns:
            return self.counts
        return pair_matrix(replace(self.features, pairs=seen_pairs(self.features.pairs)), pl.col(SEEN))


BoundSource = Callable[[UserSide], CandidateGenerator]  # bound to a day's items; waits for its users


@dataclass(frozen=True)
class FitTask:
    """What a source learns from: everything in `tables` happened before `tables.day`.

    Attributes:
        encoders: vocabularies of the declared features.
        cached: returns the arrays of an earlier fit with the same key.
    """

    tables: Tables
    encoders: Encoders
    threads: int
    progress: Progress = no_progress
    cached: ArrayStore = uncached

    @cached_property
    def learnt_items(self) -> pl.Series:
        """Internal indices of the items with an event, ascending."""
        return self.tables.events[ITEM].unique().sort()

    @cached_property
    def item_ids(self) -> pl.Series:
        """External ids of the items with an event: the columns of `counts`."""
        return self.tables.items[self.learnt_items][ITEM_ID]

    @cached_property
    def counts(self) -> sparse.csr_matrix:
        """(users, items with an event) f32: the events of each pair, or the sum of their weights."""
        from scipy import sparse

        events = pl.len().cast(pl.Float32).alias(EVENTS)
        if self.tables.rules:
            events = ordered_sum(self.tables.strength()).cast(pl.Float32).alias(EVENTS)
        pairs = self.tables.events.group_by(USER, ITEM).agg(events).sort(USER, ITEM)
        places = (pairs[USER].to_numpy(), self.learnt_items.search_sorted(pairs[ITEM]).to_numpy())
        shape = (len(self.tables.users), len(self.learnt_items))
        return sparse.csr_matrix((pairs[EVENTS].to_numpy(), places), shape=shape)

    @cached_property
    def presence(self) -> sparse.csr_matrix:
        """(users, items with an event) f32: 1 for each pair; where events have weights, log2(1 + weight)."""
        from scipy import sparse

        if self.tables.rules:
            counts = self.counts
            gains = (np.log1p(counts.data) / np.log(2.0)).astype(np.float32)
            return sparse.csr_matrix((gains, counts.indices, counts.indptr), shape=counts.shape)
        return sparse.csr_matrix(self.counts > 0, dtype=np.float32)


class Shared:
    """Results that several sources of a day use, each made once."""

    def __init__(self) -> None:
        self._made: dict[str, object] = {}

    def get(self, key: str, make: Callable[[], Made]) -> Made:
        """Return what was made under this key, or make it."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]  # type: ignore[return-value]


@dataclass(frozen=True)
class SourceDay(Generic[S]):
    """A day's items, to which a source is bound.

    Attributes:
        name: of the source.
        settings: its section, as it was at the training.
        features: of the day.
        encoders: vocabularies of the declared features.
        fitted: what training learnt for the source; None where it learnt nothing.
        prepared: what `SourceDefinition.prepare` made; None where there is no such function.
        index: how vectors are searched: "exact", "ivf" or "hnsw".
    """

    name: str
    settings: S
    features: DayFeatures
    encoders: Encoders
    fitted: Any = None
    prepared: Any = None
    index: str = EXACT
    shared: Shared = field(default_factory=Shared)

    @cached_property
    def eligible(self) -> np.ndarray:
        """Whether each item may be recommended, by internal index."""
        return self.features.items[ELIGIBLE].to_numpy()


class StoredArrays(Protocol):
    """What a source has stored in a model version, read from files that anyone may have written."""

    @property
    def encoders(self) -> Encoders:
        """Vocabularies of the declared features."""

    @property
    def names(self) -> Collection[str]:
        """Names of what is stored."""

    def array(self, name: str, dtypes: Sequence[Any], dimensions: int) -> np.ndarray:
        """Return an array of one of these types. Raises: ValueError, OSError."""

    def ids(self, name: str, side: str, count: int) -> pl.Series:
        """Return so many different external ids of the side "users" or "items". Raises: ModelError."""

    def damaged(self, name: str, what: str) -> ModelError:
        """Return the error for something stored that is not as training wrote it."""


Stored = Mapping[str, np.ndarray | pl.Series]  # arrays, and external ids as a series, by name


@dataclass(frozen=True)
class CatalogueSize:
    """How many items there are, and how many of them have an event."""

    items: int
    with_event: int


@dataclass(frozen=True)
class Between:
    """Bounds of a number that `recsys tune` tries; two whole numbers stand for whole numbers alone."""

    low: float
    high: float
    log: bool = True


@dataclass(frozen=True)
class OneOf:
    """Values of a setting that `recsys tune` tries."""

    values: tuple[float, ...]


def _nothing(*_: object) -> str:
    return ""


def _no_bytes(*_: object) -> int:
    return 0


def _never(_: object) -> bool:
    return False


@dataclass(frozen=True, kw_only=True)
class SourceDefinition(Generic[S]):
    """One candidate source, or several that one section describes.

    Example: a source that learns nothing.
        SOURCE = SourceDefinition(
            name="newest", summary="the newest items", settings=SourceSettings, bind=newest_items
        )

    Attributes:
        name: of the section `candidates.NAME`, of the source and of its files in a model version.
        summary: what it proposes, in a few words, for the table in the guide.
        settings: the class of its section.
        bind: binds the source to a day's items; None where it has nothing to propose.
        is_popularity: whether it proposes what many had, whatever the user had.
        has_user_vectors: whether it learns each user's vector from the user's own items: they rank first.
        fit: what training learns; None where the tables give nothing to learn from.
        resume: how a warm start goes on from an earlier fit, with the events from a day on; by default the
            fit is made anew.
        fitted_by: the section of another source, whose fit this one uses.
        store, read: what is stored of a fit, and the fit again.
        item_similarity: how alike two of a day's items are, for lists of variety; None where it cannot say.
        prepare: what comes from the items' own columns alone, and so is made once for all days of a training;
            None where there is nothing.
        no_data: why these tables give a training nothing for this source; empty where they do.
        why_no_proposals: why the source can propose nothing from a day's features; empty where it can.
        fit_bytes: memory that the fit, or what is prepared, takes.
        scores_all_items: whether a fit gives a user a score for every item at once: it takes memory.
        bounds: what `recsys tune` tries, by setting of the section; fit_bounds: those of which each new
            combination costs a long fit.
    """

    name: str
    summary: str
    settings: type[S]
    bind: Callable[[SourceDay[S]], BoundSource | None]
    is_popularity: bool = False
    has_user_vectors: bool = False
    fit: Callable[[FitTask, S], Any] | None = None
    resume: Callable[[Any, FitTask, S, WarmStartSettings, date], Any] | None = None
    fitted_by: str = ""
    store: Callable[[Any], Stored] | None = None
    read: Callable[[StoredArrays], Any] | None = None
    item_similarity: Callable[[SourceDay[S]], ItemSimilarity | None] | None = None
    prepare: Callable[[DayFeatures, S, int], Any] | None = None
    no_data: Callable[[Tables, S], str] = _nothing
    why_no_proposals: Callable[[DayFeatures, S], str] = _nothing
    fit_bytes: Callable[[S, CatalogueSize], int] = _no_bytes
    scores_all_items: Callable[[Any], bool] = _never
    bounds: Mapping[str, Between] = field(default_factory=dict)
    fit_bounds: Mapping[str, OneOf] = field(default_factory=dict)

    @property
    def fit_section(self) -> str:
        """The section whose fit the source uses: its own, or another's."""
        return self.fitted_by or self.name

    def section(self, candidates: CandidatesSettings) -> S:
        """Return the source's own section.

        Raises: LookupError where the settings have none: a model may be older than the source.
        """
        section = candidates.sections()[self.name]
        assert isinstance(section, self.settings)
        return section


def pair_matrix(features: FeatureTables, cells: pl.Expr) -> sparse.csr_matrix:
    """Return (users, items) f32 with a value of each pair's own history."""
    from scipy import sparse

    values = features.pairs.select(cells.cast(pl.Float32)).to_series().to_numpy()
    places = (features.pairs[USER].to_numpy(), features.pairs[ITEM].to_numpy())
    return sparse.csr_matrix((values, places), shape=(len(features.users), len(features.items)))

"""Ranking users chunk by chunk: spans of users are read from disk, chunks of them ranked side by side."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil

import numpy as np
import polars as pl

from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.features.partition import StoredFeatures
from recsys_cli.models.postprocessing.day_lists import open_lists
from recsys_cli.models.postprocessing.list_settings import ListRequest
from recsys_cli.models.postprocessing.lists import (
    ListLimits,
    choose_lists,
    top_lists,
    unmet_rules,
)
from recsys_cli.models.postprocessing.quota_pairs import pair_frame, quota_pairs
from recsys_cli.models.reranking.ranker import BoundRanker
from recsys_cli.models.two_stage import BoundDay, DayItems, TwoStageModel, open_items, rank_users
from recsys_cli.utils.columns import USER
from recsys_cli.utils.errors import SettingsError
from recsys_cli.utils.memory_limit import check_memory, memory_limit
from recsys_cli.utils.parallel import chunks_of, map_in_threads
from recsys_cli.utils.stage_timer import peak_bytes

SPAN = 32_768  # users whose features are in memory at a time
_EXAMPLE_ITEMS = 8  # enough to see what a list comes from
_SPAN_BYTES = 100_000_000  # that they take, or little more


@dataclass(frozen=True)
class Chunk:
    """Users to be ranked together, by internal index, as members of a span that begins at `first`."""

    users: np.ndarray
    first: int
    day: BoundDay

    @property
    def viewed(self) -> np.ndarray:
        """How many items each user has had."""
        return self.day.viewed(self.users - self.first)


@dataclass(frozen=True)
class RankedChunk:
    """A chunk with the number of its candidates and its lists: user, item, sources, scores, rank.

    With quotas `top` has the pairs that they are allocated from instead, as `pair_frame` has them.

    Attributes:
        unmet: users for whom each rule could not be met, by its number.
    """

    chunk: Chunk
    candidates: int
    top: pl.DataFrame
    unmet: np.ndarray

    @property
    def example(self) -> tuple[int, int]:
        """The user to show in `explain`: how good an example it is, and its internal index."""
        users, viewed = self.chunk.users, self.chunk.viewed
        listed = np.isin(users, self.top[USER].to_numpy())
        fitness = listed * (1 + np.minimum(viewed, _EXAMPLE_ITEMS))
        best = int(np.argmax(fitness))
        return int(fitness[best]), int(users[best])


@dataclass(frozen=True)
class Limits:
    """How far ranking goes: the index that vectors are searched with, and numbers as in the settings."""

    index: str
    top_k: int
    shortlist: int
    chunk_users: int

    @property
    def of_lists(self) -> ListLimits:
        """Those of a user's list."""
        return ListLimits(self.shortlist, self.top_k)

    @classmethod
    def of(cls, settings: Settings, top_k: int) -> "Limits":
        """Return the limits of the settings, for lists of so many items."""
        scoring = settings.scoring
        return cls(scoring.index, top_k, scoring.shortlist_of(top_k), scoring.chunk_users)


@dataclass(frozen=True)
class Ranking:
    """A model over a day's items, ready for any of its users."""

    features: StoredFeatures
    items: DayItems
    ranker: BoundRanker
    limits: Limits
    threads: int

    def chunks(self, users: np.ndarray) -> Iterator[Chunk]:
        """Yield users, ascending internal indices, in chunks; a span is read when its first one is due."""
        for span in self.spans(users):
            for chunk in chunks_of(span.users, self.limits.chunk_users):
                yield Chunk(chunk, span.first, span.day)

    def spans(self, users: np.ndarray) -> Iterator[Chunk]:
        """Yield users, ascending internal indices, as they are read: all of a span together."""
        last_user = int(users[-1]) if users.size else -1
        ends = np.searchsorted(users, np.arange(0, last_user + 1, SPAN) + SPAN)
        for start, end in pairwise([0, *ends.tolist()]):
            if start < end:
                first, last = int(users[start]), int(users[end - 1]) + 1
                day = self.items.of_users(self.features.span(first, last))
                yield Chunk(users[start:end], first, day)

    def source_names(self, users: np.ndarray) -> tuple[str, ...]:
        """Return the names of the sources, in the order of their bits."""
        span = next(self.spans(users[:1]), None)
        return () if span is None else tuple(source.name for source in span.day.generators)

    def some_spans(self, users: np.ndarray, count: int) -> Iterator[Chunk]:
        """Yield so many spans of users, spread over all of them."""
        for span in some_spans(users, count):
            yield from self.spans(users[users // SPAN == span])

    def ranked(self, chunks: Iterable[Chunk]) -> Iterator[RankedChunk]:
        """Yield the chunks' lists, in order."""
        return map_in_threads(self._rank, chunks, self.threads)

    def _rank(self, chunk: Chunk) -> RankedChunk:
        users = chunk.users - np.uint32(chunk.first)
        bound = chunk.day.lists
        if bound is not None and bound.tables.quotas:
            ranked = rank_users(users, chunk.day, self.ranker, self.limits.shortlist)
            pairs = shifted(pair_frame(users, ranked, quota_pairs(users, ranked, bound)), chunk.first)
            return RankedChunk(chunk, len(ranked), pairs, np.zeros(0, dtype=np.int64))
        lists = choose_lists(users, chunk.day, self.ranker, self.limits.of_lists)
        top = shifted(top_lists(lists, self.limits.top_k), chunk.first)
        return RankedChunk(chunk, len(lists[0].ranked), top, unmet_rules(lists))


def shifted(rows: pl.DataFrame, first: int) -> pl.DataFrame:
    """Return the rows of a span that begins at `first` with the internal indices of all users."""
    return rows.with_columns(pl.col(USER) + pl.lit(first, dtype=pl.UInt32))


def some_spans(users: np.ndarray, count: int) -> np.ndarray:
    """Return the numbers of so many of the users' spans, spread over all of them."""
    spans = np.unique(users // SPAN)
    return np.asarray(spans[np.unique(np.linspace(0, len(spans) - 1, min(count, len(spans))).astype(int))])


def within_memory(ranking: Ranking, bound: int | None) -> Ranking:
    """Return the ranking with chunks so small that the process stays below `bound` bytes; None: all.

    Raises: SettingsError where the bound leaves no room for a user; OutputError where the machine does not.
    """
    most = memory_limit().size if bound is None else bound
    room = most - peak_bytes() - _SPAN_BYTES
    users = room // ((ranking.threads + 1) * ranking.items.bytes_per_user)
    if users < 1:
        least = most - room + (ranking.threads + 1) * ranking.items.bytes_per_user
        enough = ceil(1.1 * least / 1e7) / 100  # another run takes a little more or less
        if bound is None:
            check_memory(least, "this scoring", fix="raise the limit, or lower runtime.threads")
        raise SettingsError(
            f"runtime.max_memory leaves no room: about {least / 1e9:.2f} GB are needed",
            where="runtime.max_memory",
            fix=f"set at least {enough:.2f}GB, or fewer runtime.threads",
        )
    limits = replace(ranking.limits, chunk_users=min(ranking.limits.chunk_users, int(users)))
    return replace(ranking, limits=limits)


def open_ranking(
    model: TwoStageModel,
    features: StoredFeatures,
    limits: Limits,
    threads: int,
    asked: ListRequest | None = None,
) -> Ranking:
    """Bind a model to the items of a day, and to what is asked of the lists behind the ranker."""
    lists = None if asked is None else open_lists(asked, model.stage, features)
    items = open_items(model.stage, features, threads, limits.index, lists=lists)
    return Ranking(features, items, model.ranker.on(items.tables.items), limits, threads)

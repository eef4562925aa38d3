"""What comes behind the ranker, bound to a day's items and to users: rules, variety, exploration."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from recsys_cli.data_preparation.features.feature_tables import DayFeatures, FeatureTables
from recsys_cli.models.candidates.merge import Candidates
from recsys_cli.models.candidates.protocol import Pairs, UserChunk
from recsys_cli.models.candidates.stage import CandidateStage
from recsys_cli.models.kernels.exploration_draws import drawn_rows
from recsys_cli.models.kernels.top_k import top_k_rows
from recsys_cli.models.postprocessing.exploration import Draws, draws, explored_places, pool_of
from recsys_cli.models.postprocessing.extra_candidates import (
    Wish,
    granted,
    keys_of,
    side_by_side,
    with_keys,
    without,
)
from recsys_cli.models.postprocessing.item_similarity import ItemSimilarity
from recsys_cli.models.postprocessing.list_settings import ListRequest, ListSettings
from recsys_cli.models.postprocessing.rule_binding import BoundRules, DayRules, bind_rules
from recsys_cli.models.postprocessing.rule_tables import RuleTables
from recsys_cli.models.postprocessing.similarity_of_items import item_similarity
from recsys_cli.models.postprocessing.turns import turns_of
from recsys_cli.utils.columns import ELIGIBLE, ITEM


def open_lists(asked: ListRequest, stage: CandidateStage, features: DayFeatures) -> "DayLists | None":
    """Bind what is asked of lists to a day's items; None where nothing is.

    Raises: SettingsError for rules that do not fit the tables, or a similarity that the model has not learnt.
    """
    settings, inputs = asked.settings, asked.inputs
    if not settings.is_on:
        return None
    items = features.items
    order = items.with_row_index(ITEM).filter(ELIGIBLE).sort("item_events", ITEM, descending=[True, False])
    nothing = np.zeros(0, dtype=np.int32)
    return DayLists(
        asked,
        bind_rules(settings.rules, features, inputs.users, inputs.campaigns, list_length=settings.top_k),
        order[ITEM].to_numpy().astype(np.int32),
        pool_of(items, settings.explore_items) if settings.explore else nothing,
        item_similarity(settings.diversity_by, stage, features) if settings.diversity else None,
    )


_TRIED = 1_024  # items that are tried for a pin or a minimum, at most
_SPREAD = 2  # items of chance for each place
_SECOND_ROUND = 4  # times as many in a second round
_OF_SPREAD, _OF_SECOND_ROUND = np.uint64(0x737072656164), np.uint64(0x7365636F6E64)  # none as exploration's
_PINNED = 8  # candidates of a pin, at least: the ranker chooses among them


@dataclass(frozen=True)
class DayLists:
    """What is asked of the lists of a day, bound to its items.

    Attributes:
        popular: items that may be recommended, those with the most events first, i32.
        pool: items that exploration draws from, i32; empty: it is off.
    """

    request: ListRequest
    rules: DayRules
    popular: np.ndarray
    pool: np.ndarray
    similarity: ItemSimilarity | None

    @property
    def settings(self) -> ListSettings:
        """What is asked."""
        return self.request.settings

    def of_users(self, features: FeatureTables) -> "UserLists":
        """Bind these users, whose internal indices start from 0, too."""
        resting = self.request.inputs.resting
        shown = None if resting is None else resting.of_span(features)
        return UserLists(
            self, self.rules.of_users(features, shown), turns_of(features.user_ids, features.day)
        )


@dataclass(frozen=True)
class UserLists:
    """The same for some users.

    Attributes:
        turns: hashes of the users' ids and the day, u64.
        fills: popular candidates that each user gets in any case.
        off: bits of rules that do not count.
        room: bool an item: what quotas have left for a second round, in which nothing else counts; None: the
            first round.
    """

    day: DayLists
    rules: BoundRules
    turns: np.ndarray
    fills: int = 0
    off: np.uint64 = np.uint64(0)
    room: np.ndarray | None = None

    @property
    def tables(self) -> RuleTables:
        """The rules as arrays."""
        return self.rules.tables

    def filling(self, count: int) -> "UserLists":
        """Return the same with so many popular candidates for each user."""
        return replace(self, fills=count)

    @property
    def wanting(self) -> list[int]:
        """Numbers of the rules that want candidates."""
        return [rule for rule, _ in self._counts]

    def spread(self, users: np.ndarray) -> np.ndarray:
        """Return items of chance from all that may be recommended, (users, some) i32, for quotas.

        Together users are offered the whole catalogue, in a second round all that has room: lists can be
        filled where the best are sold out.
        """
        popular, salt = self.day.popular, _OF_SPREAD
        count = _SPREAD * self.day.settings.top_k
        if self.room is not None:
            popular, salt, count = popular[self.room[popular]], _OF_SECOND_ROUND, _SECOND_ROUND * count
        count = min(count, len(popular))
        return np.asarray(popular[drawn_rows(self.turns[users] ^ salt, len(popular), count)])

    def draws(self, users: np.ndarray) -> Draws:
        """Return what exploration draws for users."""
        top_k = self.day.settings.top_k
        count = explored_places(self.day.settings.explore, top_k)
        return draws(self.turns[users], self.day.pool, count, top_k)

    def marks(self, users: np.ndarray, pairs: Pairs) -> np.ndarray:
        """Return the rules that each pair meets, u64, a bit each."""
        return self.rules.marks(users, pairs) & ~self.off

    def user_marks(self, users: np.ndarray) -> np.ndarray:
        """Return the rules whose `when` each user meets, u64, a bit each."""
        return self.rules.user_marks(users) & ~self.off

    def allowed(self, marks: np.ndarray) -> np.ndarray:
        """Return whether each pair may be in a list."""
        return np.asarray((marks & self.tables.removing) == 0)

    def offers(self, chunk: UserChunk) -> np.ndarray:
        """Return what exploration and quotas draw, as `CandidateRules.offers` does."""
        lists = [self.draws(chunk.users).items] if self.day.pool.size else []
        lists += [self.spread(chunk.users)] if self.tables.quotas else []
        viewed = keys_of(chunk) if lists else np.zeros(0, dtype=np.int64)
        return side_by_side((without(one, viewed, chunk.size) for one in lists), len(chunk))

    def extra(self, chunk: UserChunk, pairs: Pairs, marks: np.ndarray) -> np.ndarray:
        """Return candidates that no source proposes, as `CandidateRules.extra` does."""
        return side_by_side(self._extra(chunk, pairs, marks), len(chunk))

    def _extra(self, chunk: UserChunk, pairs: Pairs, marks: np.ndarray) -> Iterator[np.ndarray]:
        wishes = [one for one in self._wishes(chunk.users, pairs, marks) if one.wanted.any()]
        if not wishes:
            return
        known = keys_of(chunk, pairs, np.logical_or.reduce([one.wanted > 0 for one in wishes]))
        for wish in wishes:
            found = granted(wish, chunk, self, known)
            known = with_keys(known, found, chunk.size)
            yield found

    def _wishes(self, users: np.ndarray, pairs: Pairs, marks: np.ndarray) -> Iterator[Wish]:
        """Yield what is wanted beside the pairs: by pins, by rules of a minimum, and to fill short lists."""
        own = self.user_marks(users)
        allowed = self.allowed(marks)
        for rule, count in self._counts:
            bit = np.uint64(1) << np.uint64(rule)
            there = _per_user(allowed & ((marks & bit) != 0), pairs)
            wanted = np.where((own & bit) != 0, np.maximum(count - there, 0), 0)
            yield Wish(bit, self._may_meet[rule], wanted)
        if not self.day.settings.rules:
            return
        short = np.maximum(self.day.settings.top_k - _per_user(allowed, pairs), 0)
        yield Wish(np.uint64(0), self.day.popular, short + self.fills)

    @cached_property
    def _counts(self) -> list[tuple[int, int]]:
        """Rules that want candidates, and how many."""
        pins = [(pin.rule, max(_PINNED, 2 * len(pin.places))) for pin in self.tables.pins]
        return pins + [(need.rule, need.at_least) for need in self.tables.needs]

    @cached_property
    def _may_meet(self) -> dict[int, np.ndarray]:
        """Items that may meet each of these rules, the most popular first; of many the first `_TRIED`."""
        popular, of_items = self.day.popular, self.day.rules.of_items[self.day.popular]
        bits = {rule: np.uint64(1) << np.uint64(rule) for rule, _ in self._counts}
        return {rule: popular[(of_items & bit) != 0][:_TRIED] for rule, bit in bits.items()}

    def preference(self, candidates: Candidates, first: np.ndarray) -> np.ndarray:
        """Return how much each candidate belongs on the shortlist, f32.

        What rules need comes first, then the best by the first trees; what they remove comes last.
        """
        assert candidates.marks is not None
        marks, order = candidates.marks, first.copy()
        for rule, count in self._counts:
            meets = (marks & (np.uint64(1) << np.uint64(rule))) != 0
            ranked = np.where(meets, first, np.float32(-np.inf))
            best = top_k_rows(ranked, candidates.pairs.indptr, count)[0]
            order[best[meets[best]]] = np.inf
        order[candidates.sources == 0] = np.inf
        if self.day.pool.size:
            rows = self.draws(candidates.users).rows(candidates.pairs.indptr, candidates.pairs.items)
            order[rows[rows >= 0]] = np.inf
        if self.room is not None:
            order[~self.room[candidates.pairs.items]] = -np.inf
        order[~self.allowed(marks)] = -np.inf
        return order


def _per_user(holds: np.ndarray, pairs: Pairs) -> np.ndarray:
    """Return how many pairs of each user hold, i64."""
    counted = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(holds, dtype=np.int64)])
    return np.asarray(np.diff(counted[pairs.indptr]))

"""The second round of quotas: users whose lists are short are ranked again, among what has room left."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from loguru import logger

from recsys_cli.models.postprocessing.list_arrays import NO_ROW, AllocatedLists, SecondRound
from recsys_cli.models.postprocessing.quota_account import QuotaAccount
from recsys_cli.models.postprocessing.quota_pairs import open_pairs, pair_frame
from recsys_cli.models.postprocessing.quota_room import room_of_items
from recsys_cli.models.postprocessing.turns import order_of
from recsys_cli.models.two_stage import rank_users
from recsys_cli.pipelines.scoring.local_engine import Chunk, Ranking, shifted
from recsys_cli.pipelines.scoring.stored_shortlists import StoredShortlists
from recsys_cli.utils.columns import ELIGIBLE
from recsys_cli.utils.parallel import chunks_of, map_in_threads


@dataclass(frozen=True)
class SecondRounds:
    """Ranks again the users whose lists quotas have left short.

    Attributes:
        users: of the run, internal indices, ascending; turns: theirs, u64.
        folder: where their pairs are kept meanwhile.
    """

    ranking: Ranking
    users: np.ndarray
    turns: np.ndarray
    folder: Path

    def __call__(self, lists: AllocatedLists, account: QuotaAccount) -> SecondRound | None:
        """Return what these users may have of what is left; None where nothing is short, or left.

        No more users are ranked than there are rows left, the first in the order of their turns.

        Raises: OutputError.
        """
        bound = self.ranking.items.lists
        assert bound is not None
        room = room_of_items(bound.rules.tables, bound.rules.of_items, account.left)
        room[~self.ranking.features.items[ELIGIBLE].to_numpy()] = 0.0
        short = np.flatnonzero(lists.rows[:, -1] == NO_ROW)
        short = np.sort(short[order_of(self.turns[short])][: int(min(room.sum(), len(short)))])
        if not short.size:
            return None
        logger.info("{:,} lists are short: their users are ranked again among what is left", len(short))
        with StoredShortlists(self.folder, with_sources=True) as stored:
            for users, pairs in self._ranked(short, lists, room > 0):
                stored.add(users, pairs)
            return SecondRound(short, stored.mapped(), stored.sources())

    def _ranked(
        self, short: np.ndarray, lists: AllocatedLists, has_room: np.ndarray
    ) -> Iterator[tuple[np.ndarray, pl.DataFrame]]:
        ranking, users = self.ranking, self.users[short]

        def ranked(chunk: Chunk) -> tuple[np.ndarray, pl.DataFrame]:
            own, bound = chunk.users - np.uint32(chunk.first), chunk.day.lists
            assert bound is not None
            found = rank_users(own, chunk.day, ranking.ranker, ranking.limits.shortlist)
            listed = lists.items[short[np.searchsorted(users, chunk.users)]]
            pairs = open_pairs(own, found, bound, listed)
            return chunk.users, shifted(pair_frame(own, found, pairs), chunk.first)

        def chunks() -> Iterator[Chunk]:
            for span in ranking.spans(users):
                assert span.day.lists is not None
                day = replace(span.day, lists=replace(span.day.lists, room=has_room))
                for some in chunks_of(span.users, ranking.limits.chunk_users):
                    yield Chunk(some, span.first, day)

        return map_in_threads(ranked, chunks(), ranking.threads)

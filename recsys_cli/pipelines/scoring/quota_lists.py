"""Lists under quotas: all users' shortlists are ranked first, then what is scarce is allocated over all of them."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import polars as pl

from recsys_cli.models.candidates.merge import sources_text
from recsys_cli.models.postprocessing.allocation import Allocation, Allocator
from recsys_cli.models.postprocessing.day_lists import DayLists
from recsys_cli.models.postprocessing.selection import Chosen, Diversity, Ledger, Shortlist, select_lists
from recsys_cli.models.postprocessing.turns import turns_of
from recsys_cli.pipelines.publication.quota_table import write_quotas
from recsys_cli.pipelines.scoring.batches import RankedBatch
from recsys_cli.pipelines.scoring.checkpoint import BatchCheckpoint
from recsys_cli.pipelines.scoring.local_engine import Ranking
from recsys_cli.pipelines.scoring.stored_shortlists import StoredShortlists, top_of_batch
from recsys_cli.utils.columns import SOURCES
from recsys_cli.utils.progress import Progress

_SAMPLE = 4_096  # users whose lists are compared with those without quotas


@dataclass(frozen=True)
class QuotaLists:
    """What allocation has given to the users of a run.

    Attributes:
        users: internal indices, ascending.
        files: SHA-256 of the tables written beside the lists, by name.
    """

    ranking: Ranking
    users: np.ndarray
    checkpoint: BatchCheckpoint
    allocation: Allocation
    indptr: np.ndarray
    files: dict[str, str]

    def batches(self) -> Iterator[RankedBatch]:
        """Yield the lists of all users, batch by batch as they were ranked."""
        names = tuple(source.name for source in self.ranking.generators())
        first = 0
        for batch in self.checkpoint.stored():
            users = self.users[first : first + batch.figures.users]
            top = top_of_batch(self.allocation.lists, first, users, batch.top, int(self.indptr[first]))
            text = sources_text(top[SOURCES].to_numpy(), names)
            unmet = _unmet(self.allocation.lists.unmet_marks[first : first + len(users)], self.ranking)
            yield RankedBatch(
                batch.figures.model_copy(update={"unmet": unmet}), top.with_columns(text.alias(SOURCES))
            )
            first += len(users)

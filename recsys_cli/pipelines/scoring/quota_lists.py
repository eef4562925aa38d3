"""Lists under quotas: all users are ranked first, then what is scarce is allocated over all of them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from loguru import logger

from recsys_cli.models.candidates.merge import sources_text
from recsys_cli.models.postprocessing.allocation import Allocation
from recsys_cli.models.postprocessing.day_allocation import allocator_of
from recsys_cli.models.postprocessing.quota_account import QuotaAccount, group_names
from recsys_cli.models.postprocessing.quota_effect import QuotaEffect, effect_of_quotas
from recsys_cli.models.postprocessing.rule_tables import NO_RULE, PlacedBy, RuleTables
from recsys_cli.models.postprocessing.turns import turns_of
from recsys_cli.pipelines.publication.quota_table import QUOTA_CHANGES, QUOTAS, write_quotas
from recsys_cli.pipelines.scoring.batches import RankedBatch
from recsys_cli.pipelines.scoring.checkpoint import BatchCheckpoint
from recsys_cli.pipelines.scoring.local_engine import Ranking
from recsys_cli.pipelines.scoring.second_round import SecondRounds
from recsys_cli.pipelines.scoring.stored_shortlists import StoredShortlists, top_of_batch
from recsys_cli.utils.columns import PLACED_BY, RULE, SOURCES
from recsys_cli.utils.storage.hashing import sha256_of


@dataclass(frozen=True)
class QuotaLists:
    """What allocation has given to the users of a run.

    Attributes:
        users: internal indices, ascending; indptr: where the pairs of each start.
        checkpoint: the batches that the pairs are stored in.
        sources: names, by bit.
    """

    allocation: Allocation
    users: np.ndarray
    indptr: np.ndarray
    checkpoint: BatchCheckpoint
    sources: tuple[str, ...]
    tables: RuleTables
    effect: QuotaEffect

    def batches(self) -> Iterator[RankedBatch]:
        """Yield the lists of all users, in the batches that they were ranked in."""
        lists, first = self.allocation.lists, 0
        for batch in self.checkpoint.stored():
            users = self.users[first : first + batch.figures.users]
            top = top_of_batch(self.allocation, first, users, batch.top, int(self.indptr[first]))
            top = top.with_columns(
                sources_text(top[SOURCES].to_numpy(), self.sources), named_by_quota(self.tables).alias(RULE)
            )
            unmet = lists.unmet(slice(first, first + len(users)), len(self.tables.names))
            yield RankedBatch(batch.figures.model_copy(update={"unmet": unmet.tolist()}), top)
            first += len(users)


def allocate_quotas(ranking: Ranking, users: np.ndarray, checkpoint: BatchCheckpoint) -> QuotaLists:
    """Allocate what is scarce over the stored shortlists of all users.

    Args:
        users: internal indices, ascending.

    Raises: OutputError.
    """
    bound = ranking.items.lists
    assert bound is not None
    allocator, features = allocator_of(bound, ranking.threads), ranking.features
    turns = turns_of(features.user_ids.gather(users), features.day)
    with StoredShortlists(checkpoint.folder / "shortlists") as stored:
        first = 0
        for batch in checkpoint.stored():
            stored.add(users[first : first + batch.figures.users], batch.top)
            first += batch.figures.users
        shortlists = stored.mapped()
        again = SecondRounds(ranking, users, turns, checkpoint.folder / "second-round")
        allocation = allocator.allocate(shortlists, turns, again)
        effect = effect_of_quotas(allocator, shortlists, allocation)
    names = ranking.source_names(users)
    _warn_of_minimums(bound.rules.tables, allocation.account)
    return QuotaLists(allocation, users, shortlists.indptr, checkpoint, names, bound.rules.tables, effect)


def named_by_quota(tables: RuleTables) -> pl.Expr:
    """Return the rule of each row; that of rows that a quota moved up is the quota, if it is the only one."""
    if len(tables.quotas) != 1:
        return pl.col(RULE)
    moved = (pl.col(PLACED_BY) == int(PlacedBy.QUOTA)) & (pl.col(RULE) == NO_RULE)
    return pl.when(moved).then(pl.lit(tables.quotas[0].rule, dtype=pl.Int8)).otherwise(pl.col(RULE))


def _warn_of_minimums(tables: RuleTables, account: QuotaAccount) -> None:
    """Warn of groups with fewer rows than at_least asks for."""
    rules = [rule for rule, _ in group_names(tables)]
    for name in dict.fromkeys(rules):
        own = np.array([rule == name for rule in rules])
        lacking = int((own & (account.lacking > 0) & (account.at_least > 0)).sum())
        if lacking:
            logger.warning(
                "rule {!r} (quota): {:,} of {:,} groups have fewer rows than at_least_share asks for: "
                "too few users have a candidate among them",
                name,
                lacking,
                int((own & (account.at_least > 0)).sum()),
            )


def write_quota_tables(lists: QuotaLists, ranking: Ranking) -> dict[str, str]:
    """Write the tables of the quotas beside the lists; return their SHA-256 by name.

    Raises: OutputError.
    """
    bound, folder = ranking.items.lists, lists.checkpoint.staged.parent
    assert bound is not None
    changed = ranking.features.user_ids.gather(lists.users[lists.allocation.changed])
    write_quotas(folder, bound.rules.tables, lists.allocation.account, changed)
    return {name: sha256_of(folder / name) for name in (QUOTAS, QUOTA_CHANGES)}

"""A user's list of a day with quotas, by the account that the run has kept of them."""

from dataclasses import replace

import numpy as np

from recsys_cli.models.postprocessing.day_lists import UserLists
from recsys_cli.models.postprocessing.quota_replay import PublishedList, QuotaReplay, replay
from recsys_cli.models.reranking.ranker import BoundRanker
from recsys_cli.models.two_stage import ALONE, BoundDay, rank_users
from recsys_cli.pipelines.explanation.published_context import ExplainedDay, published_items
from recsys_cli.pipelines.publication.quota_table import read_quotas


def list_under_quotas(
    opened: ExplainedDay, bound: BoundDay, lists: UserLists, ranker: BoundRanker
) -> QuotaReplay:
    """Return the list of the only user of `bound` as it was allocated.

    Args:
        opened: the day, with its publication; lists: those of `bound`.
    """
    account, changed = read_quotas(opened.day.recommendations, lists.tables)
    ranked, published = rank_users(ALONE, bound, ranker, opened.shortlist), None
    if opened.partition.features.user_ids[opened.user] in changed:
        items = published_items(opened)
        room = np.zeros(len(bound.tables.items), dtype=np.bool_)
        room[items] = True  # all of them are then among the candidates
        again = replace(lists, room=room)
        every = rank_users(ALONE, replace(bound, lists=again), ranker, 0)
        published = PublishedList(items, every, again)
    return replay(ranked, lists, account, published)

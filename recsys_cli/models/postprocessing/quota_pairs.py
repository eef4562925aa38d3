"""The scored pairs that quotas are allocated from: the best of each shortlist, and what rules need."""

import numpy as np
import polars as pl

from recsys_cli.models.kernels.top_k import top_k_rows
from recsys_cli.models.postprocessing.day_lists import UserLists
from recsys_cli.models.postprocessing.lists import shortlist_of
from recsys_cli.models.postprocessing.rule_tables import bits_of
from recsys_cli.models.postprocessing.selection import Shortlist
from recsys_cli.models.two_stage import Ranked
from recsys_cli.utils.columns import ITEM, MARKS, SCORE, SOURCES, USER, USER_MARKS

_PAIRS, _PAIRS_OF_LIMITS = 5, 10  # for each place of a list; more where limits refuse many of them


def quota_pairs(users: np.ndarray, ranked: Ranked, lists: UserLists) -> tuple[Shortlist, np.ndarray]:
    """Return the pairs of users that allocation chooses from, and their rows among the scored ones.

    Args:
        users: internal indices, u32, of `ranked`.
    """
    shortlist, rows = shortlist_of(users, ranked, lists)
    is_first = (shortlist.marks & bits_of(lists.wanting)) != 0
    is_first |= ranked.candidates.sources[ranked.scored.rows[rows]] == 0
    order = np.where(is_first, np.float32(2.0) + shortlist.scores, shortlist.scores)
    most = (_PAIRS_OF_LIMITS if lists.tables.limits else _PAIRS) * lists.day.settings.top_k
    is_chosen = np.zeros(len(rows), dtype=np.bool_)
    is_chosen[top_k_rows(order, shortlist.indptr, most)[0]] = True
    return _kept(shortlist, rows, is_chosen)


def open_pairs(
    users: np.ndarray, ranked: Ranked, lists: UserLists, listed: np.ndarray
) -> tuple[Shortlist, np.ndarray]:
    """Return the pairs of a second round with room left, and their rows among the scored ones.

    Args:
        users: as of `quota_pairs`.
        listed: (users, k) i32, what is in their lists already.
    """
    assert lists.room is not None
    shortlist, rows = shortlist_of(users, ranked, lists)
    owners = np.repeat(np.arange(len(users)), np.diff(shortlist.indptr))
    is_new = (listed[owners] != shortlist.items[:, np.newaxis]).all(axis=1)
    return _kept(shortlist, rows, lists.room[shortlist.items] & is_new)


def _kept(shortlist: Shortlist, rows: np.ndarray, keeps: np.ndarray) -> tuple[Shortlist, np.ndarray]:
    ends = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(keeps, dtype=np.int64)])
    items, scores, marks = (one[keeps] for one in (shortlist.items, shortlist.scores, shortlist.marks))
    return Shortlist(ends[shortlist.indptr], items, scores, marks, shortlist.user_marks), rows[keeps]


def pair_frame(users: np.ndarray, ranked: Ranked, pairs: tuple[Shortlist, np.ndarray]) -> pl.DataFrame:
    """Return user, item, sources as bits i64, score, marks and user_marks of pairs, by user, item.

    Args:
        pairs: of the users, as of `quota_pairs` or `open_pairs`.
    """
    shortlist, rows = pairs
    sizes = np.diff(shortlist.indptr)
    return pl.DataFrame(
        {
            USER: np.repeat(users, sizes),
            ITEM: shortlist.items.astype(np.uint32),
            SOURCES: ranked.candidates.sources[ranked.scored.rows[rows]],
            SCORE: shortlist.scores,
            MARKS: shortlist.marks,
            USER_MARKS: np.repeat(shortlist.user_marks, sizes),
        }
    )

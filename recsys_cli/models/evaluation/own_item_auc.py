"""Check that learnt vectors belong to these users and items: they must rank a user's own items first."""

import numpy as np
from scipy import sparse

from recsys_cli.models.candidates.protocol import CandidateGenerator, Pairs, UserChunk
from recsys_cli.models.candidates.registry import sources
from recsys_cli.models.two_stage import BoundDay

_USERS, _ITEMS = 512, 10  # size of the sample: users, and items per user


def own_item_auc(day: BoundDay) -> float | None:
    """Return the AUC of learnt vectors at ranking a user's own items above another user's, a mean over users.

    It is about 0.5 if vectors are random or in another order than their ids. The items to compare with are
    another user's own, so that popularity alone does not help. Only a source with user vectors, such as
    LightFM, is asked: the similarity sources leave an item out of its own score.

    Returns: None if no such source is on, or fewer than two users have a history.
    """
    learnt = {one.name for one in sources().values() if one.has_user_vectors}
    source = next((one for one in day.generators if one.name in learnt), None)
    warm = np.flatnonzero(np.diff(day.history.indptr))
    if source is None or len(warm) < 2:
        return None
    users = np.unique(warm[np.linspace(0, len(warm) - 1, min(len(warm), _USERS)).astype(int)])
    auc = _auc(source, users.astype(np.uint32), day.history.shape[1], *_compared_items(day.history, users))
    return auc if np.isfinite(auc) else None


def _compared_items(
    history: sparse.csr_matrix, users: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return a sample of each user's items, and the next user's items that this user has not had."""
    rng = np.random.default_rng(0)
    all_own = [history.indices[history.indptr[user] : history.indptr[user + 1]] for user in users]
    own = [rng.permutation(items)[:_ITEMS] for items in all_own]
    other = [np.setdiff1d(one, items) for one, items in zip(own[1:] + own[:1], all_own, strict=True)]
    return own, other


def _auc(
    source: CandidateGenerator, users: np.ndarray, size: int, own: list[np.ndarray], other: list[np.ndarray]
) -> float:
    items = [side for pair in zip(own, other, strict=True) for side in pair]
    ends = np.concatenate([[0], np.cumsum([len(side) for side in items])])
    nothing = np.zeros(0, dtype=np.float32), (np.zeros(0, dtype=int), np.zeros(0, dtype=int))
    nothing_viewed = sparse.csr_matrix(nothing, shape=(len(users), size))
    pairs = Pairs(ends[::2].astype(np.int64), np.concatenate(items).astype(np.int32))
    scores = np.split(source.score(UserChunk(users, nothing_viewed)).of_pairs(pairs), ends[1:-1])
    areas = [_area(mine, others) for mine, others in zip(scores[::2], scores[1::2], strict=True)]
    return float(np.mean(areas)) if (areas := [one for one in areas if np.isfinite(one)]) else float("nan")


def _area(mine: np.ndarray, others: np.ndarray) -> float:
    """Return the share of pairs where the first is larger, ties count half; NaN if there is no pair."""
    mine, others = mine[np.isfinite(mine), None], others[np.isfinite(others)]
    wins = (mine > others) + 0.5 * (mine == others)
    return float(wins.mean()) if wins.size else float("nan")

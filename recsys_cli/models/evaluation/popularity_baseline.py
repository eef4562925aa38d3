"""Lists of recently popular items: the baseline that recommendations must beat."""

import numpy as np
import polars as pl
from scipy import sparse

from recsys_cli.data_preparation.features.feature_tables import DayFeatures
from recsys_cli.models.candidates.protocol import UserChunk
from recsys_cli.models.candidates.sources.popular import PopularGenerator, popular_lists
from recsys_cli.utils.columns import ITEM, RANK, USER


def popularity_lists(
    features: DayFeatures, excluded: pl.DataFrame, users: np.ndarray, windows: list[int], k: int
) -> dict[str, pl.DataFrame]:
    """Return source name → user, item and rank of the k most popular items, for each window.

    Args:
        excluded: distinct user, item that must not be in a list.
        users: internal indices, ascending.
        windows: lengths in days, at least one; each must be a window of the features.
    """
    chunk = UserChunk(np.arange(len(users), dtype=np.uint32), _matrix(excluded, users, len(features.items)))
    same_order = np.zeros(len(users), dtype=np.int32)
    tops = {}
    for days in windows:
        one = popular_lists(features, days, k)
        source = PopularGenerator(one.name, same_order, one.orders, one.shares, k)
        tops[one.name] = _frame(users, source.score(chunk).lists)
    return tops


def _matrix(pairs: pl.DataFrame, users: np.ndarray, items: int) -> sparse.csr_matrix:
    """Return a (users, items) matrix with one cell per pair."""
    rows, columns = np.searchsorted(users, pairs[USER].to_numpy()), pairs[ITEM].to_numpy()
    cells = np.ones(len(pairs), dtype=np.float32)
    return sparse.csr_matrix((cells, (rows, columns)), shape=(len(users), items))


def _frame(users: np.ndarray, lists: np.ndarray) -> pl.DataFrame:
    places = lists.shape[1]
    frame = pl.DataFrame(
        {
            USER: np.repeat(users.astype(np.uint32), places),
            ITEM: lists.ravel(),
            RANK: np.tile(np.arange(1, places + 1, dtype=np.uint16), len(users)),
        }
    )
    return frame.filter(pl.col(ITEM) >= 0).with_columns(pl.col(ITEM).cast(pl.UInt32))

"""Exploration: some places of each list are drawn, with a known chance, for new or rarely shown items."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys_cli.models.kernels.exploration_draws import drawn_rows, rows_of_items
from recsys_cli.models.postprocessing.rule_columns import named_for_rules
from recsys_cli.utils.columns import ELIGIBLE, ITEM, ITEM_ID
from recsys_cli.utils.sql_expressions import sql_condition

_EVENTS = "item_events"
_OF_ITEMS, _OF_PLACES = np.uint64(0x6974656D73), np.uint64(0x706C61636573)  # different draws of one turn
_WHERE = "scoring.explore_items"


@dataclass(frozen=True)
class Draws:
    """What was drawn for some users, whether or not each of them may get it.

    A draw that a user may not get is not replaced: score fills its place. So each chance is exact, whatever
    the rules are.

    Attributes:
        items: (users, draws) i32, internal indices, different in a row.
        places: (users, draws) u16, from 1, different in a row.
        chances: (draws,) f32: of each draw, given the user's earlier ones.
    """

    items: np.ndarray
    places: np.ndarray
    chances: np.ndarray

    def rows(self, indptr: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return (users, draws) i64: the row of each draw among the users' pairs, -1 where it is not there.

        Args:
            indptr, items: the pairs by user, as in a CSR matrix: pairs that a user may not get left out.
        """
        return np.asarray(rows_of_items(indptr, items, self.items))


def explored_places(explore: float, length: int) -> int:
    """Return how many places of a list of this length are drawn; at least one where the share is above 0."""
    return min(length, max(1, round(explore * length))) if explore > 0 else 0


def pool_of(items: pl.DataFrame, explore_items: str) -> np.ndarray:
    """Return the items that are drawn from, the same for all users: i32, ascending internal indices.

    Args:
        items: the day's items, as in `FeatureTables`.
        explore_items: a SQL condition over their columns; empty: the half with the fewest events. Items that
            may not be recommended are never among them.

    Raises: SettingsError for a condition that cannot be used.
    """
    items = named_for_rules(items)
    eligible = items.with_row_index(ITEM).filter(ELIGIBLE)
    if explore_items:
        pool = eligible.filter(sql_condition(explore_items, items.schema, where=_WHERE))
    else:
        pool = eligible.sort(_EVENTS, ITEM_ID).head((len(eligible) + 1) // 2)
    return pool[ITEM].sort().to_numpy().astype(np.int32)


def draws(turns: np.ndarray, pool: np.ndarray, count: int, length: int) -> Draws:
    """Draw items, each equally likely, and their places in lists of this length; none from an empty pool.

    Args:
        turns: (users,) u64, a hash of each user and the date: a user's draws depend on nothing else.
        pool: i32 internal indices, as of `pool_of`.
        count: of draws a user; fewer where the pool or the list is shorter.
    """
    slots = min(count, len(pool), length)
    items = pool[drawn_rows(turns ^ _OF_ITEMS, len(pool), slots)]
    places = drawn_rows(turns ^ _OF_PLACES, length, slots) + 1
    chances = 1.0 / (len(pool) - np.arange(slots))
    return Draws(items, places.astype(np.uint16), chances.astype(np.float32))

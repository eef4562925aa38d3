"""What room quotas have left when all users have had their turn."""

import numpy as np

from recsys_cli.models.postprocessing.rule_tables import RuleTables, bits_of


def room_of_items(tables: RuleTables, of_items: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Return how many rows each item may still have, f64: as many as its scarcest group; inf: no bound.

    Args:
        of_items: u64 an item: bits of the rules that may hold for one of its pairs.
        left: rows that the groups of all quotas may still have, i64; -1: no bound.
    """
    room, first = np.full(len(of_items), np.inf), 0
    for quota in tables.quotas:
        groups = quota.groups
        own = left[first : first + len(groups.names)]
        owners = np.repeat(np.arange(len(of_items)), np.diff(groups.indptr))
        counted = (of_items[owners] & bits_of([quota.rule])) != 0
        rows = np.where(own < 0, np.inf, own)[groups.codes]
        np.minimum.at(room, owners[counted], rows[counted])
        first += len(groups.names)
    return room

"""What allocates the quotas of a day."""

import numpy as np

from recsys_cli.models.postprocessing.allocation import Allocator
from recsys_cli.models.postprocessing.day_lists import DayLists
from recsys_cli.models.postprocessing.lists import diversity_of
from recsys_cli.models.postprocessing.selection import Chosen, Ledger, Shortlist, select_lists


def allocator_of(lists: DayLists, threads: int = 1) -> Allocator:
    """Return what allocates the quotas of a day, with the variety that is asked for."""
    diversity, k = diversity_of(lists), lists.settings.top_k

    def choose(shortlist: Shortlist, _users: np.ndarray, ledger: Ledger) -> Chosen:
        return select_lists(shortlist, lists.rules.tables, k, diversity, None, ledger)

    return Allocator(lists.rules.tables, k, choose if diversity else None, threads=threads)

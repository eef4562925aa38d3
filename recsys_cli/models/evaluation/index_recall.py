"""Recall of an approximate index against exact search, on a sample of users."""

from typing import Protocol, runtime_checkable

import numpy as np

from recsys_cli.configs.sections import ScoringSettings
from recsys_cli.models.candidates.protocol import CandidateGenerator
from recsys_cli.models.two_stage import BoundDay
from recsys_cli.utils.errors import CheckFailedError

_SAMPLE = 256  # users


@runtime_checkable
class IndexedGenerator(Protocol):
    """A source that may search by an approximate index."""

    def without_index(self) -> CandidateGenerator | None:
        """Return the same source looking at every item; None if it does so already."""


def index_recall(day: BoundDay) -> float:
    """Return the share of the exact lists' items that the index finds, in [0, 1]; 1 if no source uses one.

    The sample is spread evenly over the users of `day`.
    """
    for generator in day.generators:
        exact = generator.without_index() if isinstance(generator, IndexedGenerator) else None
        if exact is not None:
            total = day.history.shape[0]
            users = np.unique(np.linspace(0, total - 1, min(total, _SAMPLE)).astype(np.uint32))
            chunk = day.chunk(users)
            found, wanted = generator.score(chunk).lists, exact.score(chunk).lists
            hits = [np.isin(w[w >= 0], f).sum() for w, f in zip(wanted, found, strict=True)]
            return float(sum(hits) / max((wanted >= 0).sum(), 1))
    return 1.0


def checked_recall(day: BoundDay, settings: ScoringSettings) -> float:
    """Return the share of the exact lists' items that the index finds.

    Raises: CheckFailedError if it is too small to publish.
    """
    recall = index_recall(day)
    if recall < settings.min_index_recall:
        raise CheckFailedError(
            f"the {settings.index} index finds {recall:.4f} of the exact lists' items; "
            f"at least {settings.min_index_recall} is required",
            where="scoring.index, scoring.min_index_recall",
            fix='nothing was published; set scoring.index = "exact", or try the other index',
        )
    return recall

"""What a scoring run did, added up over its chunks."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from recsys_cli.models.candidates.merge import source_counts
from recsys_cli.utils.columns import ITEM, RANK

_EXAMPLE_ITEMS = 8  # enough to see what a list comes from


@dataclass
class ScoreCounts:
    """Figures of a run; `example` is a user with some history, by internal index."""

    top_k: int
    users: int = 0
    warm: int = 0
    candidates: int = 0
    recommendations: int = 0
    short_lists: int = 0
    example: int | None = None
    by_source: dict[str, int] = field(default_factory=dict)
    items: set[int] = field(default_factory=set)

    def add(self, chunk: np.ndarray, viewed: np.ndarray, candidates: int, top: pl.DataFrame) -> None:
        """Add a chunk of users with their items, the number of their candidates and their final rows."""
        self.users += len(chunk)
        self.warm += int((viewed > 0).sum())
        self.candidates += candidates
        self.recommendations += len(top)
        self.short_lists += len(chunk) - int((top[RANK] == self.top_k).sum())
        for name, rows in source_counts(top).items():
            self.by_source[name] = self.by_source.get(name, 0) + rows
        self.items.update(top[ITEM].unique().to_list())
        if self.example is None:
            self.example = int(chunk[np.argmax(np.minimum(viewed, _EXAMPLE_ITEMS))])

    def facts(self, eligible_items: int) -> dict[str, Any]:
        """Return the figures for the manifest and the summary."""
        rows = max(self.recommendations, 1)
        return {
            "top_k": self.top_k,
            "users": self.users,
            "warm_users": self.warm,
            "cold_users": self.users - self.warm,
            "candidates": self.candidates,
            "rows": self.recommendations,
            "short_lists": self.short_lists,
            "share_by_source": {name: round(count / rows, 4) for name, count in self.by_source.items()},
            "items": len(self.items),
            "catalogue_coverage": round(len(self.items) / max(eligible_items, 1), 4),
        }

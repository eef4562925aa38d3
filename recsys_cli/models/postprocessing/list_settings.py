"""What is asked of the lists behind the ranker, and what that reads beside the features."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import polars as pl

from recsys_cli.configs.rule_sections import Rule
from recsys_cli.configs.sections import ScoringSettings, Settings
from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.utils.storage.hashing import sha256_of_json


@dataclass(frozen=True)
class ListSettings:
    """What is asked of the lists behind the ranker.

    Attributes:
        top_k: items of a list.
        diversity, diversity_by, explore, explore_items, columns: as in the settings, `scoring.…`.
    """

    top_k: int
    rules: tuple[Rule, ...] = ()
    diversity: float = 0.0
    diversity_by: str = "content"
    explore: float = 0.0
    explore_items: str = ""
    columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings, top_k: int) -> "ListSettings":
        """Return what the settings ask of lists of so many items."""
        scoring: ScoringSettings = settings.scoring
        return cls(
            top_k,
            settings.rules,
            scoring.diversity,
            scoring.diversity_by,
            scoring.explore,
            scoring.explore_items,
            tuple(scoring.list_columns),
        )

    @property
    def is_on(self) -> bool:
        """Whether lists are anything else than the first candidates of the ranker."""
        return self.chooses or bool(self.columns)

    @property
    def chooses(self) -> bool:
        """Whether anything but the ranker's order chooses the items."""
        return bool(self.rules or self.diversity or self.explore)

    @property
    def key(self) -> str:
        """A hash of all of it but the length, which publications record beside it."""
        rules = [rule.model_dump(mode="json") for rule in self.rules]
        return sha256_of_json([rules, *[getattr(self, name) for name in _SCALARS], list(self.columns)])


_SCALARS = ("diversity", "diversity_by", "explore", "explore_items")


class RestingItems(Protocol):
    """What cooldowns keep out of lists for some time."""

    def of_span(self, features: FeatureTables) -> pl.DataFrame:
        """Return rule i8, user u32, item u32 of these users, by their internal indices."""


@dataclass(frozen=True)
class ListInputs:
    """What rules read beside the features.

    Attributes:
        users: that lists are made for; shares of quotas are of them.
        campaigns: tables of pins, by path.
        resting: what cooldowns keep out; None: nothing.
    """

    users: int
    campaigns: Mapping[str, pl.DataFrame] = field(default_factory=dict)
    resting: RestingItems | None = None


@dataclass(frozen=True)
class ListRequest:
    """What is asked of the lists of a day, with what that reads."""

    settings: ListSettings
    inputs: ListInputs

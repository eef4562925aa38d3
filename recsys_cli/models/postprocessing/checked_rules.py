"""A day's rules with all that a check of them looks at."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Final

import numpy as np
import polars as pl

from recsys_cli.configs.rule_sections import Rule
from recsys_cli.data_preparation.tables.problems import Problem, Severity
from recsys_cli.models.postprocessing.rule_actions import rule_place
from recsys_cli.models.postprocessing.rule_binding import DayRules
from recsys_cli.models.postprocessing.rule_reach import RuleReach
from recsys_cli.models.postprocessing.rule_tables import bits_of

_MOST_NAMES: Final = 3


@dataclass(frozen=True)
class CheckedRules:
    """A day's rules with what they meet.

    Attributes:
        items: features of all items; eligible: bool an item: whether it may be recommended.
        reach: what the rules meet for some users; users: how many there are in all.
        matching: of all users, those that meet a rule's `when`, by the rule's number; none: not counted.
        top_k: places of a list.
    """

    day: date
    bound: DayRules
    items: pl.DataFrame
    eligible: np.ndarray
    reach: RuleReach
    users: int
    matching: Mapping[int, int]
    top_k: int

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules."""
        return self.bound.rules

    @cached_property
    def by_pair(self) -> frozenset[int]:
        """Rules whose items are other ones for other users."""
        return frozenset(number for number, _ in (*self.bound.conditions, *self.bound.campaigns))

    def meets(self, rule: int) -> np.ndarray:
        """Return, bool an item, whether a rule may meet it with some user."""
        return np.asarray((self.bound.of_items & bits_of([rule])) != 0)

    @cached_property
    def offered(self) -> np.ndarray:
        """Bool an item: whether it may be recommended, and no rule removes it for everybody."""
        offered = self.eligible.copy()
        for number, rule in enumerate(self.rules):
            is_removing = rule.action in ("block", "require") and number not in self.by_pair
            if is_removing and self.reach.holds(number).all():
                offered &= ~self.meets(number)
        return offered

    def users_of(self, rule: int) -> int:
        """Return how many of all users meet a rule's `when`: counted, or estimated from those looked at."""
        if rule in self.matching:
            return self.matching[rule] if self.rules[rule].holds_on(self.day) else 0
        return round(np.count_nonzero(self.reach.holds(rule)) * self.users / max(len(self.reach), 1))

    @property
    def looked_at(self) -> str:
        """How many users were looked at, for a message."""
        return f"{len(self.reach):,} users{'' if len(self.reach) == self.users else ' that were looked at'}"

    def shown(self, users: np.ndarray) -> str:
        """Return how many users are meant, bool a user, of those looked at, for a message."""
        return f"{np.count_nonzero(users):,} of {self.looked_at}"

    def named(self, rule: int) -> str:
        """Return a rule by its number and name, for a message about another one."""
        return f"rule {rule + 1}, {self.rules[rule].name}"

    def problem(self, rule: int, key: str, what: str, fix: str, severity: Severity = "warning") -> Problem:
        """Return a problem of a rule's key, with its file and line."""
        return Problem(rule_place(rule, self.rules[rule], key), what, fix, severity)


def some_names(names: list[str]) -> str:
    """Return the first of some names, and how many more there are."""
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")

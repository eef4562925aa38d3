"""What `check` finds about the rules of the lists, before any list is made: it trains and ranks nothing."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import polars as pl

from recsys_cli.data_preparation.features.day_features import build_features, features_without_rows
from recsys_cli.data_preparation.features.feature_tables import FeatureTables, seen_pairs
from recsys_cli.data_preparation.tables.campaigns import CampaignIds, Campaigns
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.data_preparation.tables.problems import Problem
from recsys_cli.models.postprocessing.checked_rules import CheckedRules
from recsys_cli.models.postprocessing.exploration import pool_of
from recsys_cli.models.postprocessing.rule_binding import DayRules, bind_rules
from recsys_cli.models.postprocessing.rule_columns import named_for_rules
from recsys_cli.models.postprocessing.rule_errors import rule_errors
from recsys_cli.models.postprocessing.rule_problems import rule_problems
from recsys_cli.models.postprocessing.rule_reach import rule_reach
from recsys_cli.pipelines.publication.list_request import inspect_rule_campaigns
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import ELIGIBLE, ITEM_ID, USER_ID
from recsys_cli.utils.errors import InputError, RecsysError, SettingsError

_USERS: Final = 2_000  # whose lists are looked at


@dataclass(frozen=True)
class RuleCheck:
    """The rules of a workspace on a day, with the day's tables.

    Example:
        check = RuleCheck(day, tables)
        check.errors()  # what would stop a run
        check.doubts()  # what would spoil its lists; reads features of some users
    """

    day: ScoringDay
    tables: Tables

    def errors(self) -> dict[type[RecsysError], list[Problem]]:
        """Return what cannot be used, by the error of a run; with doubts about campaigns."""
        settings = self.day.workspace.settings
        if not (settings.rules or settings.scoring.explore_items):
            return {}
        known = replace(self.tables, external=None)
        features = features_without_rows(known, settings.features)
        problems = [*rule_errors(settings.rules, features), *_exploration_errors(self.day, features)]
        return {SettingsError: problems, InputError: self._campaigns()[1]}

    def doubts(self) -> list[Problem]:
        """Return what rules do that cannot be meant: warnings and notes, and errors of single values.

        The rules can be bound: `errors` has found none.
        """
        settings, tables = self.day.workspace.settings, replace(self.tables, external=None)
        if not (settings.rules or settings.scoring.explore_items) or tables.users.is_empty():
            return []
        some = np.unique(np.linspace(0, len(tables.users) - 1, _USERS).astype(np.uint32))
        features = build_features(tables, settings.features, tables.of_users(some))
        try:
            pool = list(_pool_problems(self.day, features))
            return [*rule_problems(self._checked(features)), *pool]
        except SettingsError as error:
            return [Problem(error.where, error.what, error.fix)]

    def _checked(self, features: FeatureTables) -> CheckedRules:
        """Bind the rules, and see what they meet. Raises: SettingsError for values that cannot be used."""
        settings, users = self.day.workspace.settings, self.tables.users
        top_k = settings.scoring.top_k
        bound = bind_rules(settings.rules, features, len(users), self._campaigns()[0], list_length=top_k)
        seen = seen_pairs(features.pairs) if settings.scoring.filter_viewed else features.pairs.clear()
        eligible = features.items[ELIGIBLE].to_numpy()
        items = np.flatnonzero(eligible).astype(np.int32)
        reach = rule_reach(bound.of_users(features), items, seen)
        matching = _matching(bound, users)
        return CheckedRules(
            self.day.date,
            bound,
            named_for_rules(features.items),
            eligible,
            reach,
            len(users),
            matching,
            top_k,
        )

    def _campaigns(self) -> tuple[Campaigns, list[Problem]]:
        ids = CampaignIds(self.tables.users[USER_ID], self.tables.items[ITEM_ID])
        return inspect_rule_campaigns(self.day, ids)


def _matching(bound: DayRules, users: pl.DataFrame) -> dict[int, int]:
    """Return how many of all users meet each rule's `when`, where the users table has its columns."""
    users, counts = named_for_rules(users), {number: len(users) for number in range(len(bound.rules))}
    for number, when in bound.whens:
        del counts[number]
        if set(when.users) <= set(users.columns):
            counts[number] = int(np.count_nonzero(when.holds(users, pl.DataFrame(), len(users))))
    return counts


def _exploration_errors(day: ScoringDay, features: FeatureTables) -> Iterator[Problem]:
    try:
        pool_of(features.items, day.workspace.settings.scoring.explore_items)
    except SettingsError as error:
        yield Problem(error.where, error.what, error.fix)


def _pool_problems(day: ScoringDay, features: FeatureTables) -> Iterator[Problem]:
    """Yield that exploration has nothing to draw from."""
    scoring = day.workspace.settings.scoring
    if scoring.explore and not pool_of(features.items, scoring.explore_items).size:
        what = f"no item that may be recommended on {day} meets it: no place is drawn"
        yield Problem("scoring.explore_items", what, "correct the condition, or leave it empty", "warning")

"""Bind rules to a day's items, and then to any of its users: which pairs each rule meets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import polars as pl

from recsys_cli.configs.rule_sections import Rule
from recsys_cli.data_preparation.features.feature_tables import DayFeatures, FeatureTables
from recsys_cli.data_preparation.tables.problems import raise_errors
from recsys_cli.models.candidates.protocol import Pairs
from recsys_cli.models.postprocessing.campaigns import Campaign, read_campaign
from recsys_cli.models.postprocessing.rule_actions import rule_place, rule_tables
from recsys_cli.models.postprocessing.rule_columns import named_for_rules, user_columns, user_schema
from recsys_cli.models.postprocessing.rule_conditions import (
    ITEMS,
    USERS,
    Condition,
    PairCondition,
    PairSet,
    pair_set,
    read_condition,
    value_codes,
)
from recsys_cli.models.postprocessing.rule_errors import rule_errors
from recsys_cli.models.postprocessing.rule_tables import RuleTables, bits_of
from recsys_cli.utils.columns import ITEM, USER
from recsys_cli.utils.errors import SettingsError

_RULE = "rule"


class PairTest(Protocol):
    """What decides about a pair of a user and an item."""

    def holds(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return, bool, whether it holds for each pair, by internal indices."""


@dataclass(frozen=True)
class BoundRules:
    """Rules bound to a day's items and to users, whose internal indices start from 0.

    Attributes:
        tables: the rules as arrays.
        of_users, of_items: u64 a user and an item: bits of the rules that may hold for one of its pairs.
        tests: of rules, by their bit, that depend on both: what their pairs have to meet, too.
    """

    tables: RuleTables
    of_users: np.ndarray
    of_items: np.ndarray
    tests: tuple[tuple[np.uint64, PairTest], ...]

    def user_marks(self, users: np.ndarray) -> np.ndarray:
        """Return, u64, the bits of the rules whose `when` and dates hold for each user."""
        return np.asarray(self.of_users[users])

    def marks(self, users: np.ndarray, pairs: Pairs) -> np.ndarray:
        """Return, u64, the bits of the rules that each pair meets; a pair's do not depend on the others.

        Args:
            users: internal indices; pairs: some items of each of them.
        """
        own = users[pairs.rows]
        marks = self.of_users[own] & self.of_items[pairs.items]
        for bit, test in self.tests:
            met = np.flatnonzero(marks & bit)
            if len(met):
                failed = met[~test.holds(own[met], pairs.items[met])]
                marks[failed] &= ~bit
        return np.asarray(marks)


@dataclass(frozen=True)
class DayRules:
    """Rules bound to a day's items.

    Attributes:
        tables: the rules as arrays.
        held: bits of the rules whose dates hold.
        of_items: u64 an item: bits of the rules that may hold for one of its pairs.
        whens: conditions on users; conditions, campaigns, cooldowns: what depends on the pair. All by rule.
    """

    rules: tuple[Rule, ...]
    tables: RuleTables
    held: np.uint64
    of_items: np.ndarray
    whens: tuple[tuple[int, Condition], ...]
    conditions: tuple[tuple[int, PairCondition], ...]
    campaigns: tuple[tuple[int, Campaign], ...]

    def of_users(self, features: FeatureTables, shown: pl.DataFrame | None = None) -> BoundRules:
        """Bind users, too.

        Args:
            features: of these users, whose internal indices start from 0, and of the day's items.
            shown: rule i8, user u32, item u32: what rests for a user by the rule's cooldown; None: nothing.
        """
        used = {name for _, one in self.whens for name in one.users}
        used |= {name for _, one in self.conditions for name in one.condition.users}
        users = user_columns(features, sorted(used))
        marks = np.full(len(features.users), self.held, dtype=np.uint64)
        for number, when in self.whens:
            marks[~when.holds(users, pl.DataFrame(), len(marks))] &= ~bits_of([number])
        tests: list[tuple[int, PairTest]] = [
            *((number, one.of_users(users)) for number, one in self.conditions),
            *((number, one.of_users(features.user_ids)) for number, one in self.campaigns),
            *self._resting(shown),
        ]
        return BoundRules(
            self.tables, marks, self.of_items, tuple((bits_of([number]), test) for number, test in tests)
        )

    def _resting(self, shown: pl.DataFrame | None) -> Iterator[tuple[int, PairSet]]:
        """Yield the pairs that rest by each cooldown."""
        nobody = np.zeros(len(self.of_items), dtype=bool)
        empty = pl.DataFrame(schema={USER: pl.UInt32, ITEM: pl.UInt32})
        for number, rule in enumerate(self.rules):
            if rule.cooldown is None or not self.held & bits_of([number]):
                continue
            pairs = empty
            if shown is not None:
                pairs = shown.filter(pl.col(_RULE) == number).select(USER, ITEM)
            yield number, pair_set(pairs, nobody)


def bind_rules(
    rules: Sequence[Rule],
    features: DayFeatures,
    users_asked: int,
    campaigns: Mapping[str, pl.DataFrame],
    *,
    list_length: int,
) -> DayRules:
    """Bind rules to the items of a day.

    Args:
        users_asked: users who get a list: the shares of quotas are of them.
        campaigns: the tables of pins by their path: item_id and, optionally, user_id, from and until.
        list_length: places of a list: the shares of pins are of them.

    Raises: SettingsError, which names each rule, for expressions that cannot be used and columns that are
        missing, also of rules that do not hold on the day; InputError for a campaign without what it needs.
    """
    raise_errors(rule_errors(rules, features), SettingsError, "with the rules")
    day = _DayBinding(features)
    for number, rule in enumerate(rules):
        if not rule.holds_on(features.day):
            continue
        day.add(number, rule)
        if rule.pin is not None and rule.pin.campaign:
            path = rule.pin.campaign
            campaign = read_campaign(campaigns[path], features, rule_place(number, rule, "pin"), path)
            day.add_campaign(number, campaign)
    return DayRules(
        tuple(rules),
        _within_items(rule_tables(rules, day.items, users_asked, list_length), day.of_items),
        bits_of([number for number, rule in enumerate(rules) if rule.holds_on(features.day)]),
        day.of_items,
        tuple(day.whens),
        tuple(day.conditions),
        tuple(day.campaigns),
    )


def _within_items(tables: RuleTables, of_items: np.ndarray) -> RuleTables:
    """Return the tables with bounds of quotas for those groups alone that an item of the rule belongs to."""
    quotas = []
    for quota in tables.quotas:
        meets = (of_items & bits_of([quota.rule])) != 0
        owners = np.repeat(np.arange(len(meets)), np.diff(quota.groups.indptr))
        there = np.zeros(len(quota.groups.names), dtype=np.bool_)
        there[quota.groups.codes[meets[owners]]] = True
        most, least = np.where(there, quota.at_most, -1), np.where(there, quota.at_least, 0)
        quotas.append(replace(quota, at_most=most, at_least=least))
    return replace(tables, quotas=tuple(quotas))


class _DayBinding:
    """Collects what rules ask of users, items and pairs."""

    def __init__(self, features: DayFeatures) -> None:
        self.items = named_for_rules(features.items)
        self.schemas = {ITEMS: self.items.schema, USERS: user_schema(features)}
        self.of_items = np.zeros(len(features.items), dtype=np.uint64)
        self.whens: list[tuple[int, Condition]] = []
        self.conditions: list[tuple[int, PairCondition]] = []
        self.campaigns: list[tuple[int, Campaign]] = []

    def add(self, number: int, rule: Rule) -> None:
        """Add a rule that holds on the day."""
        self.of_items |= bits_of([number])
        if rule.when:
            self.whens.append((number, self._when(number, rule)))
        if rule.items:
            self._add_condition(number, self._condition(number, rule, "items", rule.items), negated=False)
        if rule.require:
            condition = self._condition(number, rule, "require", rule.require)
            self._add_condition(number, condition, negated=True)

    def add_campaign(self, number: int, campaign: Campaign) -> None:
        """Add the campaign of a rule; one for every user alike concerns the items alone."""
        if campaign.pairs.is_empty():
            self.of_items[~campaign.everybody] &= ~bits_of([number])
        else:
            self.campaigns.append((number, campaign))

    def _when(self, number: int, rule: Rule) -> Condition:
        schemas = {USERS: self.schemas[USERS]}
        return read_condition(rule.when, schemas, where=rule_place(number, rule, "when"))

    def _condition(self, number: int, rule: Rule, key: str, text: str) -> Condition:
        return read_condition(text, self.schemas, where=rule_place(number, rule, key))

    def _add_condition(self, number: int, condition: Condition, *, negated: bool) -> None:
        if condition.users:
            items = self.items.select(condition.items)
            codes = value_codes(self.items, condition.items)
            self.conditions.append((number, PairCondition(condition, items, codes, negated)))
            return
        met = condition.holds(pl.DataFrame(), self.items, len(self.items)) ^ negated
        self.of_items[~met] &= ~bits_of([number])

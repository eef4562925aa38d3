"""Rules that cannot be used: expressions that are none, and columns that are missing."""

from collections.abc import Iterator, Sequence

from recsys_cli.configs.rule_sections import Rule
from recsys_cli.data_preparation.features.feature_tables import DayFeatures
from recsys_cli.data_preparation.tables.problems import Problem
from recsys_cli.models.postprocessing.rule_actions import limits_of, quota_of, rule_place
from recsys_cli.models.postprocessing.rule_columns import named_for_rules, user_schema
from recsys_cli.models.postprocessing.rule_conditions import ITEMS, USERS, read_condition
from recsys_cli.utils.errors import SettingsError


def rule_errors(rules: Sequence[Rule], features: DayFeatures) -> list[Problem]:
    """Return all that cannot be used: expressions, and columns that are missing.

    Args:
        features: of the day; the rows do not matter.
    """
    checks = (check for number, rule in enumerate(rules) for check in _checks(number, rule, features))
    return [Problem(error.where, error.what, error.fix) for error in checks]


def _checks(number: int, rule: Rule, features: DayFeatures) -> Iterator[SettingsError]:
    """Yield what is wrong with each key of a rule."""
    users, items = user_schema(features), named_for_rules(features.items.clear())
    of_items = {ITEMS: items.schema, USERS: users}
    texts = (("when", rule.when, {USERS: users}), ("items", rule.items, of_items))
    for key, text, schemas in (*texts, ("require", rule.require or "", of_items)):
        try:
            if text:
                read_condition(text, schemas, where=rule_place(number, rule, key))
        except SettingsError as error:
            yield error
    try:
        limits_of(number, rule, items)
        quota_of(number, rule, items, 0)
    except SettingsError as error:
        yield error

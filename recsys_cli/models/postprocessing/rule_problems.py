"""Rules that never match, contradict one another, or leave users without a full list."""

from collections.abc import Iterator

import numpy as np

from recsys_cli.configs.rule_sections import Rule
from recsys_cli.data_preparation.tables.problems import Problem, Severity
from recsys_cli.models.postprocessing.checked_rules import CheckedRules
from recsys_cli.models.postprocessing.quota_problems import quota_problems
from recsys_cli.models.postprocessing.rule_conflicts import rule_conflicts

_REMOVING = ("block", "require", "cooldown")


def rule_problems(checked: CheckedRules) -> list[Problem]:
    """Return what cannot be meant: rules that change nothing, contradict one another, or empty lists."""
    return [
        *_never_matching(checked),
        *rule_conflicts(checked),
        *quota_problems(checked),
        *_short_lists(checked),
    ]


def _never_matching(checked: CheckedRules) -> Iterator[Problem]:
    for number, rule in enumerate(checked.rules):
        if rule.until is not None and rule.until < checked.day:
            what = f"it ended on {rule.until}: it changes nothing on {checked.day}"
            yield checked.problem(number, "until", what, "remove the rule, or set a later day", "note")
        elif rule.holds_on(checked.day):
            yield from _without_users(checked, number, rule)
            yield from _without_items(checked, number, rule)


def _without_users(checked: CheckedRules, number: int, rule: Rule) -> Iterator[Problem]:
    is_counted = number in checked.matching
    if not rule.when or checked.users_of(number) or not checked.users:
        return
    looked_at = f"{checked.users:,} users" if is_counted else checked.looked_at
    yield checked.problem(
        number,
        "when",
        f"none of the {looked_at} meets it: the rule changes nothing",
        "correct the condition, or remove the rule",
    )


def _without_items(checked: CheckedRules, number: int, rule: Rule) -> Iterator[Problem]:
    """Yield that no item meets `items`; a `require` that nothing breaks is as it should be."""
    if rule.require is not None or not rule.items:
        return
    met, what = np.count_nonzero(checked.meets(number)), ""
    if not met:
        whose = " of its campaign" if rule.pin and rule.pin.campaign else ""
        what = f"none of the {len(checked.items):,} items{whose} matches: the rule changes nothing"
    elif rule.action in _REMOVING:
        return
    elif not (checked.eligible & checked.meets(number)).any():
        what = f"items that match: {met:,}; none of them may be recommended on {checked.day}"
    elif number in dict(checked.bound.conditions) and number not in dict(checked.bound.campaigns):
        holds = checked.reach.holds(number)
        if holds.any() and not checked.reach.met[holds, number].any():
            what = f"no item matches for any of {checked.shown(holds)}"
    if what:
        yield checked.problem(number, "items", what, "correct the condition, or remove the rule")


def _short_lists(checked: CheckedRules) -> Iterator[Problem]:
    """Yield that rules leave users without a list, or with too few items for a full one."""
    reach = checked.reach
    none = (reach.left == 0) & (reach.items > 0)
    short = (reach.left < np.minimum(reach.items, checked.top_k)) & ~none
    items = np.flatnonzero(checked.eligible)
    for users, how in ((none, "no item"), (short, f"fewer than {checked.top_k} items")):
        if users.any():
            severity: Severity = "error" if none.all() else "warning"
            rule = reach.remover(int(np.argmax(users)), items)
            what = f"rules leave {checked.shown(users)} {how} to recommend; this one removes the most"
            fix = "narrow the rules that block and require, by when or items"
            yield checked.problem(rule, checked.rules[rule].action, what, fix, severity)

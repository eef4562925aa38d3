"""Rules that contradict one another: pins and minima that the other rules, or the lists, have no room for."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recsys_cli.data_preparation.tables.problems import Problem
from recsys_cli.models.postprocessing.checked_rules import CheckedRules
from recsys_cli.models.postprocessing.rule_tables import ItemGroups, Limit


@dataclass(frozen=True)
class _Want:
    """Items that a rule wants in each list of its users: by `at_least`, or for the places of a `pin`."""

    rule: int
    key: str
    count: int

    def __str__(self) -> str:
        if self.key == "pin":
            return f"{self.count} pinned places"
        return f"at_least = {self.count}"


def rule_conflicts(checked: CheckedRules) -> Iterator[Problem]:
    """Yield what cannot be fulfilled because of other rules, or of the length of lists."""
    tables = checked.bound.tables
    wants = [_Want(need.rule, "at_least", need.at_least) for need in tables.needs]
    wants += [_Want(pin.rule, "pin", len(pin.places)) for pin in tables.pins]
    yield from _beyond_lists(checked)
    for want in wants:
        if want.count <= checked.top_k and checked.rules[want.rule].holds_on(checked.day):
            yield from _without_room(checked, want)
            yield from _limited(checked, want)
    yield from _too_many_needs(checked)
    yield from _shared_places(checked)
    yield from _without_groups(checked)


def _beyond_lists(checked: CheckedRules) -> Iterator[Problem]:
    """Yield what does not fit into a list by its length alone."""
    length = checked.top_k
    for number, rule in enumerate(checked.rules):
        if rule.at_least is not None and rule.at_least > length:
            what = f"at_least = {rule.at_least} is more than the {length} places of a list"
            fix = f"set at_least to {length} or less, or scoring.top_k higher"
            yield checked.problem(number, "at_least", what, fix)
        beyond = [place for place in rule.pin.places if place > length] if rule.pin else []
        if beyond:
            what = f"a list has {length} places: place {beyond[0]} is never filled"
            fix = f"name places up to {length}, or set scoring.top_k higher"
            yield checked.problem(number, "pin", what, fix)


def _without_room(checked: CheckedRules, want: _Want) -> Iterator[Problem]:
    """Yield that the items which a rule wants are removed for its users, or are too few."""
    reach, rule = checked.reach, want.rule
    holds, met, left = reach.holds(rule), reach.met[:, rule], reach.open[:, rule]
    gone = holds & (met > 0) & (left == 0)
    if gone.any():
        remover = reach.remover(int(np.argmax(gone)), np.flatnonzero(checked.eligible), rule)
        what = f"{checked.named(remover)}, removes all its items for {checked.shown(gone)}"
        yield checked.problem(rule, want.key, what, "narrow one of the two rules by when or items")
    few = holds & (left > 0) & (left < want.count)
    is_by_rules = bool((few & (met >= want.count)).any())  # not by what the users have seen
    if is_by_rules or (few.any() and few[holds & (met > 0)].all()):
        what = f"{want}, but {checked.shown(few)} have {left[few].max():,} or fewer of its items left"
        yield checked.problem(rule, want.key, what, "widen items, or ask for fewer")


def _limited(checked: CheckedRules, want: _Want) -> Iterator[Problem]:
    """Yield the limits that allow fewer items than a rule wants."""
    own = checked.offered & checked.meets(want.rule)
    for limit in checked.bound.tables.limits:
        both = checked.reach.holds(want.rule) & checked.reach.holds(limit.rule)
        if limit.rule in checked.by_pair or not both.any() or not own.any():
            continue
        most = _most_allowed(limit, own, own & checked.meets(limit.rule))
        if most < min(want.count, int(np.count_nonzero(own))):
            what = f"{want}, but {checked.named(limit.rule)}, allows {most:,} of these items in a list"
            fix = f"raise at_most of {checked.named(limit.rule)}, or ask for fewer"
            yield checked.problem(want.rule, want.key, what, fix)


def _most_allowed(limit: Limit, own: np.ndarray, counted: np.ndarray) -> int:
    """Return how many of some items a list may have, at most."""
    sizes, without = group_sizes(limit.groups, counted)
    free = np.count_nonzero(own) - np.count_nonzero(counted) + without
    return int(free + np.minimum(sizes, limit.at_most).sum())


def group_sizes(groups: ItemGroups, items: np.ndarray) -> tuple[np.ndarray, int]:
    """Return how many of some items, bool an item, are in each group, i64, and how many are in none."""
    lengths = np.diff(groups.indptr)
    sizes = np.bincount(groups.codes[np.repeat(items, lengths)], minlength=len(groups.names))
    return sizes, int(np.count_nonzero(items & (lengths == 0)))


def _too_many_needs(checked: CheckedRules) -> Iterator[Problem]:
    """Yield that all `at_least` together do not fit into a list, even if each item counts for several."""
    reach, needs = checked.reach, checked.bound.tables.needs
    wanted = np.zeros(len(reach), dtype=np.int64)
    for need in needs:
        wanted += need.at_least * reach.holds(need.rule)
    full = wanted > checked.top_k * reach.overlap
    if not full.any() or max(need.at_least for need in needs) > checked.top_k:
        return
    user = int(np.argmax(full))
    own = [need.rule for need in needs if reach.holds(need.rule)[user]]
    others = " and ".join(checked.named(rule) for rule in own[:-1])
    what = (
        f"with {others}, at_least adds up to {wanted[user]:,} for {checked.shown(full)}: a list has "
        f"{checked.top_k} places"
    )
    yield checked.problem(own[-1], "at_least", what, "ask for fewer, or set scoring.top_k higher")


def _shared_places(checked: CheckedRules) -> Iterator[Problem]:
    """Yield the pins that want a place of an earlier pin for the same users."""
    pins = checked.bound.tables.pins
    for number, pin in enumerate(pins):
        for earlier in pins[:number]:
            shared = sorted(set(pin.places) & set(earlier.places))
            both = checked.reach.holds(pin.rule) & checked.reach.holds(earlier.rule)
            if shared and both.any():
                what = f"{checked.named(earlier.rule)}, pins place {shared[0]} too for {checked.shown(both)}"
                yield checked.problem(
                    pin.rule, "pin", what, "give each pin places of its own, or another when"
                )


def _without_groups(checked: CheckedRules) -> Iterator[Problem]:
    """Yield the limits whose column has no value."""
    for number, rule in enumerate(checked.rules):
        columns = [rule.one_of] if rule.one_of else [one.by for one in rule.limit or ()]
        for column in filter(None, columns):
            if not checked.items[column].count():
                what = f"the column {column!r} of items has no value: the rule changes nothing"
                yield checked.problem(number, rule.action, what, "name a column that has values")

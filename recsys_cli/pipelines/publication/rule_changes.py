"""Which rules of two runs differ, as far as the runs recorded their settings."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from pydantic import JsonValue

_DATES: Final = ("from", "until")
ONLY_A, ONLY_B, CHANGED = "only in A", "only in B", "changed"
HELD_A, HELD_B, MOVED = "holds only on the date of A", "holds only on the date of B", "another order"

RecordedRule = Mapping[str, JsonValue]


@dataclass(frozen=True)
class ChangedRule:
    """A rule that differs between two runs.

    Attributes:
        change: how, in a few words.
        values: by key, the two runs' values where they differ; of a rule that one alone has, all of them.
            Of one that holds on one date alone, its dates.
    """

    name: str
    change: str
    values: dict[str, list[JsonValue]]

    @property
    def is_new_or_gone(self) -> bool:
        """Whether one of the runs alone has the rule."""
        return self.change in (ONLY_A, ONLY_B)


def changed_rules(
    a: JsonValue, b: JsonValue, day_a: date | None = None, day_b: date | None = None
) -> list[ChangedRule]:
    """Return the rules that differ, those of `a` first.

    Args:
        a, b: rules as settings are recorded: a list of tables, or nothing.
        day_a, day_b: of the lists; None: not known.
    """
    mine, theirs = _by_name(a), _by_name(b)
    found = list(_changes(mine, theirs))
    if day_a is not None and day_b is not None:
        found += _held(mine, theirs, day_a, day_b)
    both = [[name for name in one if name in other] for one, other in ((mine, theirs), (theirs, mine))]
    moved = next((pair for pair in zip(*both, strict=True) if pair[0] != pair[1]), None)
    if moved is not None:
        places: list[JsonValue] = [[*one].index(moved[0]) + 1 for one in (mine, theirs)]
        found.append(ChangedRule(moved[0], MOVED, {"place": places}))
    return found


def _by_name(rules: JsonValue) -> dict[str, RecordedRule]:
    tables = rules if isinstance(rules, Sequence) and not isinstance(rules, str) else []
    return {str(one.get("name")): one for one in tables if isinstance(one, Mapping)}


def _changes(mine: Mapping[str, RecordedRule], theirs: Mapping[str, RecordedRule]) -> Iterator[ChangedRule]:
    for name in [*mine, *(other for other in theirs if other not in mine)]:
        one, other = mine.get(name, {}), theirs.get(name, {})
        keys = [key for key in {**one, **other} if key != "name" and one.get(key) != other.get(key)]
        values = {key: [one.get(key), other.get(key)] for key in keys}
        if name not in theirs:
            yield ChangedRule(name, ONLY_A, values)
        elif name not in mine:
            yield ChangedRule(name, ONLY_B, values)
        elif values:
            yield ChangedRule(name, CHANGED, values)


def _held(
    mine: Mapping[str, RecordedRule], theirs: Mapping[str, RecordedRule], day_a: date, day_b: date
) -> Iterator[ChangedRule]:
    """Yield the rules that both have unchanged, and that hold on one of the dates alone."""
    for name, rule in mine.items():
        held = _holds(rule, day_a), _holds(rule, day_b)
        if theirs.get(name) == rule and held[0] != held[1]:
            dates: dict[str, list[JsonValue]] = {key: [rule[key]] * 2 for key in _DATES if key in rule}
            yield ChangedRule(name, HELD_A if held[0] else HELD_B, dates)


def _holds(rule: RecordedRule, day: date) -> bool:
    first, last = (str(rule.get(key) or day) for key in _DATES)
    return first <= str(day) <= last  # dates as text compare like dates

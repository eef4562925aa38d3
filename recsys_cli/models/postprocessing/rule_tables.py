"""A day's rules as arrays that kernels read: which pairs a rule meets is one bit of each pair's marks."""

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

import numpy as np

NO_RULE = -1


class PlacedBy(IntEnum):
    """What gave an item its place in a list, as its code in arrays."""

    SCORE = 0
    BOOST = 1
    PIN = 2
    AT_LEAST = 3
    DIVERSITY = 4
    EXPLORE = 5
    QUOTA = 6


@dataclass(frozen=True)
class ItemGroups:
    """The groups that items belong to, such as brands; an item may have none or several.

    Attributes:
        indptr, codes: as in a CSR matrix: codes[indptr[i]:indptr[i + 1]] are those of item i, i32.
        names: of the groups, by code.
    """

    indptr: np.ndarray
    codes: np.ndarray
    names: tuple[str, ...]


@dataclass(frozen=True)
class Limit:
    """At most so many items of a group in a list, among the pairs that have the rule's bit."""

    rule: int
    groups: ItemGroups
    at_most: int


@dataclass(frozen=True)
class Need:
    """At least so many items of a list have the rule's bit."""

    rule: int
    at_least: int


@dataclass(frozen=True)
class Pin:
    """The best items with the rule's bit go to these places, from 1 on, ascending."""

    rule: int
    places: tuple[int, ...]


@dataclass(frozen=True)
class Quota:
    """How many rows of all lists the groups of a rule may have, among the pairs that have its bit.

    Attributes:
        at_most, at_least: by the code of the group, i64; -1 and 0: no bound.
    """

    rule: int
    groups: ItemGroups
    at_most: np.ndarray
    at_least: np.ndarray


@dataclass(frozen=True)
class RuleTables:
    """A day's rules, in the order of the settings; a rule's number is its bit in the marks of pairs.

    A pair's mark of a rule says that the user meets the rule's `when` and the item its `items`; of a
    `require`, that the pair breaks it; of a `cooldown`, that the item rests for the user. Rules that do not
    hold on the day have no bit set in any mark.

    Attributes:
        names: of the rules.
        removing: bits of the rules whose pairs are left out: block, require, cooldown.
        factors: f32, a rule: what the probability of its pairs is multiplied by; 1 where nothing.
    """

    names: tuple[str, ...]
    removing: np.uint64
    factors: np.ndarray
    limits: tuple[Limit, ...] = ()
    needs: tuple[Need, ...] = ()
    pins: tuple[Pin, ...] = ()
    quotas: tuple[Quota, ...] = ()

    @cached_property
    def boosting(self) -> np.uint64:
        """Bits of the rules with a factor."""
        return bits_of(np.flatnonzero(self.factors != 1.0))

    @cached_property
    def of_candidates(self) -> np.uint64:
        """Bits of the rules that decide which pairs are candidates: they remove some, or want more."""
        return self.removing | bits_of([pin.rule for pin in self.pins] + [need.rule for need in self.needs])


def bits_of(rules: np.ndarray | list[int]) -> np.uint64:
    """Return the bits of rules, by their numbers, in one number."""
    bits = np.uint64(0)
    for rule in rules:
        bits |= np.uint64(1) << np.uint64(rule)
    return bits

"""Rows of earlier lists as sorted numbers: which pairs were shown, how often, and on which date first."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from recsys_cli.utils.columns import ITEM, USER

RULE: Final = "rule"  # its number
TIMES: Final = "times"  # dates whose lists showed the item
RESTING: Final = pl.Schema({RULE: pl.Int8, USER: pl.UInt32, ITEM: pl.UInt32, TIMES: pl.UInt32})
MOST_AGE: Final = 511  # dates between a list's and the day
_AGE_BITS: Final = np.uint64(9)


@dataclass(frozen=True)
class Cooldown:
    """A rule of cooldown: an item rests that the lists of some dates of the last `days` have shown in vain.

    Attributes:
        rule: the rule's number; times: dates whose lists showed it.
    """

    rule: int
    times: int
    days: int


def pairs_of(frame: pl.DataFrame, items: int) -> np.ndarray:
    """Return user and item of each row as one number, u64."""
    users, own = frame[USER].to_numpy().astype(np.uint64), frame[ITEM].to_numpy()
    return np.asarray(users * np.uint64(items) + own)


def with_age(pairs: np.ndarray, age: int) -> np.ndarray:
    """Return pairs with the age of the list that showed them, u64: in order, a pair's rows go by age."""
    return np.asarray((pairs << _AGE_BITS) | np.uint64(age))


@dataclass(frozen=True)
class ShownRows:
    """What some users were shown, and their own events.

    Attributes:
        shown: pairs with ages, as of `with_age`, ascending.
        taken: pairs with an event, as of `pairs_of`, ascending; days_ago: f32, since the last.
        starts: f32, by age: days from the start of a list's date to the cut.
        items: that there are.
    """

    shown: np.ndarray
    taken: np.ndarray
    days_ago: np.ndarray
    starts: np.ndarray
    items: int

    def resting(self, cooldown: Cooldown) -> pl.DataFrame:
        """Return rule, user, item, times: shown often enough, and no event since the first of these lists."""
        rows = self.shown[(self.shown & np.uint64(MOST_AGE)) <= cooldown.days]
        pairs = rows >> _AGE_BITS
        is_last = np.ones(len(pairs), dtype=bool)
        is_last[:-1] = pairs[1:] != pairs[:-1]
        ends = np.flatnonzero(is_last)
        times = np.diff(ends, prepend=-1)
        often = times >= cooldown.times
        pairs, times, ages = pairs[ends][often], times[often], (rows[ends] & np.uint64(MOST_AGE))[often]
        rests = ~(self._last_event(pairs) <= self.starts[ages])
        users, items = np.divmod(pairs[rests], np.uint64(max(self.items, 1)))
        rule = np.full(len(users), cooldown.rule)
        return pl.DataFrame({RULE: rule, USER: users, ITEM: items, TIMES: times[rests]}).cast(RESTING)

    def _last_event(self, pairs: np.ndarray) -> np.ndarray:
        """Return the days since each pair's last event, f32; NaN where there is none."""
        if len(self.taken) == 0:
            return np.full(len(pairs), np.nan, dtype=np.float32)
        places = np.minimum(np.searchsorted(self.taken, pairs), len(self.taken) - 1)
        return np.where(self.taken[places] == pairs, self.days_ago[places], np.float32(np.nan))

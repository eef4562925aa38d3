"""The demo's items: niches, release dates, and popularity that follows Zipf's law and falls with age."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from recsys_cli.data_preparation.demo_data.titles import invent_titles
from recsys_cli.data_preparation.demo_data.weighted_draws import Flags, Floats, Integers, WeightedRows
from recsys_cli.utils.columns import AVAILABLE_FROM, AVAILABLE_UNTIL, ITEM_ID, TITLE

LAST_DAY = date(2026, 6, 30)
AGES = ("age_18_24", "age_25_34", "age_35_44", "age_45_54", "age_55_64", "age_65_inf")
INCOMES = ("income_0_20", "income_20_40", "income_40_60", "income_60_90", "income_90_150", "income_150_inf")
SEXES = ("F", "M")


class Appeal(NamedTuple):
    """Which users a genre attracts."""

    share: float  # of the catalogue
    age: float  # index of the age band that likes it best
    male: float  # above 0: more men than women
    kids: float  # above 0: families with children


GENRES = {
    "drama": Appeal(0.18, 3.2, -0.2, -0.2),
    "comedy": Appeal(0.14, 2.0, 0.0, 0.2),
    "thriller": Appeal(0.10, 2.5, 0.2, -0.4),
    "action": Appeal(0.09, 1.2, 0.8, -0.1),
    "romance": Appeal(0.09, 4.0, -1.0, -0.1),
    "crime": Appeal(0.08, 3.5, 0.4, -0.5),
    "family": Appeal(0.07, 2.2, -0.4, 1.5),
    "animation": Appeal(0.07, 1.2, 0.0, 1.6),
    "fantasy": Appeal(0.06, 1.0, 0.1, 0.5),
    "science fiction": Appeal(0.05, 1.5, 0.7, 0.0),
    "adventure": Appeal(0.05, 1.8, 0.3, 0.6),
    "horror": Appeal(0.05, 0.6, 0.3, -0.8),
    "documentary": Appeal(0.04, 4.2, 0.2, -0.2),
    "history": Appeal(0.04, 4.6, 0.3, -0.2),
    "anime": Appeal(0.03, 0.0, 0.3, 0.0),
    "sport": Appeal(0.03, 2.0, 1.0, 0.0),
    "music": Appeal(0.03, 0.5, -0.5, 0.1),
    "war": Appeal(0.03, 4.8, 0.9, -0.6),
}

_APPEALS = np.array(list(GENRES.values()))
_GENRE_SHARES = _APPEALS[:, 0] / _APPEALS[:, 0].sum()
_MOST_PERIODS = 180
_ITEMS_A_NICHE = 40
_MOST_NICHES = 48
_NEW_SHARE, _SOON_SHARE, _SILENT_SHARE, _LEAVING_SHARE = 0.3, 0.01, 0.02, 0.05
_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Niches:
    """Groups of items, finer than genres, with their appeal to each group of users (log weights)."""

    genres: Integers  # (niches, 2): the main and the second genre
    series: Flags  # (niches,)
    by_age: Floats  # (ages, niches)
    by_income: Floats  # (incomes, niches)
    by_sex: Floats  # (sexes, niches)
    kids: Floats  # (niches,): added for families


@dataclass(frozen=True)
class Releases:
    """When each item is available, in days from the first day of a span: from <= day < until."""

    span_days: int
    available_from: Integers
    available_until: Integers


@dataclass(frozen=True)
class Catalogue:
    """Everything that the events are drawn from; index n is row n of the items table."""

    ids: Integers
    series: Flags
    runtime: Integers  # seconds
    niches: Niches
    draws: "ItemDraws"
    table: pa.Table


@dataclass(frozen=True)
class ItemDraws:
    """Items by their weight in a period and niche; the niche after the last one holds all items."""

    rows: WeightedRows
    members: Integers  # items of all niches, one niche after the other
    niches: int
    period_days: int

    def draw(self, days: Integers, niches: Integers, rng: np.random.Generator) -> Integers:
        """Return an available item for each day and niche, of any niche where the niche has none."""
        first = days // self.period_days * (self.niches + 1)
        rows = first + np.where(self.rows.empty[first + niches], self.niches, niches)
        return self.members[self.rows.draw(rows, rng) % len(self.members)]


def invent_catalogue(items: int, days: int, rng: np.random.Generator) -> Catalogue:
    """Return a catalogue of `items` for a span of `days` that ends on LAST_DAY."""
    niches = _invent_niches(max(1, min(_MOST_NICHES, items // _ITEMS_A_NICHE)), rng)
    niche_of = rng.integers(len(niches.series), size=items)
    series = niches.series[niche_of] ^ (rng.random(items) < 0.15)
    period_days = -(-days // _MOST_PERIODS)
    releases = _invent_releases(items, days, period_days, rng)
    ids = rng.choice(max(16_520, items * 21 // 20), size=items, replace=False).astype(np.int64)
    draws = _item_draws(niche_of, len(niches.series), releases, period_days, rng)
    runtime = np.where(
        series, rng.integers(4 * 3600, 20 * 3600, items), rng.integers(80 * 60, 150 * 60, items)
    )
    table = _items_table(ids, niches, niche_of, series, releases, rng)
    return Catalogue(ids, series, runtime, niches, draws, table)


def first_day(days: int) -> date:
    """Return the first day of a span of `days`."""
    return LAST_DAY - timedelta(days=days - 1)


def _invent_niches(count: int, rng: np.random.Generator) -> Niches:
    genres = np.stack([rng.choice(len(GENRES), size=2, replace=False, p=_GENRE_SHARES) for _ in range(count)])
    _, age, male, kids = (0.65 * _APPEALS[genres[:, 0]] + 0.35 * _APPEALS[genres[:, 1]]).T
    own_appeal = rng.normal(0.0, 0.4, count)
    distance = (np.arange(len(AGES))[:, None] - age) / 1.5
    return Niches(
        genres=genres,
        series=rng.random(count) < 0.4,
        by_age=5.0 * np.exp(-(distance**2)) + own_appeal,
        by_income=rng.normal(0.0, 0.3, (len(INCOMES), count)),
        by_sex=np.array([[-2.0], [2.0]]) * male,
        kids=3.0 * kids,
    )


def _invent_releases(items: int, days: int, period_days: int, rng: np.random.Generator) -> Releases:
    """Release items on the first day of a period; the first item is always available: no day is empty."""
    periods = -(-days // period_days)
    kind = rng.random(items)
    before = -rng.integers(1, 1500, items)
    during = rng.integers(0, periods, items) * period_days
    soon = days + rng.integers(1, 30, items)
    available_from = np.where(kind < _NEW_SHARE, during, np.where(kind > 1 - _SOON_SHARE, soon, before))
    stay = rng.integers(1, periods + 30, items) * period_days
    leaving = (rng.random(items) < _LEAVING_SHARE) & (available_from < days)
    available_until = np.where(leaving, np.maximum(available_from, 0) + stay, _NEVER)
    available_from[0], available_until[0] = -1, _NEVER
    return Releases(days, available_from, available_until)


def _item_draws(
    niche_of: Integers, niches: int, releases: Releases, period_days: int, rng: np.random.Generator
) -> ItemDraws:
    items = len(niche_of)
    starts = np.arange(0, releases.span_days, period_days)
    weights = _popularity(items, rng) * _trend(starts, releases, rng)
    second = np.flatnonzero(rng.random(items) < 0.3)  # some items belong to two niches
    owners = np.concatenate([niche_of, rng.integers(niches, size=len(second)), np.full(items, niches)])
    members = np.concatenate([np.arange(items), second, np.arange(items)])
    order = np.argsort(owners, kind="stable")
    lengths = np.bincount(owners, minlength=niches + 1)
    return _stack_niches(weights, members[order], lengths, period_days)


def _stack_niches(weights: Floats, members: Integers, lengths: Integers, period_days: int) -> ItemDraws:
    """Stack the rows of all periods; a niche without any item keeps a row, of one item without weight."""
    bare = np.flatnonzero(lengths == 0)
    members = np.insert(members, np.cumsum(lengths)[bare], 0)
    stacked = weights[:, members]
    lengths = np.maximum(lengths, 1)
    firsts = np.cumsum(lengths) - lengths
    stacked[:, firsts[bare]] = 0.0
    rows = WeightedRows.of(stacked.ravel(), np.tile(lengths, len(weights)))
    return ItemDraws(rows, members, len(lengths) - 1, period_days)


def _popularity(items: int, rng: np.random.Generator) -> Floats:
    """Return weights by Zipf's law in random order; some items have no weight at all."""
    weights = 1.0 / (rng.permutation(items) + 3.0 + items / 100)
    silent = rng.random(items) < _SILENT_SHARE
    silent[0] = False
    return np.where(silent, 0.0, weights)


def _trend(starts: Integers, releases: Releases, rng: np.random.Generator) -> Floats:
    """Return (periods, items): high for new items, in waves for old ones, zero for unavailable ones."""
    items = len(releases.available_from)
    age = starts[:, None] - releases.available_from
    fresh = 0.4 + 2.5 * np.exp(-np.maximum(age, 0) / 25.0)
    waves = np.exp(0.6 * np.sin(2 * np.pi * (starts[:, None] / 90.0 + rng.random(items))))
    present = (age >= 0) & (starts[:, None] < releases.available_until)
    return np.where(present, fresh * waves, 0.0)


def _items_table(
    ids: Integers,
    niches: Niches,
    niche_of: Integers,
    series: Flags,
    releases: Releases,
    rng: np.random.Generator,
) -> pa.Table:
    return pa.table(
        {
            ITEM_ID: ids,
            TITLE: invent_titles(len(ids), rng),
            "content_type": np.where(series, "series", "film"),
            "genres": _genre_lists(niches.genres[niche_of], rng),
            "release_year": _release_years(releases, rng),
            "age_rating": _age_ratings(niches.kids[niche_of], rng),
            AVAILABLE_FROM: _dates(releases.available_from, releases.span_days),
            AVAILABLE_UNTIL: _dates(releases.available_until, releases.span_days),
        }
    )


def _genre_lists(genres: Integers, rng: np.random.Generator) -> list[list[str]]:
    """Return one to three genres per item: one or two of its niche, and sometimes a random one."""
    names = list(GENRES)
    second = rng.random(len(genres)) < 0.7
    stray = np.where(rng.random(len(genres)) < 0.2, rng.integers(len(names), size=len(genres)), genres[:, 0])
    rows = zip(genres.tolist(), second.tolist(), stray.tolist(), strict=True)
    picked = ([main, other, extra] if both else [main, extra] for (main, other), both, extra in rows)
    return [[names[genre] for genre in dict.fromkeys(row)] for row in picked]


def _release_years(releases: Releases, rng: np.random.Generator) -> Integers:
    """Return release years: recent for items released in the span, up to decades back for the others."""
    new = releases.available_from >= 0
    year = np.array([day.as_py().year for day in _dates(releases.available_from, releases.span_days)])
    back = rng.exponential(9.0, len(year)).astype(np.int64)
    return (year - np.where(new, back // 8, np.minimum(back, 60))).astype(np.int32)


def _age_ratings(kids: Floats, rng: np.random.Generator) -> Integers:
    for_kids = rng.choice(np.array([0, 6], dtype=np.int32), len(kids))
    for_adults = rng.choice(np.array([12, 16, 18], dtype=np.int32), len(kids))
    return np.where(kids > 0.8, for_kids, for_adults)


def _dates(offsets: Integers, days: int) -> Any:
    """Return dates from days since the span's start; `_NEVER` becomes null."""
    start = (first_day(days) - date(1970, 1, 1)).days
    never = offsets == _NEVER
    since_epoch = np.where(never, 0, offsets) + start
    return pa.array(since_epoch.astype(np.int32), mask=never).cast(pa.date32())

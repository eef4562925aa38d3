"""The demo's users, whose preferences depend on their demographics, and what they watched."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa

from recsys_cli.data_preparation.demo_data.catalogue import AGES, INCOMES, SEXES, Catalogue, Niches, first_day
from recsys_cli.data_preparation.demo_data.weighted_draws import Flags, Floats, Integers, WeightedRows
from recsys_cli.utils.columns import ITEM_ID, TIMESTAMP, USER_ID

_AGE_SHARES = (0.17, 0.26, 0.23, 0.17, 0.11, 0.06)
_INCOME_SHARES = (0.10, 0.42, 0.30, 0.12, 0.05, 0.01)
_KIDS_SHARE = 0.15
_UNKNOWN_SHARE = 0.02  # of each demographic answer
_WITHOUT_EVENTS = 0.05
_CROWD_SHARE = 0.12  # of the events go to whatever is popular with everybody
_GLIMPSE_SHARE = 0.08
_TRIES_FOR_HEAVY = 4.0  # heavy users draw the same items again and again
_SERIES_AGAIN = 0.4  # a series that is drawn again is watched again, a film is not
_HOUR_WEIGHTS = np.array(
    [5, 3, 2, 1, 1, 1, 2, 3, 4, 5, 5, 6, 7, 7, 7, 7, 8, 10, 13, 16, 18, 17, 14, 9], dtype=float
)


@dataclass(frozen=True)
class Audience:
    """A chunk of users: index n is the same user in every array."""

    ids: Integers
    age: Integers  # index in AGES
    income: Integers  # index in INCOMES
    sex: Integers  # index in SEXES
    kids: Flags


def invent_audience(ids: Integers, rng: np.random.Generator) -> Audience:
    return Audience(
        ids=ids,
        age=rng.choice(len(AGES), len(ids), p=_AGE_SHARES),
        income=rng.choice(len(INCOMES), len(ids), p=_INCOME_SHARES),
        sex=rng.integers(len(SEXES), size=len(ids)),
        kids=rng.random(len(ids)) < _KIDS_SHARE,
    )


def users_table(audience: Audience, rng: np.random.Generator) -> pa.Table:
    """Return the users as the service knows them: some answers are missing."""
    return pa.table(
        {
            USER_ID: audience.ids,
            "age": _answers(AGES, audience.age, rng),
            "income": _answers(INCOMES, audience.income, rng),
            "sex": _answers(SEXES, audience.sex, rng),
            "kids_flg": audience.kids.astype(np.int8),
        }
    )


def events_table(
    audience: Audience, catalogue: Catalogue, days: int, events_per_user: float, rng: np.random.Generator
) -> pa.Table:
    """Return what the audience watched, by user and time."""
    wanted = _activity(len(audience.ids), len(catalogue.ids), events_per_user, rng)
    tries = np.ceil(wanted * (1.25 + _TRIES_FOR_HEAVY * wanted / len(catalogue.ids))).astype(np.int64)
    user = np.repeat(np.arange(len(wanted)), tries)
    day = _days_of(user, len(wanted), days, rng)
    niche, own = _niches_of(user, _preferences(audience, catalogue.niches, rng), rng)
    item = catalogue.draws.draw(day, niche, rng)
    chosen = _first_wanted(_watchable(user, item, catalogue, rng), user, wanted)
    seconds = day * 86_400 + _time_of_day(len(day), rng)
    chosen = chosen[np.lexsort((seconds[chosen], user[chosen]))]
    watched = _watched_percent(own[chosen], rng)
    return pa.table(
        {
            USER_ID: audience.ids[user[chosen]],
            ITEM_ID: catalogue.ids[item[chosen]],
            TIMESTAMP: _timestamps(seconds[chosen], days),
            "watched_pct": watched,
            "total_dur": _seconds_watched(watched, catalogue.runtime[item[chosen]], rng),
        }
    )


def _answers(names: tuple[str, ...], codes: Integers, rng: np.random.Generator) -> pa.Array:
    unknown = rng.random(len(codes)) < _UNKNOWN_SHARE
    return pa.array(np.array(names, dtype=object)[codes], type=pa.string(), mask=unknown)


def _activity(users: int, items: int, events_per_user: float, rng: np.random.Generator) -> Integers:
    """Return the number of events per user: heavy-tailed with the given mean, some users without any."""
    beyond_first = max(events_per_user / (1 - _WITHOUT_EVENTS) - 1.0, 0.0)
    spread = 1.1
    rates = beyond_first * np.exp(spread * rng.standard_normal(users) - spread**2 / 2)
    wanted = np.minimum(1 + rng.poisson(rates), max(1, items // 3))
    return np.where(rng.random(users) < _WITHOUT_EVENTS, 0, wanted)


def _preferences(audience: Audience, niches: Niches, rng: np.random.Generator) -> WeightedRows:
    """Return each user's weights of niches: a demographic and a personal component."""
    weights = rng.standard_normal((len(audience.ids), len(niches.series)), dtype=np.float32) * 1.8
    weights += niches.by_age[audience.age] + niches.by_income[audience.income] + niches.by_sex[audience.sex]
    weights += audience.kids[:, None] * niches.kids
    np.exp(weights, out=weights)
    return WeightedRows.of(weights.ravel(), np.full(len(weights), weights.shape[1]))


def _niches_of(user: Integers, preferences: WeightedRows, rng: np.random.Generator) -> tuple[Integers, Flags]:
    """Return a niche for each draw, and whether it follows the user's preference or overall popularity."""
    niches = len(preferences.ascending) // len(preferences.empty)
    own = rng.random(len(user)) >= _CROWD_SHARE
    return np.where(own, preferences.draw(user, rng) % niches, niches), own


def _days_of(user: Integers, users: int, days: int, rng: np.random.Generator) -> Integers:
    """Return a day for each draw: half of the users join during the span, and some of them leave."""
    joined = np.where(rng.random(users) < 0.5, 0.0, rng.random(users))
    left = np.where(rng.random(users) < 0.7, 1.0, joined + rng.random(users) * (1.0 - joined))
    moment: Floats = joined[user] + rng.random(len(user)) * (left - joined)[user]
    return (moment * days).astype(np.int64).clip(0, days - 1)


def _time_of_day(count: int, rng: np.random.Generator) -> Integers:
    """Return seconds after midnight: evenings are busy."""
    hour = rng.choice(24, count, p=_HOUR_WEIGHTS / _HOUR_WEIGHTS.sum())
    return hour * 3600 + rng.integers(3600, size=count)


def _watchable(user: Integers, item: Integers, catalogue: Catalogue, rng: np.random.Generator) -> Flags:
    """Return which draws are valid: the first of a user and item, and some of the later ones of a series."""
    _, first = np.unique(user * len(catalogue.ids) + item, return_index=True)
    valid = catalogue.series[item] & (rng.random(len(item)) < _SERIES_AGAIN)
    valid[first] = True
    return valid


def _first_wanted(valid: Flags, user: Integers, wanted: Integers) -> Integers:
    """Return the positions of each user's first `wanted` valid draws; `user` ascends."""
    positions = np.flatnonzero(valid)
    owner = user[positions]
    number = np.arange(len(owner)) - np.searchsorted(owner, owner)
    return positions[number < wanted[owner]]


def _watched_percent(own: Flags, rng: np.random.Generator) -> Floats:
    """Return whole percents: users tend to finish what they prefer; some views are very short."""
    percent = rng.beta(np.where(own, 2.5, 0.9), 1.0) * 100
    glimpse = rng.random(len(own)) < _GLIMPSE_SHARE
    return np.floor(np.where(glimpse, rng.random(len(own)) * 4, percent + 1)).clip(0, 100).astype(np.float32)


def _seconds_watched(percent: Floats, runtime: Integers, rng: np.random.Generator) -> Integers:
    """Return seconds watched, at times more than the runtime; below four percent a few minutes at most."""
    whole = runtime * (percent / 100.0) * rng.uniform(0.95, 1.2, len(percent))
    return np.where(percent < 4, rng.integers(5, 300, len(percent)), whole).astype(np.int32)


def _timestamps(seconds: Integers, days: int) -> pa.Array:
    start = (first_day(days) - date(1970, 1, 1)).days * 86_400
    return pa.array((seconds + start) * 1_000_000).cast(pa.timestamp("us"))

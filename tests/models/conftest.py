"""Small tables to learn from, made of readable rows or of chance."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from recsys_cli.data_preparation.tables.contract import Tables

DAY = date(2026, 3, 31)
Event = tuple[int, int, float]  # user, item, days before DAY
WORDS = "red old far new big sad raw icy hot shy dry wet odd mad fat dim low top bad kind".split()


def tables_of(
    events: Sequence[Event],
    *,
    titles: Sequence[str],
    cities: Sequence[str | None],
    genres: Sequence[list[str]] | None = None,
    ended: Sequence[int] = (),
) -> Tables:
    """Return tables of these events as of DAY: a title an item, a city a user; items in `ended` are gone."""
    begin = datetime(DAY.year, DAY.month, DAY.day)
    frame = pl.DataFrame(
        {
            "user": pl.Series([user for user, _, _ in events], dtype=pl.UInt32),
            "item": pl.Series([item for _, item, _ in events], dtype=pl.UInt32),
            "timestamp": [begin - timedelta(days=float(days)) for _, _, days in events],
            "weight": pl.Series([1.0] * len(events), dtype=pl.Float32),
        }
    )
    gone = [DAY - timedelta(days=1) if item in ended else None for item in range(len(titles))]
    items = pl.DataFrame(
        {
            "item_id": [f"i{item:03}" for item in range(len(titles))],
            "title": titles,
            "available_from": pl.Series([None] * len(titles), dtype=pl.Date),
            "available_until": pl.Series(gone, dtype=pl.Date),
            "excluded": [False] * len(titles),
        }
    )
    if genres is not None:
        items = items.with_columns(pl.Series("genres", genres))
    users = pl.DataFrame(
        {
            "user_id": [f"u{user:03}" for user in range(len(cities))],
            "city": pl.Series(cities, dtype=pl.String),
        }
    )
    return Tables(DAY, "UTC", frame.sort("user", "item", "timestamp"), users, items)


def random_tables(rng: np.random.Generator, users: int, items: int, events: int) -> Tables:
    """Return tables of chance: every tenth user is without event and city, every third item is gone."""
    known = np.flatnonzero(np.arange(users) % 10 != 9)
    rows = zip(
        rng.choice(known, events),
        (items * rng.random(events) ** 2).astype(int),
        rng.uniform(0.1, 60, events),
        strict=True,
    )
    return tables_of(
        [(int(user), int(item), float(days)) for user, item, days in rows],
        titles=[" ".join(rng.choice(WORDS, 2)) for _ in range(items)],
        cities=[None if user % 10 == 9 else ("Oslo", "Lima", "Pune")[user % 3] for user in range(users)],
        genres=[rng.choice(["war", "love", "news"], rng.integers(0, 3)).tolist() for _ in range(items)],
        ended=range(0, items, 3),
    )


@pytest.fixture(scope="session")
def make_tables() -> Callable[..., Tables]:
    return tables_of


@pytest.fixture(scope="session")
def make_random_tables() -> Callable[..., Tables]:
    return random_tables

"""The promises of a candidate source, as a test that its author calls; our own pass it too."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.testing import assert_array_equal
from scipy import sparse

from recsys_cli.configs.sections import FeaturesSettings
from recsys_cli.configs.source_sections import SourceSettings
from recsys_cli.data_preparation.features.day_features import build_features, declared
from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.definition import FitTask, SourceDay, SourceDefinition, UserSide
from recsys_cli.models.candidates.protocol import CandidateGenerator, Pairs, UserChunk
from recsys_cli.models.feature_encoding import Encoders, fit_encoder
from recsys_cli.models.versions.array_files import StoredFit, write_fit
from recsys_cli.utils.columns import ELIGIBLE

_DAY: Final = date(2026, 3, 31)
_WORDS: Final = "red old far new big sad raw icy hot shy dry wet odd mad fat dim low top bad kind".split()
_USERS, _ITEMS, _EVENTS = 60, 90, 700


def check_source(
    definition: SourceDefinition[Any],
    *,
    settings: SourceSettings | None = None,
    tables: Tables | None = None,
    filter_viewed: bool = True,
    fitted: SourceDefinition[Any] | None = None,
) -> None:
    """Hold a source against all that the program counts on.

    Example: in a test of the package that has the source.
        check_source(SOURCE)

    Args:
        settings: its section, by default with the defaults.
        tables: what it learns from and proposes items of, by default `example_tables()`.
        filter_viewed: whether viewed items are left out of its lists.
        fitted: the source whose fit it uses, where that is another.

    Raises: AssertionError that says which promise does not hold.
    """
    tables = tables or example_tables()
    section = settings or definition.settings()
    features = build_features(tables, FeaturesSettings())
    bind = _binder(definition, fitted or definition, section, tables, features)
    generators = {name: bind(name, False) for name in section.names(definition.name)}
    assert any(one is not None for one in generators.values()), "it proposes nothing from these tables"
    for name, generator in generators.items():
        if generator is not None:
            assert generator.name == name, f"its generator calls itself {generator.name!r}, not {name!r}"
            _check_lists(generator, features, section.num_candidates, filter_viewed=filter_viewed)
            _check_stored(generator, bind(name, True), features)


def example_tables(seed: int = 7) -> Tables:
    """Return small random tables: users without an event, items that are gone, titles, genres and prices."""
    rng = np.random.default_rng(seed)
    known = np.flatnonzero(np.arange(_USERS) % 10 != 9)
    begin = datetime(_DAY.year, _DAY.month, _DAY.day)
    events = pl.DataFrame(
        {
            "user": rng.choice(known, _EVENTS).astype(np.uint32),
            "item": (_ITEMS * rng.random(_EVENTS) ** 2).astype(np.uint32),
            "timestamp": [begin - timedelta(days=float(days)) for days in rng.uniform(0.1, 60, _EVENTS)],
            "weight": np.ones(_EVENTS, dtype=np.float32),
        }
    )
    gone = [_DAY - timedelta(days=1) if item % 3 == 0 else None for item in range(_ITEMS)]
    items = pl.DataFrame(
        {
            "item_id": [f"i{item:03}" for item in range(_ITEMS)],
            "title": [" ".join(rng.choice(_WORDS, 2)) for _ in range(_ITEMS)],
            "available_from": pl.Series([None] * _ITEMS, dtype=pl.Date),
            "available_until": pl.Series(gone, dtype=pl.Date),
            "excluded": [False] * _ITEMS,
            "genres": [rng.choice(["war", "love", "news"], rng.integers(0, 3)).tolist() for _ in gone],
            "price": rng.uniform(1, 50, _ITEMS).round(2),
        }
    )
    users = pl.DataFrame(
        {
            "user_id": [f"u{user:03}" for user in range(_USERS)],
            "city": [
                None if user % 10 == 9 else ("Oslo", "Lima", "Pune")[user % 3] for user in range(_USERS)
            ],
        }
    )
    return Tables(_DAY, "UTC", events.sort("user", "item", "timestamp"), users, items)


def _binder(
    definition: SourceDefinition[Any],
    fitted: SourceDefinition[Any],
    section: SourceSettings,
    tables: Tables,
    features: FeatureTables,
) -> Callable[[str, bool], CandidateGenerator | None]:
    """Return what binds a source by name, with its fit as learnt, or as read from files."""
    most = FeaturesSettings().max_categories
    encoders = Encoders(
        fit_encoder(tables.users, declared(tables.users), most),
        fit_encoder(tables.items, declared(tables.items), most),
    )
    own = section if fitted is definition else fitted.settings()
    fit = None if fitted.fit is None else fitted.fit(FitTask(tables, encoders, 1), own)
    prepared = None if definition.prepare is None else definition.prepare(features, section, 1)

    def bind(name: str, stored: bool) -> CandidateGenerator | None:
        with TemporaryDirectory() as folder:
            used = _stored_and_read(fitted, fit, encoders, Path(folder), tables) if stored else fit
            day = SourceDay(name, section, features, encoders, used, prepared)
            bound = definition.bind(day)
            return None if bound is None else bound(UserSide(features))

    return bind


def _stored_and_read(
    definition: SourceDefinition[Any], fit: Any, encoders: Encoders, folder: Path, tables: Tables
) -> Any:
    if fit is None:
        return None
    assert definition.store is not None and definition.read is not None, "it learns, and has no store or read"
    ends = write_fit(definition.store(fit), folder, definition.name)
    id_types = str(tables.users["user_id"].dtype), str(tables.items["item_id"].dtype)
    return definition.read(StoredFit(folder, definition.name, ends, encoders, id_types))


def _check_lists(
    generator: CandidateGenerator, features: FeatureTables, num_candidates: int, *, filter_viewed: bool
) -> None:
    """Lists are no longer than asked for, of items that may be proposed, and the same for a user alone."""
    users, size = len(features.users), len(features.items)
    chunk = _chunk(range(users), features, filter_viewed=filter_viewed)
    scores = generator.score(chunk)
    lists = scores.lists
    assert lists.shape[0] == users and lists.shape[1] <= num_candidates, "its lists have another shape"
    assert ((lists >= -1) & (lists < size)).all(), "it proposes items that there are not"
    proposed = lists >= 0
    assert (np.diff(proposed.astype(int), axis=1) <= 0).all(), "a place stands empty before a proposal"
    rows, places = np.nonzero(proposed)
    items = lists[rows, places]
    assert features.items[ELIGIBLE].to_numpy()[items].all(), "it proposes an item that may not be recommended"
    assert not np.asarray(chunk.viewed[rows, items]).any(), "it proposes an item that the user has viewed"
    assert len(np.unique(rows * size + items)) == len(rows), "it proposes an item twice to a user"
    indptr = np.searchsorted(rows, np.arange(users + 1)).astype(np.int64)
    values = scores.of_pairs(Pairs(indptr, items.astype(np.int32)))
    assert values.dtype == np.float32 and np.isfinite(values).all(), "a proposal has no score as f32"
    falls = np.diff(values)[np.diff(rows) == 0]
    assert (falls <= 1e-5 * np.abs(values).max(initial=1.0)).all(), "its lists are not ordered by score"
    for user in range(0, users, 7):
        alone = generator.score(_chunk([user], features, filter_viewed=filter_viewed))
        assert_array_equal(alone.lists, lists[[user]], "a user alone gets another list than among others")


def _check_stored(one: CandidateGenerator, other: CandidateGenerator | None, features: FeatureTables) -> None:
    """What is stored and read again proposes the same."""
    assert other is not None, "read from its files it proposes nothing"
    chunk = _chunk(range(len(features.users)), features, filter_viewed=True)
    everything = np.tile(np.arange(chunk.size, dtype=np.int32), len(chunk))
    pairs = Pairs(np.arange(len(chunk) + 1, dtype=np.int64) * chunk.size, everything)
    ours, theirs = one.score(chunk), other.score(chunk)
    assert_array_equal(ours.lists, theirs.lists, "read from its files it proposes something else")
    assert_array_equal(
        ours.of_pairs(pairs), theirs.of_pairs(pairs), "read from its files it scores otherwise"
    )


def _chunk(users: Sequence[int], features: FeatureTables, *, filter_viewed: bool) -> UserChunk:
    chosen = np.array(users, dtype=np.uint32)
    pairs = features.pairs if filter_viewed else features.pairs.clear()
    cells = np.ones(len(pairs), dtype=np.float32)
    places = (pairs["user"].to_numpy(), pairs["item"].to_numpy())
    shape = (len(features.users), len(features.items))
    return UserChunk(chosen, sparse.csr_matrix((cells, places), shape=shape)[chosen])

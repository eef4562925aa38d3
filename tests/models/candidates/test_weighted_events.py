"""Weights, types and ages of events in every source, worked out by hand."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from math import log2

import numpy as np
import polars as pl
import pytest
from scipy import sparse

from recsys_cli.configs.data_sections import DataSettings
from recsys_cli.configs.event_sections import EventTypeSettings
from recsys_cli.configs.sections import FeaturesSettings
from recsys_cli.data_preparation.features.day_features import build_features
from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.data_preparation.tables.event_types import event_rules
from recsys_cli.models.candidates.definition import FitTask, UserSide
from recsys_cli.models.candidates.protocol import CandidateGenerator, UserChunk
from recsys_cli.models.candidates.sources.ease import EASESettings, fit_ease
from recsys_cli.models.candidates.sources.history import HistorySettings, history_generator
from recsys_cli.models.candidates.sources.popular import popular_lists
from recsys_cli.models.candidates.sources.segment import SegmentSettings, segment_lists
from recsys_cli.models.candidates.stage import fit_encoders
from tests.models.conftest import DAY, tables_of

LOOK, BUY = "look", "buy"
TYPES = {
    BUY: EventTypeSettings(),
    LOOK: EventTypeSettings(weight=0.25, label=False, seen=False, half_life_days=10),
}
ROWS = (  # user, item, days before the day, type
    (0, 0, 1.0, BUY),
    (0, 1, 10.0, LOOK),
    (0, 1, 10.0, LOOK),
    (1, 1, 2.0, LOOK),
    (1, 2, 3.0, BUY),
    (1, 2, 20.0, BUY),
    (2, 1, 20.0, LOOK),
)
STRENGTHS = {  # user, item → a look of 10 days counts an eighth, of 20 a sixteenth
    (0, 0): 1.0,
    (0, 1): 0.25,
    (1, 1): 0.25 * 0.5**0.2,
    (1, 2): 2.0,
    (2, 1): 0.0625,
}


@pytest.fixture(scope="module")
def tables() -> Tables:
    """Three users in two cities, four items; nobody has had item 3."""
    plain = tables_of(
        [(user, item, days) for user, item, days, _ in ROWS],
        titles=["Pan", "Pot", "Cup", "Jar"],
        cities=["Oslo", "Lima", "Lima"],
    )
    rules = event_rules(
        DataSettings.model_validate(
            {"interactions": {"columns": {"event_type": "kind"}}, "events": _sections(TYPES)}
        )
    )
    begin = datetime(DAY.year, DAY.month, DAY.day)
    delivered = pl.DataFrame(
        {
            "user": pl.Series([row[0] for row in ROWS], dtype=pl.UInt32),
            "item": pl.Series([row[1] for row in ROWS], dtype=pl.UInt32),
            "timestamp": [begin - timedelta(days=row[2]) for row in ROWS],
            "weight": pl.Series([1.0] * len(ROWS), dtype=pl.Float32),
            "event_type": pl.Series([rules.codes[row[3]] for row in ROWS], dtype=pl.UInt8),
        }
    )
    events = rules.resolved(delivered.sort(delivered.columns))
    return replace(plain, events=events, rules=rules)


def _sections(types: Mapping[str, EventTypeSettings]) -> dict[str, dict[str, object]]:
    return {name: one.model_dump() for name, one in types.items()}


@pytest.fixture(scope="module")
def features(tables: Tables) -> FeatureTables:
    return build_features(tables, FeaturesSettings(windows_days=[7, 30]))


@pytest.fixture(scope="module")
def task(tables: Tables) -> FitTask:
    return FitTask(tables, fit_encoders(tables, 10), 1)


def lists_of(generator: CandidateGenerator, viewed: sparse.csr_matrix) -> list[list[int]]:
    users = np.arange(viewed.shape[0], dtype=np.uint32)
    raised = generator.score(UserChunk(users, viewed)).lists
    return [[item for item in own if item >= 0] for own in raised.tolist()]


def test_what_similarities_learn_from_is_the_weight_of_each_pair(task: FitTask) -> None:
    counts, presence = task.counts.toarray(), task.presence.toarray()
    for (user, item), strength in STRENGTHS.items():
        assert counts[user, item] == pytest.approx(strength)
        assert presence[user, item] == pytest.approx(log2(1 + strength))
    assert np.count_nonzero(counts) == len(STRENGTHS)


def test_ease_is_a_ridge_regression_on_weights(task: FitTask) -> None:
    weights = np.asarray(fit_ease(task.presence, task.item_ids, EASESettings(regularization=2.0)).weights)

    known = task.presence.toarray().astype(np.float64)
    others = known[:, 1:]
    expected = np.linalg.solve(others.T @ others + 2.0 * np.eye(2), others.T @ known[:, 0])
    np.testing.assert_allclose(weights[1:, 0], expected, rtol=1e-4)


def test_a_users_taste_is_the_weight_of_each_pair(features: FeatureTables) -> None:
    users = UserSide(features, filter_viewed=True)
    for (user, item), strength in STRENGTHS.items():
        assert users.counts[user, item] == pytest.approx(log2(1 + strength))
    assert sorted(zip(*users.seen.nonzero(), strict=True)) == [(0, 0), (1, 2)]  # looks are not seen


def test_popularity_is_by_weight(features: FeatureTables) -> None:
    """Item 1 has most events; in 7 days a purchase each of items 0 and 2 outweighs its look."""
    nothing = sparse.csr_matrix((3, 4), dtype=np.float32)
    week, month = (popular_lists(features, days, 4).of_users(features) for days in (7, 30))
    assert lists_of(week, nothing)[0] == [2, 0, 1, 3]
    assert lists_of(month, nothing)[0] == [2, 0, 1, 3]
    total = 1.0 + 2.0 + 0.25 + 0.25 * 0.5**0.2 + 0.0625
    np.testing.assert_allclose(
        month.shares[0], [1 / total, (0.3125 + 0.25 * 0.5**0.2) / total, 2 / total, 0], rtol=1e-5
    )


def test_popularity_of_a_segment_is_by_weight(features: FeatureTables) -> None:
    lists = segment_lists(features, SegmentSettings(window_days=30))
    assert lists is not None and lists.values == ("Lima", "Oslo", None)

    look = 0.25 * 0.5**0.2
    of_lima = np.array([0.0, look + 0.0625, 2.0, 0.0])
    everybody = np.array([1.0, 0.25 + look + 0.0625, 2.0, 0.0])
    prior = 50.0 * everybody.sum() / len(STRENGTHS)
    expected = (of_lima + prior * everybody / everybody.sum()) / (of_lima.sum() + prior)
    np.testing.assert_allclose(lists.shares[0], expected, rtol=1e-5)


def test_history_proposes_what_was_only_looked_at(features: FeatureTables) -> None:
    seen = UserSide(features, filter_viewed=True).seen
    new = history_generator(features, HistorySettings(), filter_viewed=True)
    again = history_generator(features, HistorySettings())

    assert lists_of(new, seen) == [[1], [1], [1]]
    assert lists_of(again, sparse.csr_matrix((3, 4), dtype=np.float32)) == [[0, 1], [2, 1], [1]]


def test_lightfm_learns_from_the_same_weights(tables: Tables) -> None:
    """Its own half-life is for types without one: a look stays as it was."""
    from recsys_cli.models.candidates.sources.lightfm_training import _weighted_pairs

    for half_life, factors in ((0.0, (1.0, 2.0)), (3.0, (0.5 ** (1 / 3), 0.5 + 0.5 ** (20 / 3)))):
        pairs = {(row[0], row[1]): row[2] for row in _weighted_pairs(tables, half_life).rows()}
        assert pairs[0, 0] == pytest.approx(log2(1 + factors[0]))
        assert pairs[1, 2] == pytest.approx(log2(1 + factors[1]))
        assert pairs[0, 1] == pytest.approx(log2(1.25))

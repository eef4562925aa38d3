"""Labels where events have types: purchases alone, without what is still seen, weighted by their gain."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from recsys_cli.configs.data_sections import DataSettings
from recsys_cli.configs.sections import ScoringSettings
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.data_preparation.tables.event_types import event_rules
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.models.training.label_window import label_pairs
from recsys_cli.models.training.quantised_rows import row_weights
from tests.models.conftest import DAY, tables_of

CUT = date(2026, 3, 17)
ROWS = (  # user, item, days before DAY, type: the window begins 14 days before it
    (0, 0, 20.0, "buy"),  # 6 days before the window
    (0, 0, 5.0, "buy"),
    (1, 1, 20.0, "look"),
    (1, 1, 3.0, "buy"),
    (1, 2, 2.0, "look"),
)


def data_of(seen_days: int) -> DataSettings:
    types = {"buy": {"seen_days": seen_days}, "look": {"label": False, "seen": False, "weight": 0.1}}
    return DataSettings.model_validate({"interactions": {"columns": {"event_type": "kind"}}, "events": types})


def tables(data: DataSettings) -> Tables:
    plain = tables_of([row[:3] for row in ROWS], titles=["Pan", "Pot", "Cup"], cities=[None] * 2)
    rules, begin = event_rules(data), datetime(DAY.year, DAY.month, DAY.day)
    events = pl.DataFrame(
        {
            "user": pl.Series([row[0] for row in ROWS], dtype=pl.UInt32),
            "item": pl.Series([row[1] for row in ROWS], dtype=pl.UInt32),
            "timestamp": [begin - timedelta(days=row[2]) for row in ROWS],
            "weight": pl.Series([1.0] * len(ROWS), dtype=pl.Float32),
            "event_type": pl.Series([rules.codes[row[3]] for row in ROWS], dtype=pl.UInt8),
        }
    )
    return replace(plain, events=rules.resolved(events.sort(events.columns)), rules=rules)


@pytest.mark.parametrize(
    ("seen_days", "filter_viewed", "expected"),
    [
        (10, True, [(1, 1)]),  # bought 6 days before the window: still seen
        (5, True, [(0, 0), (1, 1)]),
        (0, True, [(1, 1)]),
        (10, False, [(0, 0), (1, 1)]),
    ],
)
def test_labels_are_purchases_of_what_a_list_may_hold(
    seen_days: int, filter_viewed: bool, expected: list[tuple[int, int]]
) -> None:
    data = data_of(seen_days)
    settings = settings_tree()(data=data, scoring=ScoringSettings(filter_viewed=filter_viewed))
    assert label_pairs(tables(data), CUT, settings).rows() == expected


def test_a_positive_weighs_by_its_gain() -> None:
    """Two users of a list each; relative to the mean gain 2, the positives weigh a half and 3 halves."""
    label, group = np.array([1, 0, 1, 0], dtype=np.int8), np.array([1, 1, 2, 2], dtype=np.uint64)
    gain = np.array([1.0, 0.0, 3.0, 0.0], dtype=np.float32)
    np.testing.assert_allclose(row_weights(label, group, gain), [0.5, 1.0, 1.5, 1.0])
    np.testing.assert_allclose(row_weights(label, group, gain * 7), [0.5, 1.0, 1.5, 1.0])
    np.testing.assert_allclose(row_weights(label, group), np.ones(4))

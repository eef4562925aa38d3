"""Counts of a column that is read batch by batch are those of the whole column."""

from collections import Counter

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recsys_cli.data_preparation.tables import tally
from recsys_cli.data_preparation.tables.tally import Tally

KINDS = {
    pl.Int64(): st.integers(-3, 12),
    pl.String(): st.text("aé ", max_size=2),
    pl.Float64(): st.sampled_from([-1.5, 0.0, 2.0, float("inf")]),
}


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(data=st.data())
def test_counts_are_those_of_the_whole_column(kind: pl.DataType, data: st.DataObject) -> None:
    batches = data.draw(st.lists(st.lists(st.none() | KINDS[kind], max_size=9), max_size=7))
    found = Tally(kind)
    for batch in batches:
        found.add(pl.Series(batch, dtype=kind))
    counted = found.counted("id", "rows")

    assert dict(counted.rows()) == Counter(value for batch in batches for value in batch)
    assert counted.schema == {"id": kind, "rows": pl.UInt32}
    assert counted["id"].equals(counted["id"].sort())


def test_many_new_values_are_merged_as_they_come() -> None:
    size = tally._LEAST_NEW // 2 + 1  # pylint: disable=protected-access
    found = Tally(pl.Int64())
    for start in (0, size, 0, 10 * size):
        found.add(pl.Series(range(start, start + size)))
    counted = found.counted("id", "rows")
    assert counted["rows"].to_list() == [2] * size + [1] * size * 2
    assert counted["id"].to_list() == [*range(2 * size), *range(10 * size, 11 * size)]


def test_a_column_of_nulls_alone_is_counted() -> None:
    found = Tally(pl.Null())
    found.add(pl.Series([None, None]))
    assert found.counted("id", "rows").rows() == [(None, 2)]
    assert Tally(pl.Null()).counted("id", "rows").is_empty()

"""Shortlists on the disk: batches go in, the same shortlists and then the lists of the batches come out."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys_cli.models.postprocessing.allocation import Allocator
from recsys_cli.pipelines.scoring.stored_shortlists import StoredShortlists, top_of_batch
from recsys_cli.utils.errors import OutputError
from tests.models.postprocessing.quota_problems import each_item, quota, quota_tables

USERS = [np.array([3, 4, 7], dtype=np.uint32), np.array([8, 9], dtype=np.uint32)]


def batch(rows: list[tuple[int, int, float]]) -> pl.DataFrame:
    """Return user, item, score; every pair meets rule 0."""
    frame = pl.DataFrame(rows, schema=["user", "item", "score"], orient="row")
    return frame.select(
        pl.col("user").cast(pl.UInt32),
        pl.col("item").cast(pl.UInt32),
        pl.col("score").cast(pl.Float32),
        pl.lit(1, dtype=pl.Int64).alias("sources"),
        pl.lit(1, dtype=pl.UInt64).alias("marks"),
        pl.lit(1, dtype=pl.UInt64).alias("user_marks"),
    )


BATCHES = [batch([(3, 5, 0.5), (3, 6, 0.25), (7, 5, 0.125)]), batch([(9, 6, 0.75), (9, 1, 0.5)])]


def test_batches_become_the_shortlists_of_all_users(tmp_path: Path) -> None:
    with StoredShortlists(tmp_path / "shortlists") as stored:
        for users, pairs in zip(USERS, BATCHES, strict=True):
            stored.add(users, pairs)
        shortlist = stored.mapped()
    assert shortlist.indptr.tolist() == [0, 2, 2, 3, 3, 5]  # users 4 and 8 have none
    assert shortlist.items.tolist() == [5, 6, 5, 6, 1]
    assert shortlist.scores.tolist() == [0.5, 0.25, 0.125, 0.75, 0.5]
    assert shortlist.marks.tolist() == [1] * 5
    assert shortlist.user_marks.tolist() == [1, 0, 1, 0, 1]


def test_allocated_lists_are_those_of_the_batches(tmp_path: Path) -> None:
    with StoredShortlists(tmp_path) as stored:
        for users, pairs in zip(USERS, BATCHES, strict=True):
            stored.add(users, pairs)
        tables = quota_tables(quota(0, each_item(8), {5: 1, 6: 1}), names=("stock",))
        found = Allocator(tables, 2).allocate(stored.mapped(), np.arange(5, dtype=np.uint64))
    first = top_of_batch(found, 0, USERS[0], BATCHES[0], 0)
    second = top_of_batch(found, 3, USERS[1], BATCHES[1], 3)
    columns = ["user", "item", "sources", "score", "rank"]
    assert first.select(columns).rows() == [(3, 5, 1, 0.5, 1)]
    assert second.select(columns).rows() == [(9, 6, 1, 0.75, 1), (9, 1, 1, 0.5, 2)]


def test_no_pairs_at_all(tmp_path: Path) -> None:
    with StoredShortlists(tmp_path) as stored:
        stored.add(USERS[0], BATCHES[0].clear())
        shortlist = stored.mapped()
    assert shortlist.indptr.tolist() == [0, 0, 0, 0] and not shortlist.items.size


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError), StoredShortlists(tmp_path / "file" / "below"):
        pass

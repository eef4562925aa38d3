"""The table of quotas: `explain` reads what the run wrote."""

from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recsys_cli.models.postprocessing.allocation import Allocator
from recsys_cli.models.postprocessing.shortlist_rows import shortlist_of
from recsys_cli.models.postprocessing.turns import turns_of
from recsys_cli.pipelines.publication.quota_table import QUOTAS, quota_frame, read_quotas, write_quotas
from recsys_cli.utils.storage.table_files import read_parquet_file
from tests.models.postprocessing.quota_problems import each_item, problem_of, quota, quota_tables
from tests.models.postprocessing.test_quotas import FIVE


def test_the_table_says_what_was_scarce() -> None:
    tables = quota_tables(quota(0, each_item(8), {0: 2, 4: 3}))
    account = Allocator(tables, 2).allocate(FIVE, turns_of(pl.Series(range(5)), date(2026, 7, 1))).account
    frame = quota_frame(tables, account)
    first, fifth = frame.row(0, named=True), frame.row(4, named=True)
    assert (first["rule"], first["group"], first["at_most"], first["rows"]) == ("stock", "i0", 2, 2)
    assert (first["wanted"], first["left"], first["last_rows"]) == (5, 0, 1)
    assert first["price"] > 0 and first["sold_out"] is not None
    assert (fifth["at_most"], fifth["rows"], fifth["left"], fifth["sold_out"]) == (3, 0, 3, None)
    assert frame["at_most"].null_count() == 6 and frame["at_least"].null_count() == 8


def test_a_list_is_chosen_again_from_what_was_written(tmp_path: Path) -> None:
    shortlist, tables, k = problem_of(5)
    users = len(shortlist.user_marks)
    ids = pl.Series([f"u{user}" for user in range(users)])
    turns = turns_of(ids, date(2026, 7, 1))
    allocator = Allocator(tables, k, block=9)
    found = allocator.allocate(shortlist, turns)
    write_quotas(tmp_path, tables, found.account, ids[found.changed])
    account, changed = read_quotas(tmp_path, tables)
    assert changed == set(ids[found.changed].to_list())
    for user in range(users):
        if ids[user] not in changed:
            alone = np.array([user])
            lists, _ = allocator.replayed(shortlist_of(shortlist, alone), alone, account, int(turns[user]))
            rows = np.where(lists.slots[0] < 0, -1, lists.slots[0] + shortlist.indptr[user])
            assert rows.tolist() == found.lists.rows[user].tolist()


def test_the_table_of_other_rules_is_refused(tmp_path: Path) -> None:
    tables = quota_tables(quota(0, each_item(8), {0: 2}))
    found = Allocator(tables, 2).allocate(FIVE, turns_of(pl.Series(range(5)), date(2026, 7, 1)))
    write_quotas(tmp_path, tables, found.account, pl.Series([], dtype=pl.Int64))
    with pytest.raises(ValueError, match="other rules"):
        read_quotas(tmp_path, quota_tables(quota(0, each_item(7), {0: 2})))
    read_parquet_file(tmp_path / QUOTAS).write_parquet(tmp_path / QUOTAS)
    with pytest.raises(ValueError, match="cannot be read"):
        read_quotas(tmp_path, tables)

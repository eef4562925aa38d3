"""quotas.parquet beside the lists: what each group of a quota cost, and when it was sold out.

With it, `explain` chooses one user's list alone as it was chosen among all.
"""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from recsys_cli.models.postprocessing.quota_account import QuotaAccount, group_names
from recsys_cli.models.postprocessing.rule_tables import RuleTables
from recsys_cli.utils.columns import USER_ID
from recsys_cli.utils.storage.atomic_writes import as_output_error, as_system_error, replacing
from recsys_cli.utils.storage.table_files import read_parquet_file

QUOTAS, QUOTA_CHANGES = "quotas.parquet", "quota_changes.parquet"
_FIRST_TURNS = (
    "recsys.first_turns"  # in the metadata: the first turn of each block that has prices of its own
)


def quota_frame(tables: RuleTables, account: QuotaAccount) -> pl.DataFrame:
    """Return one row a quota and group, in the order of the codes.

    rule, group: their names; at_most, at_least: rows, null: no bound; rows: that the lists have; wanted: that
    they would have without quotas; left, null: no bound; sold_out: the turn at which it was, null: it is not;
    last_rows: of the user at that turn; price: the mean over the users' blocks; prices: of each block.
    """
    names, prices = group_names(tables), np.array(account.prices, dtype=np.float32)
    most = np.concatenate([quota.at_most for quota in tables.quotas]).astype(np.int64)
    frame = pl.DataFrame(
        {
            "rule": pl.Series([rule for rule, _ in names], dtype=pl.String),
            "group": pl.Series([group for _, group in names], dtype=pl.String),
            "at_most": most,
            "at_least": account.at_least,
            "rows": account.rows,
            "wanted": account.wanted,
            "left": account.left,
            "is_sold_out": account.is_sold_out,
            "sold_out": account.sold_out,
            "last_rows": account.last_rows,
            "price": prices.mean(axis=0) if len(prices) else np.zeros(len(names), dtype=np.float32),
            "prices": pl.Series(prices.T.tolist(), dtype=pl.List(pl.Float32)),
        }
    )
    sold_out = pl.when("is_sold_out").then("sold_out")
    bounds = [pl.when(pl.col(name) >= 0).then(name).alias(name) for name in ("at_most", "left")]
    least = pl.when(pl.col("at_least") > 0).then("at_least")
    return frame.with_columns(*bounds, least.alias("at_least"), sold_out.alias("sold_out")).drop(
        "is_sold_out"
    )


def write_quotas(folder: Path, tables: RuleTables, account: QuotaAccount, changed: pl.Series) -> None:
    """Write both tables into the folder of the lists.

    Args:
        changed: external ids of the users whose lists an exchange or the fill changed.

    Raises: OutputError.
    """
    turns = {_FIRST_TURNS: json.dumps(account.first_turns)}
    _write(folder / QUOTAS, quota_frame(tables, account), turns)
    _write(folder / QUOTA_CHANGES, pl.DataFrame({USER_ID: changed}), {})


def read_quotas(folder: Path, tables: RuleTables) -> tuple[QuotaAccount, set[int | str]]:
    """Return the account of published lists, and the ids of users whose lists changed after their turn.

    Raises: OSError, ValueError where the files are gone, damaged, or those of other rules.
    """
    try:
        frame = read_parquet_file(folder / QUOTAS)
        turns = json.loads((pq.read_metadata(folder / QUOTAS).metadata or {})[_FIRST_TURNS.encode()])
        changed = read_parquet_file(folder / QUOTA_CHANGES)[USER_ID].to_list()
        if frame.select("rule", "group").rows() != group_names(tables):
            raise ValueError(f"{QUOTAS} has the quotas of other rules")
        return _account(frame, turns), set(changed)
    except (pl.exceptions.PolarsError, KeyError) as error:
        raise ValueError(f"{QUOTAS} cannot be read: {error}") from error


def _account(frame: pl.DataFrame, turns: list[int]) -> QuotaAccount:
    prices = np.array(frame["prices"].to_list(), dtype=np.float32).reshape(len(frame), len(turns))
    return QuotaAccount(
        frame["left"].fill_null(-1).to_numpy(),
        frame["at_least"].fill_null(0).to_numpy(),
        frame["rows"].to_numpy(),
        frame["wanted"].to_numpy(),
        frame["sold_out"].is_not_null().to_numpy(),
        frame["sold_out"].fill_null(0).to_numpy(),
        frame["last_rows"].to_numpy(),
        list(np.ascontiguousarray(prices.T)),
        turns,
    )


def _write(file: Path, frame: pl.DataFrame, metadata: dict[str, str]) -> None:
    with as_output_error(file), replacing(file) as written:
        with as_system_error(file, pl.exceptions.ComputeError):
            frame.write_parquet(written, compression="zstd", metadata=metadata)

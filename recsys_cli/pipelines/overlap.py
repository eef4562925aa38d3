"""How much two files of recommendations have in common."""

from pathlib import Path

import polars as pl

from recsys_cli.utils.columns import ITEM_ID, USER_ID


def mean_overlap(one: Path, other: Path, users: pl.Series) -> float | None:
    """Return the mean share of the shorter of a user's two lists that is in both, in [0, 1].

    Unlike the overlap that `diff` shows, a share of the longer one, it does not fall where lists grow.

    Args:
        users: external ids of the users who are looked at.

    Returns: None where none of them has a list in both, or the ids are of other types.
    """
    mine, theirs = _lists(one, users), _lists(other, users)
    if mine.schema != theirs.schema:
        return None
    both = mine.join(theirs, on=[USER_ID, ITEM_ID], how="semi").group_by(USER_ID).agg(both=pl.len())
    lengths = _lengths(mine).join(_lengths(theirs), on=USER_ID, suffix="_other")
    shares = lengths.join(both, on=USER_ID, how="left").select(
        pl.col("both").fill_null(0) / pl.min_horizontal("length", "length_other")
    )
    return None if shares.is_empty() else float(shares.to_series().mean())  # type: ignore[arg-type]


def _lists(file: Path, users: pl.Series) -> pl.DataFrame:
    rows = pl.scan_parquet(file).select(USER_ID, ITEM_ID)
    if rows.collect_schema()[USER_ID] != users.dtype:
        return rows.clear().collect()
    return rows.filter(pl.col(USER_ID).is_in(users.implode())).collect(engine="streaming")


def _lengths(lists: pl.DataFrame) -> pl.DataFrame:
    return lists.group_by(USER_ID).agg(length=pl.len())

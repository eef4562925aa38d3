"""Labels from the window after a cut, and sampled negatives."""

from datetime import date

import polars as pl

from recsys_cli.data_preparation.features.feature_tables import ordered_sum
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.utils.columns import GAIN, ITEM, TIMESTAMP, USER, WEIGHT
from recsys_cli.utils.dates import day_start, days_after, days_before


def label_cuts(day: date, label_days: int, label_windows: int) -> list[date]:
    """Return the first days of the consecutive label windows before `day`, the earliest first.

    Raises: UsageError where they reach beyond the calendar.
    """
    where = "--date, ranker.label_days, ranker.label_windows"
    return [days_before(day, label_days * window, where) for window in range(label_windows, 0, -1)]


def window_pairs(tables: Tables, start: date, days: int) -> pl.DataFrame:
    """Return the distinct user, item of the labels in [start, start + days), sorted.

    What was cancelled before the window's end is no label. Where labels differ in their weights, `gain` is
    log2(1 + their sum), f64.
    """
    after = days_after(start, days)
    first, end = (day_start(day, tables.timezone) for day in (start, after))
    if tables.delivered is not None and end < tables.cut:
        tables = tables.as_of(after)
    inside = tables.events.filter((pl.col(TIMESTAMP) >= first) & (pl.col(TIMESTAMP) < end))
    if not tables.rules:
        return inside.select(USER, ITEM).unique().sort(USER, ITEM)
    labels = inside.filter(tables.rules.is_label())
    if not tables.rules.graded:
        return labels.select(USER, ITEM).unique().sort(USER, ITEM)
    gain = (1.0 + ordered_sum(pl.col(WEIGHT))).log(2.0).alias(GAIN)
    return labels.group_by(USER, ITEM).agg(gain).sort(USER, ITEM)


def draw_negatives(
    candidates: pl.DataFrame, positives: pl.DataFrame, n_negatives: int, seed: int
) -> pl.DataFrame:
    """Return `row` and `label` of every positive candidate and of at most `n_negatives` others per user.

    Users without a positive candidate are left out. The draw depends only on the pair and the seed.

    Args:
        candidates: distinct user, item.
        positives: distinct user, item.

    Returns: row u32, the rows of the chosen candidates, ascending; label i8.
    """
    labelled = candidates.join(
        positives.with_columns(pl.lit(1, dtype=pl.Int8).alias("label")),
        on=[USER, ITEM],
        how="left",
        validate="1:1",
        maintain_order="left",
    ).with_columns(pl.col("label").fill_null(0))
    lottery = pl.struct(USER, ITEM).hash(seed=seed)
    order = lottery.rank("ordinal").over(USER, "label")
    chosen = (pl.col("label") == 1) | (order <= n_negatives)
    drawn = labelled.with_row_index("row").filter(chosen & (pl.col("label").max().over(USER) == 1))
    return drawn.select("row", "label")


def in_validation(user_ids: pl.Series, share: float, seed: int) -> pl.Series:
    """Return whether each user belongs to the validation set: by id, so the same at every cut."""
    return (user_ids.hash(seed=seed) % 10_000 < int(share * 10_000)).alias("validation")

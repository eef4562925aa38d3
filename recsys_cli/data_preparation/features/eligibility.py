"""Which items may be recommended on a day."""

from datetime import date

import polars as pl

from recsys_cli.data_preparation.tables.problems import Problem
from recsys_cli.utils.columns import AVAILABLE_FROM, AVAILABLE_UNTIL, EXCLUDED, LISTED


def eligible(items: pl.DataFrame, day: date) -> pl.Series:
    """Return which items may be recommended on `day`: listed, available and not excluded."""
    allowed = available(day) & ~pl.col(EXCLUDED).fill_null(False)
    return items.select(allowed).to_series() & ~unlisted(items)


def unlisted(items: pl.DataFrame) -> pl.Series:
    """Return which items are kept out of lists because they are not in the items table."""
    missing = ~pl.col(LISTED) if LISTED in items.columns else pl.repeat(False, pl.len())
    return items.select(missing).to_series()


def available(day: date) -> pl.Expr:
    """Return whether an item is available on `day`."""
    started = (pl.col(AVAILABLE_FROM) <= day).fill_null(True)
    running = (pl.col(AVAILABLE_UNTIL) >= day).fill_null(True)
    return started & running


def eligibility_problems(items: pl.DataFrame, day: date, where: str) -> list[Problem]:
    """Report that no item may be recommended on `day`."""
    return [] if eligible(items, day).any() else [nothing_eligible(day, where)]


def nothing_eligible(day: date, where: str) -> Problem:
    """Return the problem that no item may be recommended on `day`."""
    what = f"no item may be recommended on {day}: all are excluded, not available or not in the items table"
    fix = "correct the items table, its available_from and available_until, or scoring.exclude"
    return Problem(where, what, fix)

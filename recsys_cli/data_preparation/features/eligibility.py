"""Which items may be recommended on a day."""

from datetime import date

import polars as pl

from recsys_cli.data_preparation.tables.problems import Problem
from recsys_cli.utils.columns import AVAILABLE_FROM, AVAILABLE_UNTIL, EXCLUDED


def eligible(day: date) -> pl.Expr:
    """Return whether an item may be recommended on `day`: available and not excluded."""
    return available(day) & ~pl.col(EXCLUDED).fill_null(False)


def available(day: date) -> pl.Expr:
    """Return whether an item is available on `day`."""
    started = (pl.col(AVAILABLE_FROM) <= day).fill_null(True)
    running = (pl.col(AVAILABLE_UNTIL) >= day).fill_null(True)
    return started & running


def eligibility_problems(items: pl.DataFrame, day: date, where: str) -> list[Problem]:
    """Report that no item may be recommended on `day`."""
    return [] if items.select(eligible(day).any()).item() else [nothing_eligible(day, where)]


def nothing_eligible(day: date, where: str) -> Problem:
    """Return the problem that no item may be recommended on `day`."""
    what = f"no item may be recommended on {day}: all are excluded or not available"
    fix = "correct scoring.exclude, or the items' available_from and available_until"
    return Problem(where, what, fix)

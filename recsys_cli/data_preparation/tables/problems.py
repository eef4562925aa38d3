"""Problems of the input tables: collected, then reported together."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from loguru import logger

from recsys_cli.utils.errors import InputError, RecsysError

_MOST_NAMES = 40
_LONGEST_NAME = 60

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Problem:
    """One problem of the inputs: an `error` stops the command, a `warning` is logged, a `note` is shown."""

    where: str
    what: str
    fix: str
    severity: Severity = "error"


def missing_column(where: str, name: str, source_name: str, columns: Sequence[str]) -> Problem:
    """Return the problem of a missing column, with a similar name of the source if there is one."""
    close = get_close_matches(source_name, columns, n=1, cutoff=0.4)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return Problem(
        where,
        f"column {source_name!r} is missing, the columns are {_listed(columns)}{hint}",
        f"set `columns.{name}` of this table in settings/settings.toml to the column that holds it",
    )


def _listed(columns: Sequence[str]) -> str:
    """Return the names, shortened if there are very many, as in a file that is not a table."""
    names = [name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}…" for name in columns]
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more:,} more" if more > 0 else "")


def filter_problem(unknown: int, condition: str, where: str) -> list[Problem]:
    """Return that a table's filter is neither true nor false for so many rows; none for 0."""
    if not unknown:
        return []
    what = (
        f"the filter {condition!r} is unknown for {unknown:,} rows, because values are missing: "
        "they are dropped"
    )
    fix = "say what a missing value means: COALESCE(column, 0) > 300, or column IS NULL OR column > 300"
    return [Problem(where, what, fix, "warning")]


def raise_or_warn(problems: Sequence[Problem]) -> None:
    """Log every warning.

    Raises: InputError that lists every problem of severity `error`, if there is one.
    """
    raise_errors(problems)
    for problem in problems:
        logger.warning(f"{problem.where}: {problem.what}")


def raise_errors(
    problems: Sequence[Problem], kind: type[RecsysError] = InputError, of_what: str = "with the inputs"
) -> None:
    """Raise: an error of this kind that lists every problem of severity `error`, if there is one."""
    errors = [problem for problem in problems if problem.severity == "error"]
    if not errors:
        return
    if len(errors) == 1:
        raise kind(errors[0].what, where=errors[0].where, fix=errors[0].fix)
    what, where, fix = as_one_error(errors, of_what)
    raise kind(what, where=where, fix=fix)


def as_one_error(problems: Sequence[Problem], of_what: str) -> tuple[str, str, str]:
    """Return several problems as one error: what, where and fix."""
    lines = [f"  {number}. {problem.where}: {problem.what}" for number, problem in enumerate(problems, 1)]
    return (
        "\n".join([f"{len(problems)} problems {of_what}", *lines]),
        ", ".join(dict.fromkeys(problem.where for problem in problems)),
        "; ".join(dict.fromkeys(problem.fix for problem in problems)),
    )

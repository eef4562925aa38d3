"""Base class and value types of the settings' sections."""

from collections.abc import Iterable
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from recsys_cli.utils.columns import LONGEST_LIST
from recsys_cli.utils.sql_text import rewritten

Share = Annotated[float, Field(gt=0.0, lt=1.0)]
Bound = Annotated[float, Field(ge=0.0, le=1.0)]  # bound of a share
ListLength = Annotated[int, Field(ge=1, le=LONGEST_LIST)]
IndexName = Literal["exact", "ivf", "hnsw"]
Days = Annotated[int, Field(ge=1, le=36_500)]  # a century
SHORTEST_HALF_LIFE, LONGEST_HALF_LIFE = 0.1, 1_000_000.0  # days; beyond them all weights become 0 or equal
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]  # the numbers that every library takes
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]  # the range that the libraries accept


def allowed_sql(text: str) -> str:
    """Return a SQL expression as it is, or an empty text. Raises: ValueError if it is not allowed."""
    if text:
        rewritten(text)
    return text


def required_sql(text: str) -> str:
    """Return a SQL expression as it is. Raises: ValueError if it is empty or not allowed."""
    rewritten(text)
    return text


SqlExpressionText = Annotated[str, AfterValidator(required_sql)]
SqlText = Annotated[str, AfterValidator(allowed_sql)]


class Section(BaseModel):
    """A frozen section of the settings; `Field(description=…)` documents each setting."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=False, allow_inf_nan=False, defer_build=True
    )


def is_pattern(column: str) -> bool:
    """Return whether polars takes a column's name for a pattern that stands for several columns."""
    return column == "*" or (column.startswith("^") and column.endswith("$"))


def refuse_patterns(columns: Iterable[str]) -> None:
    """Raise: ValueError for the first name that is a pattern."""
    for column in columns:
        if is_pattern(column):
            raise ValueError(f"the name {column!r} stands for several columns: rename it in the source")


def known_timezone(value: str) -> str:
    """Return the name of a time zone. Raises: ValueError if there is none of this name."""
    if value not in available_timezones():
        raise ValueError(f"unknown time zone {value!r}; use a name such as 'Europe/Berlin' or 'UTC'")
    return value

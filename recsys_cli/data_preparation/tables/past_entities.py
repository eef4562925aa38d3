"""Users and items as they were on earlier days, where their tables are one a day."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Literal

import polars as pl

from recsys_cli.configs.data_sections import DataSettings
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.contract import Tables, items_table, listed, users_table
from recsys_cli.data_preparation.tables.entities import EntityTable, read_entities
from recsys_cli.data_preparation.tables.problems import Problem, raise_or_warn
from recsys_cli.utils.columns import LISTED


def with_past_entities(
    tables: Tables, data: DataSettings, workspace: InputFolder, days: Sequence[date], exclude: str = ""
) -> Tables:
    """Return the tables with the users and items of these earlier days, where `snapshots` is set.

    An id that is in a day's snapshot alone, not in today's and in no event, is left out; one that is not in
    a day's snapshot has no features then, and is not listed.

    Raises: InputError that lists all problems, such as a day without a snapshot before it.
    """
    earlier = [day for day in sorted(set(days)) if day < tables.day]
    problems: list[Problem] = []
    users = dict(_past(users_table(data, tables.timezone), workspace, earlier, tables.users, problems))
    items = dict(
        _past(items_table(data, tables.timezone, exclude), workspace, earlier, tables.items, problems)
    )
    raise_or_warn(problems)
    return replace(tables, past_users=users, past_items=items)


def _past(
    table: EntityTable,
    workspace: InputFolder,
    days: Sequence[date],
    known: pl.DataFrame,
    problems: list[Problem],
) -> Iterator[tuple[date, pl.DataFrame]]:
    """Yield each day with the rows of `known` as they were then; add what is wrong to `problems`."""
    if not table.settings.path or not table.settings.snapshots:
        return
    for day in days:
        entities, found = read_entities(table, workspace, day)
        problems += _of_the_past(found, day, is_read=entities is not None)
        if entities is not None:
            yield day, _aligned(entities, known, table)


def _of_the_past(found: Sequence[Problem], day: date, *, is_read: bool) -> Iterator[Problem]:
    """Yield the errors of an earlier snapshot; one that can be read, such as an old one, is warned of."""
    for one in found:
        if one.severity == "error":
            severity: Literal["error", "warning"] = "warning" if is_read else "error"
            yield replace(one, what=f"as of {day}: {one.what}", severity=severity)


def _aligned(entities: pl.DataFrame, known: pl.DataFrame, table: EntityTable) -> pl.DataFrame:
    """Return a row for each known id, in their order."""
    rows = entities.cast({table.key: known.schema[table.key]}).with_columns(pl.lit(True).alias(LISTED))
    joined = known.select(table.key).join(rows, on=table.key, how="left", maintain_order="left")
    return listed(joined, table.settings)

"""The contract's tables, read with the events before a cut alone; ids become dense internal indices."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from hashlib import sha256

import numpy as np
import polars as pl

from recsys_cli.configs.data_sections import DataSettings, TableSettings
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.readers.row_sources import shown_source
from recsys_cli.data_preparation.tables.entities import read_entities
from recsys_cli.data_preparation.tables.event_types import (
    ALIKE,
    MICROSECONDS_A_DAY,
    EventRules,
    event_rules,
)
from recsys_cli.data_preparation.tables.ids import ROWS, assign_indices
from recsys_cli.data_preparation.tables.interactions import read_interactions
from recsys_cli.data_preparation.tables.problems import Problem, raise_or_warn
from recsys_cli.data_preparation.tables.source_events import event_table
from recsys_cli.utils.columns import ITEM, ITEM_ID, TIMESTAMP, USER, USER_ID
from recsys_cli.utils.dates import day_start
from recsys_cli.utils.errors import InputError

_NEW_INDEX = "new_index"


@dataclass(frozen=True)
class Tables:
    """Everything that is known before a cut.

    Attributes:
        day: the scoring day; its local start is the cut.
        timezone: the time zone of days.
        events: user u32, item u32, timestamp (UTC, without zone), weight f32, and where there are `rules`
            event_type u8; sorted by all of them.
        users: one row per internal user index, in order: user_id and the declared features.
        items: one row per internal item index, in order: item_id, title, available_from, available_until,
            excluded, and the declared features.
        external: day → the external candidates made for it, as in `read_external`; None: off.
        rules: what the types of events count for.
        delivered: the events and what cancels them, with the weights of the source; None: no type cancels.
    """

    day: date
    timezone: str
    events: pl.DataFrame
    users: pl.DataFrame
    items: pl.DataFrame
    external: Mapping[date, pl.DataFrame] | None = None
    rules: EventRules = ALIKE
    delivered: pl.DataFrame | None = None

    @property
    def cut(self) -> datetime:
        """The first instant that does not count: the start of the scoring day, in UTC."""
        return day_start(self.day, self.timezone)

    def as_of(self, day: date) -> "Tables":
        """Return the tables as they were at the start of an earlier `day`; indices stay the same."""
        before = pl.col(TIMESTAMP) < day_start(day, self.timezone)
        if self.delivered is None:
            return replace(self, day=day, events=self.events.filter(before))
        delivered = self.delivered.filter(before)  # what was cancelled later had not been yet
        return replace(self, day=day, events=self.rules.resolved(delivered), delivered=delivered)

    def age_days(self) -> pl.Expr:
        """Return each event's age at the cut, in days, f64."""
        return (pl.lit(self.cut) - pl.col(TIMESTAMP)).dt.total_microseconds() / MICROSECONDS_A_DAY

    def strength(self, half_life_days: float = 0.0) -> pl.Expr:
        """Return each event's weight at the cut, see `EventRules.strength`."""
        return self.rules.strength(self.age_days(), half_life_days)

    def seen(self) -> pl.DataFrame:
        """Return the events that leave their items out of the users' lists."""
        return self.events.filter(self.rules.is_seen(self.age_days())) if self.rules else self.events

    def of_users(self, users: np.ndarray) -> "Tables":
        """Return the tables of some users only; they get new internal indices from 0, in the same order.

        Items do not change. External candidates of other users are left out.

        Args:
            users: internal indices, u32, ascending, each once.
        """
        if len(users) == len(self.users):
            return self
        indices = pl.DataFrame({USER: users, _NEW_INDEX: np.arange(len(users), dtype=np.uint32)})
        external = self.external or {}
        return replace(
            self,
            events=_reindexed(self.events, indices),
            delivered=None if self.delivered is None else _reindexed(self.delivered, indices),
            users=self.users[users],
            external=(
                None
                if self.external is None
                else {day: _reindexed(frame, indices) for day, frame in external.items()}
            ),
        )

    def content_hash(self) -> str:
        """Return the SHA-256 of all tables."""
        digest = sha256()
        for column in [*self.events, *(self.delivered if self.delivered is not None else ())]:
            digest.update(np.ascontiguousarray(column.to_numpy()).tobytes())
        external = self.external or {}
        for frame in (self.users, self.items, *(external[day] for day in sorted(external))):
            digest.update(f"{frame.schema}\n{frame.write_ndjson()}".encode())
        return digest.hexdigest()


def _reindexed(frame: pl.DataFrame, indices: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of the users in `indices`, with their new index; rows keep their order."""
    rows = frame.join(indices, on=USER, how="inner", maintain_order="left")
    return rows.with_columns(pl.col(_NEW_INDEX).alias(USER)).drop(_NEW_INDEX)


def read_tables(
    data: DataSettings, workspace: InputFolder, day: date, timezone: str, exclude: str = ""
) -> Tables:
    """Read the tables with the events before `day` alone; warnings are logged.

    Raises: InputError that lists all problems; SettingsError for a filter or `exclude` that does not parse.
    """
    tables, problems = inspect_tables(data, workspace, day, timezone, exclude)
    raise_or_warn(problems)
    assert tables is not None
    return tables


def inspect_tables(
    data: DataSettings, workspace: InputFolder, day: date, timezone: str, exclude: str = ""
) -> tuple[Tables | None, list[Problem]]:
    """Read the tables and return their problems; tables are None if at least one problem is an error."""
    cut, workspace = day_start(day, timezone), workspace.at(day, timezone)
    events, problems = read_interactions(data, workspace, cut, timezone)
    users, user_problems = read_entities(
        data.users, workspace, key=USER_ID, id_type=data.user_id_type, timezone=timezone
    )
    items, item_problems = read_entities(
        data.items,
        workspace,
        key=ITEM_ID,
        id_type=data.item_id_type,
        timezone=timezone,
        exclude=exclude,
    )
    problems += user_problems + item_problems
    if (
        any(problem.severity == "error" for problem in problems)
        or events is None
        or users is None
        or items is None
    ):
        return None, problems
    problems += _unknown_id_problems(events.users, users, USER_ID, workspace, data.users)
    problems += _unknown_id_problems(events.items, items, ITEM_ID, workspace, data.items)
    user_ids, users = assign_indices(events.users, users, USER_ID, USER)
    item_ids, items = assign_indices(events.items, items, ITEM_ID, ITEM)
    rules = event_rules(data)
    try:
        table, repeated = event_table(events, user_ids, item_ids, typed=bool(rules))
    except InputError as error:
        return None, [*problems, Problem(error.where or events.where, error.what, error.fix)]
    problems += _repeat_problems(repeated, events.where)
    tables = Tables(day, timezone, table, users, items, rules=rules)
    if not rules:
        return tables, problems
    delivered = table if rules.cancels else None
    return replace(tables, events=rules.resolved(table), delivered=delivered), problems


def _repeat_problems(repeated: int, where: str) -> list[Problem]:
    if not repeated:
        return []
    what = f"{repeated:,} events repeat the user, item and timestamp of another event; each counts"
    return [Problem(where, what, "remove them from the source if they are not real events", "warning")]


def _unknown_id_problems(
    ids: pl.DataFrame, entities: pl.DataFrame, key: str, workspace: InputFolder, table: TableSettings
) -> list[Problem]:
    """Report users or items of the events that are missing in their own table, if there is one."""
    if not table.is_given:
        return []
    counts = ids.group_by(pl.col(key).cast(pl.String)).agg(pl.col(ROWS).sum())
    unknown = counts.join(entities.select(pl.col(key).cast(pl.String)), on=key, how="anti")
    if unknown.is_empty():
        return []
    share = int(unknown[ROWS].sum()) / int(ids[ROWS].sum())
    what = f"{len(unknown):,} {key}s of the events, {share:.1%} of the events, are not in the table"
    fix = f"add them to it, else they have no features; check that each {key} is written the same"
    return [Problem(shown_source(table, workspace.path), what, fix, "warning")]

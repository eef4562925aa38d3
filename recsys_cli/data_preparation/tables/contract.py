"""The contract's tables, read with the events before a cut alone; ids become dense internal indices."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from hashlib import sha256

import numpy as np
import polars as pl

from recsys_cli.configs.data_sections import DataSettings, FeatureTableSettings, ItemsSettings
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.readers.row_sources import shown_source
from recsys_cli.data_preparation.tables.entities import EntityTable, read_entities
from recsys_cli.data_preparation.tables.event_table import event_table
from recsys_cli.data_preparation.tables.event_types import (
    ALIKE,
    MICROSECONDS_A_DAY,
    EventRules,
    event_rules,
)
from recsys_cli.data_preparation.tables.ids import ROWS, assign_indices
from recsys_cli.data_preparation.tables.interactions import ReadEvents, read_interactions
from recsys_cli.data_preparation.tables.problems import Problem, raise_or_warn
from recsys_cli.utils.columns import ITEM, ITEM_ID, LISTED, TIMESTAMP, USER, USER_ID
from recsys_cli.utils.dates import day_start
from recsys_cli.utils.errors import InputError

_NEW_INDEX = "new_index"


@dataclass(frozen=True)
class Unknown:
    """Ids of the events that are not in their own table: how many, and their share of the events."""

    ids: int
    share: float


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
            excluded, and the declared features; in_items_table where some items are kept out for that.
        external: day → the external candidates made for it, as in `read_external`; None: off.
        rules: what the types of events count for.
        past_users, past_items: day → users or items as of it, where their tables are one a day; rows and
            columns as in `users` and `items`.
        vocabulary: the users and items that vocabularies are learnt from; None: those of the day.
        delivered: the events and what cancels them, with the weights of the source; None: no type cancels.
        unknown: ids that are not in their own table, by the name of the id; no entry: there is no such table.
    """

    day: date
    timezone: str
    events: pl.DataFrame
    users: pl.DataFrame
    items: pl.DataFrame
    external: Mapping[date, pl.DataFrame] | None = None
    rules: EventRules = ALIKE
    delivered: pl.DataFrame | None = None
    past_users: Mapping[date, pl.DataFrame] = field(default_factory=dict)
    past_items: Mapping[date, pl.DataFrame] = field(default_factory=dict)
    vocabulary: tuple[pl.DataFrame, pl.DataFrame] | None = None
    unknown: Mapping[str, Unknown] = field(default_factory=dict)

    @property
    def cut(self) -> datetime:
        """The first instant that does not count: the start of the scoring day, in UTC."""
        return day_start(self.day, self.timezone)

    def as_of(self, day: date) -> "Tables":
        """Return the tables as they were at the start of an earlier `day`; indices stay the same."""
        before = pl.col(TIMESTAMP) < day_start(day, self.timezone)
        past = self.with_entities_of(day)
        if self.delivered is None:
            return replace(past, day=day, events=self.events.filter(before))
        delivered = self.delivered.filter(before)  # what was cancelled later had not been yet
        return replace(past, day=day, events=self.rules.resolved(delivered), delivered=delivered)

    def with_entities_of(self, day: date) -> "Tables":
        """Return the tables with the users and items of an earlier day, where they were read.

        All days of a training share one vocabulary: codes of categories must mean the same.
        """
        if day >= self.day or not (self.past_users or self.past_items):
            return self
        users, items = _as_of(self.past_users, day, self.users), _as_of(self.past_items, day, self.items)
        return replace(self, users=users, items=items, vocabulary=self.vocabulary or (self.users, self.items))

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
            past_users={day: frame[users] for day, frame in self.past_users.items()},
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
        past = [mapping[day] for mapping in (self.past_users, self.past_items) for day in sorted(mapping)]
        for frame in (self.users, self.items, *(external[day] for day in sorted(external)), *past):
            digest.update(f"{frame.schema}\n{frame.write_ndjson()}".encode())
        return digest.hexdigest()


def _as_of(past: Mapping[date, pl.DataFrame], day: date, now: pl.DataFrame) -> pl.DataFrame:
    """Return the newest users or items that were read for a day up to this one, never for a later one."""
    if not past:
        return now
    return past[max(one for one in past if one <= day)]


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
    users, user_problems = read_entities(users_table(data, timezone), workspace, day)
    items, item_problems = read_entities(items_table(data, timezone, exclude), workspace, day)
    problems += user_problems + item_problems
    if (
        any(problem.severity == "error" for problem in problems)
        or events is None
        or users is None
        or items is None
    ):
        return None, problems
    sides = {USER_ID: (events.users, users, data.users), ITEM_ID: (events.items, items, data.items)}
    unknown = {
        key: _unknown_ids(ids, frame, key) for key, (ids, frame, table) in sides.items() if table.is_given
    }
    for key, found in unknown.items():
        problems += _unknown_id_problems(found, key, sides[key][2], workspace)
    try:
        tables = _joined(events, users, items, data, day, timezone)
    except InputError as error:
        return None, [*problems, Problem(error.where or events.source.where, error.what, error.fix)]
    return replace(tables, unknown=unknown), problems


def _joined(
    events: ReadEvents,
    users: pl.DataFrame,
    items: pl.DataFrame,
    data: DataSettings,
    day: date,
    timezone: str,
) -> Tables:
    """Return the tables by internal index. Raises: InputError if the events cannot be read again."""
    user_ids, users = assign_indices(events.users, users, USER_ID, USER)
    item_ids, items = _all_items(events.items, items, data.items)
    rules = event_rules(data)
    indexed = event_table(events.source, user_ids, item_ids, rules, timezone)
    tables = Tables(day, timezone, indexed, users, items, rules=rules)
    if not rules:
        return tables
    return replace(tables, events=rules.resolved(indexed), delivered=indexed if rules.cancels else None)


def users_table(data: DataSettings, timezone: str) -> EntityTable:
    """Return the users table and how it is read."""
    return EntityTable(data.users, USER_ID, data.user_id_type, timezone)


def items_table(data: DataSettings, timezone: str, exclude: str) -> EntityTable:
    """Return the items table and how it is read."""
    return EntityTable(data.items, ITEM_ID, data.item_id_type, timezone, exclude)


def _all_items(
    ids: pl.DataFrame, items: pl.DataFrame, table: ItemsSettings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the ids with their index, and an item for each; it says which are not in the table."""
    numbered, known = assign_indices(ids, items.with_columns(pl.lit(True).alias(LISTED)), ITEM_ID, ITEM)
    return numbered, listed(known, table)


def listed(known: pl.DataFrame, table: FeatureTableSettings) -> pl.DataFrame:
    """Return users or items without the column `in_items_table`, unless it keeps some out of lists."""
    only = isinstance(table, ItemsSettings) and table.only_listed and table.is_given
    if not only or not known[LISTED].null_count():
        return known.drop(LISTED)
    return known.with_columns(pl.col(LISTED).fill_null(False))


def _unknown_ids(ids: pl.DataFrame, entities: pl.DataFrame, key: str) -> Unknown:
    """Return the users or items of the events that are missing in their own table."""
    counts = ids.group_by(pl.col(key).cast(pl.String)).agg(pl.col(ROWS).sum())
    unknown = counts.join(entities.select(pl.col(key).cast(pl.String)), on=key, how="anti")
    events = int(ids[ROWS].sum())
    return Unknown(len(unknown), float(unknown[ROWS].sum()) / events if events else 0.0)


def _unknown_id_problems(
    unknown: Unknown, key: str, table: FeatureTableSettings, workspace: InputFolder
) -> list[Problem]:
    """Report ids of the events that are missing in their own table."""
    if not unknown.ids:
        return []
    what = f"{unknown.ids:,} {key}s of the events, {unknown.share:.1%} of the events, are not in the table"
    fix = f"add them to it, else they have no features; check that each {key} is written the same"
    if isinstance(table, ItemsSettings) and table.only_listed:
        what += ": they are not recommended"
        fix += "; or set data.items.only_listed = false"
    return [Problem(shown_source(table, workspace.path), what, fix, "warning")]

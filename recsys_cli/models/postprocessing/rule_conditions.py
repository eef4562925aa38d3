"""Conditions of rules over users and items, evaluated once an item, once a user, or for pairs of both.

A condition that is null does not hold.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

import numpy as np
import polars as pl

from recsys_cli.utils.errors import SettingsError, first_line
from recsys_cli.utils.sql_expressions import sql_condition
from recsys_cli.utils.sql_text import names_in

USERS, ITEMS = "users", "items"
_ROW: Final = "row"
_SHOWN: Final = 100  # characters of an expression in a message
_CELLS_A_USER: Final = 20  # far fewer than a user has candidates: then a table of all values is cheaper


@dataclass(frozen=True)
class Condition:
    """A SQL condition over columns of users and items, named `users.x` and `items.y` in the expression.

    Attributes:
        text: of the rule; where: the rule and its key, for errors.
        users, items: the columns that it uses.
    """

    text: str
    where: str
    expression: pl.Expr
    users: tuple[str, ...]
    items: tuple[str, ...]

    def holds(self, users: pl.DataFrame, items: pl.DataFrame, height: int) -> np.ndarray:
        """Return, bool, whether it holds for each row of frames of this height with the columns it uses.

        Raises: SettingsError where a value cannot be used, such as a text that is cast to a number.
        """
        columns = [
            *(users[name].alias(f"{USERS}.{name}") for name in self.users),
            *(items[name].alias(f"{ITEMS}.{name}") for name in self.items),
        ]
        try:
            found = pl.DataFrame(columns).select(self.expression.fill_null(False)).to_series().to_numpy()
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise SettingsError(
                f"the expression {_short(self.text)!r} fails for some values: {first_line(error)}",
                where=self.where,
                fix="write it so that it can be worked out for each value, as TRY_CAST(column AS INT) can",
            ) from None
        return np.full(height, found[0]) if not columns else np.asarray(found)


def read_condition(text: str, schemas: Mapping[str, pl.Schema], *, where: str) -> Condition:
    """Return the condition of a rule.

    Args:
        schemas: of the tables that it may name, `users` and `items`; a column without one is of the first.
        where: the rule and its key, for errors.

    Raises: SettingsError if it is not allowed, no condition, or uses a column that is missing.
    """
    tables = tuple(schemas)
    used: dict[str, list[str]] = {USERS: [], ITEMS: []}
    for name in sorted(names_in(text, tables)):
        table, dot, column = name.partition(".")
        if dot and table in schemas:
            check_column(column, schemas[table], table, where=where, text=text)
            used[table].append(column)
    schema = {f"{table}.{name}": kind for table in tables for name, kind in schemas[table].items()}
    expression = sql_condition(text, schema, where=where, tables=tables)
    return Condition(text, where, expression, tuple(used[USERS]), tuple(used[ITEMS]))


def check_column(name: str, schema: pl.Schema, table: str, *, where: str, text: str = "") -> None:
    """Raise: SettingsError for a column that a table does not have; `text` is the expression that uses it."""
    if name in schema:
        return
    close = get_close_matches(name, list(schema), n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"there are {_listed(schema)}"
    uses = f"the expression {_short(text)!r} uses" if text else "it names"
    raise SettingsError(
        f"{uses} the column {name!r} of {table}, which is missing; {hint}",
        where=where,
        fix=f"name one of them, such as {(close or list(schema))[0]}; "
        f"a column that is no feature has to be named in data.{table}.rule_columns",
    )


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _listed(schema: pl.Schema) -> str:
    return ", ".join(list(schema)[:40])


@dataclass(frozen=True)
class ValueCodes:
    """The distinct combinations of values of some columns, and which one each row has.

    Attributes:
        values: one row a combination; codes: of each row its combination, i32.
    """

    values: pl.DataFrame
    codes: np.ndarray


def value_codes(frame: pl.DataFrame, columns: Sequence[str]) -> ValueCodes:
    """Return the distinct combinations of values of some columns, in the order of their first rows."""
    codes = np.zeros(len(frame), dtype=np.int32)
    if not columns or frame.is_empty():
        return ValueCodes(frame.select(columns).head(1), codes)
    rows = frame.select(columns).with_row_index(_ROW)
    groups = rows.group_by(columns, maintain_order=True).agg(pl.col(_ROW))
    codes[groups[_ROW].explode().to_numpy()] = np.repeat(np.arange(len(groups)), groups[_ROW].list.len())
    return ValueCodes(groups.select(columns), codes)


@dataclass(frozen=True)
class PairCondition:
    """A condition over users and items, bound to the items of a day.

    Attributes:
        items: the columns that it uses; codes: of their values.
        negated: whether the pairs are meant for which it does not hold.
    """

    condition: Condition
    items: pl.DataFrame
    codes: ValueCodes
    negated: bool = False

    def of_users(self, users: pl.DataFrame) -> "BoundCondition":
        """Bind users, with the columns that it uses, too: over few values its results are a table."""
        users = users.select(self.condition.users)
        found, height = value_codes(users, self.condition.users), max(len(self.codes.values), 1)
        cells = len(found.values) * height
        table = None
        if cells <= _CELLS_A_USER * len(users):
            rows = np.repeat(np.arange(len(found.values)), height)
            columns = np.tile(np.arange(height), len(found.values))
            table = self._evaluated(found.values[rows], _rows(self.codes.values, columns), cells)
        return BoundCondition(self, users, found.codes.astype(np.int64) * height, table)

    def of_pairs(self, users: pl.DataFrame, rows: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return, bool, whether the pairs of these users and items are meant."""
        return self._evaluated(users[rows], _rows(self.items, items), len(rows))

    def _evaluated(self, users: pl.DataFrame, items: pl.DataFrame, height: int) -> np.ndarray:
        found = self.condition.holds(users, items, height)
        return ~found if self.negated else found


def _rows(frame: pl.DataFrame, rows: np.ndarray) -> pl.DataFrame:
    return frame[rows] if frame.width else frame  # a frame without columns has no rows


@dataclass(frozen=True)
class BoundCondition:
    """A condition bound to users and items.

    Attributes:
        users: the columns that it uses; offsets: where a user's row of `table` begins.
        table: its result for each user's and item's combination of values, bool; None: there are too many.
    """

    pairs: PairCondition
    users: pl.DataFrame
    offsets: np.ndarray
    table: np.ndarray | None

    def holds(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return, bool, whether each pair of a user and an item, by internal index, is meant."""
        if self.table is None:
            return self.pairs.of_pairs(self.users, users, items)
        return np.asarray(self.table[self.offsets[users] + self.pairs.codes.codes[items]])


@dataclass(frozen=True)
class PairSet:
    """A set of pairs.

    Attributes:
        keys: user * items + item of each pair, ascending, i64, where `items` is the number of items.
        everybody: bool an item: whether it is in the set with every user.
    """

    keys: np.ndarray
    everybody: np.ndarray

    def holds(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return, bool, whether each pair is in the set."""
        found = self.everybody[items]
        if len(self.keys) and len(users):
            wanted = users.astype(np.int64) * len(self.everybody) + items
            begin, end = np.searchsorted(self.keys, [wanted.min(), wanted.max() + 1])
            near = self.keys[min(begin, len(self.keys) - 1) : end + 1]  # of these users, and never empty
            places = np.searchsorted(near, wanted)
            found = found | (near[np.minimum(places, len(near) - 1)] == wanted)
        return np.asarray(found)


def pair_set(pairs: pl.DataFrame, everybody: np.ndarray) -> PairSet:
    """Return the pairs of a frame, user and item by internal index, and those of `everybody`, as a set."""
    keys = pairs["user"].to_numpy().astype(np.int64) * len(everybody) + pairs["item"].to_numpy()
    return PairSet(np.sort(keys), everybody)

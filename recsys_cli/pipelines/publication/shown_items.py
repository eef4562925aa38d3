"""What our own earlier lists have shown: the items that rest for a user by a rule of cooldown."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from recsys_cli.data_preparation.features.feature_tables import DAYS_AGO, DayFeatures, FeatureTables
from recsys_cli.data_preparation.features.partition import PAIRS
from recsys_cli.data_preparation.tables.ids import indices_of
from recsys_cli.pipelines.publication.manifest import PublicationManifest, ShownFacts
from recsys_cli.pipelines.publication.recommendations_file import manifest_in
from recsys_cli.pipelines.publication.shown_rows import (
    MOST_AGE,
    RESTING,
    RULE,
    Cooldown,
    ShownRows,
    pairs_of,
    with_age,
)
from recsys_cli.pipelines.workspace.layout import RECOMMENDATIONS
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import ITEM, ITEM_ID, USER, USER_ID
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.storage.atomic_writes import as_output_error, replacing
from recsys_cli.utils.storage.hashing import sha256_of_json
from recsys_cli.utils.storage.table_files import scan_parquet_file

_USERS: Final = 32_768  # whose rows are in memory at a time,
_ROWS: Final = 4_000_000  # unless these would be more than so many
_ROW_GROUP: Final = 131_072
_SECONDS_A_DAY: Final = 86_400


@dataclass(frozen=True)
class ShownList:
    """The published file of an earlier date, complete and over all users.

    Attributes:
        age: dates between its date and the day; days_ago: from the start of its date to the day's cut.
        length: rows of a user, at most.
        identity: of the file: another one when others are published.
    """

    day: ScoringDay
    file: Path
    sha256: str
    age: int
    days_ago: float
    length: int
    identity: tuple[int, int, int]


@dataclass(frozen=True)
class WrittenItems:
    """The items that rest, in a plain file that can be sent along: rule i8, user u32, item u32, times u32.

    Example:
        resting = shown.write(folder / "resting.parquet", features)
        resting.of_span(0, 32_768)  # rule, user, item, times; users from 0
    """

    file: Path

    def of_span(self, features: FeatureTables) -> pl.DataFrame:
        """Return the rows of these users, by their internal indices."""
        first, last = features.first, features.first + len(features.users)
        inside = scan_parquet_file(self.file).filter(pl.col(USER).is_between(first, last - 1))
        return inside.with_columns(pl.col(USER) - pl.lit(first, dtype=pl.UInt32)).collect()


@dataclass(frozen=True)
class CountedItems:
    """The items that rest, counted from the published lists whenever users are asked for."""

    shown: "ShownLists"
    features: DayFeatures

    def of_span(self, features: FeatureTables) -> pl.DataFrame:
        """Return the rows of these users, by their internal indices."""
        return self.shown.of_users(self.features, features.first, features.first + len(features.users))

    def write(self, file: Path) -> WrittenItems:
        """Write the same for all users, as `ShownLists.write` does."""
        return self.shown.write(file, self.features)


@dataclass(frozen=True)
class ShownLists:
    """The published lists that a day's rules of cooldown count."""

    cooldowns: tuple[Cooldown, ...]
    lists: tuple[ShownList, ...]

    @classmethod
    def read(cls, day: ScoringDay, cooldowns: Sequence[Cooldown]) -> "ShownLists":
        """Find the lists of the dates before a day that the rules count; each file is hashed.

        Dates without lists, or whose lists are not complete or not over all users, count as not shown.

        Raises: OutputError where a store does not answer.
        """
        most = min(max((one.days for one in cooldowns), default=0), (day.date - day.date.min).days)
        found = [_list_of(day, age) for age in range(most, 0, -1)]
        return cls(tuple(cooldowns), tuple(one for one in found if one is not None))

    @classmethod
    def again(cls, day: ScoringDay, cooldowns: Sequence[Cooldown], facts: ShownFacts) -> "ShownLists | str":
        """Return the lists that a published file has counted, or why they cannot be counted again.

        Raises: OutputError as `read`.
        """
        ages = {(day.date - one).days: sha256 for one, sha256 in sorted(facts.lists.items())}
        lists, others = [], []
        for age, sha256 in ages.items():
            found = _list_of(day, age) if 0 < age <= MOST_AGE else None
            if found is None or found.sha256 != sha256:
                others.append(str(day.date - timedelta(days=age)))
            else:
                lists.append(found)
        if others:
            return f"the lists of {', '.join(others)}, which were counted, are gone or were replaced"
        return cls(tuple(cooldowns), tuple(lists))

    @property
    def facts(self) -> ShownFacts:
        """The record of the lists that the manifest stores."""
        return ShownFacts(lists={one.day.date: one.sha256 for one in self.lists})

    @property
    def key(self) -> str:
        """A hash of the lists; empty where no rule counts them."""
        return sha256_of_json(self.facts.as_json()) if self.cooldowns else ""

    def of_users(self, features: DayFeatures, first: int = 0, last: int | None = None) -> pl.DataFrame:
        """Return what rests for users in [first, last): rule i8, user u32, item u32, times u32, by user.

        Their internal indices then start from 0.

        Args:
            last: None: all users; the memory taken is that of all their rows in the lists.
        """
        ids = features.user_ids.slice(first, None if last is None else last - first)
        if not self.lists or not self.cooldowns or ids.is_empty():
            return pl.DataFrame(schema=RESTING)
        rows = self._rows(features, ids, first)
        return pl.concat([rows.resting(one) for one in self.cooldowns]).sort([USER, ITEM, RULE])

    def _rows(self, features: DayFeatures, ids: pl.Series, first: int) -> ShownRows:
        item_ids = features.items[ITEM_ID]
        shown = np.concatenate([_shown(one, ids, item_ids) for one in self.lists])
        inside = pl.col(USER).is_between(first, first + len(ids) - 1)
        own = features.lazy(PAIRS).filter(inside).select(pl.col(USER) - first, ITEM, DAYS_AGO).collect()
        starts = np.full(MOST_AGE + 1, np.nan, dtype=np.float32)
        starts[[one.age for one in self.lists]] = [one.days_ago for one in self.lists]
        taken = own.sort(USER, ITEM)
        days_ago = taken[DAYS_AGO].to_numpy()
        return ShownRows(np.sort(shown), pairs_of(taken, len(item_ids)), days_ago, starts, len(item_ids))

    def write(self, file: Path, features: DayFeatures) -> WrittenItems:
        """Write what rests for all users; memory does not grow with users or dates.

        Raises: OutputError if it cannot be written; InputError where lists were replaced meanwhile.
        """
        empty = pl.DataFrame(schema=RESTING).to_arrow()
        with replacing(file) as written, as_output_error(file):
            with pq.ParquetWriter(written, empty.schema, compression="zstd") as writer:
                writer.write_table(empty)
                for first, last in self._spans(len(features.user_ids)):
                    rows = self.of_users(features, first, last)
                    rows = rows.with_columns(pl.col(USER) + pl.lit(first, dtype=pl.UInt32))
                    writer.write_table(rows.to_arrow().cast(empty.schema), row_group_size=_ROW_GROUP)
            self.check_unchanged()
        return WrittenItems(file)

    def _spans(self, users: int) -> Iterator[tuple[int, int]]:
        """Yield ranges of users whose rows in all lists fit in memory."""
        rows_of_user = max(1, sum(one.length for one in self.lists))
        size = max(1, min(_USERS, _ROWS // rows_of_user)) if self.lists else max(users, 1)
        return ((first, min(users, first + size)) for first in range(0, users, size))

    def check_unchanged(self) -> None:
        """Check that each list is still the file that was hashed.

        Raises: InputError.
        """
        for one in self.lists:
            if _identity(one.file) != one.identity:
                raise InputError(
                    "the lists that a cooldown counts were replaced while they were read",
                    where=str(one.file),
                    fix="run it again; nothing was published",
                )


def _list_of(day: ScoringDay, age: int) -> ShownList | None:
    """Return the lists published so many dates before a day; None where there are none that count."""
    earlier = ScoringDay(day.workspace, day.date - timedelta(days=age))
    folder = earlier.recommendations
    file = folder / RECOMMENDATIONS
    identity, manifest = _identity(file), manifest_in(folder)
    if manifest is None or identity is None or not _counts(manifest, earlier):
        return None
    days_ago = (day.cut - earlier.cut).total_seconds() / _SECONDS_A_DAY
    return ShownList(earlier, file, manifest.sha256, age, days_ago, manifest.top_k, identity)


def _counts(manifest: PublicationManifest, day: ScoringDay) -> bool:
    return manifest.day == day.date and manifest.all_users


def _identity(file: Path) -> tuple[int, int, int] | None:
    try:
        facts = os.stat(file)
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _shown(one: ShownList, ids: pl.Series, item_ids: pl.Series) -> np.ndarray:
    """Return the pairs of a list with its age, u64, as of `with_age`; unknown ids are left out.

    Args:
        ids: of the users, whose indices count from 0.
    """
    user = pl.col(USER_ID).cast(ids.dtype, strict=False)
    item = pl.col(ITEM_ID).cast(item_ids.dtype, strict=False)
    lowest, highest = pl.lit(ids.min(), dtype=ids.dtype), pl.lit(ids.max(), dtype=ids.dtype)
    rows = scan_parquet_file(one.file).select(user, item).filter(pl.col(USER_ID).is_between(lowest, highest))
    found = rows.collect()
    runs = found[USER_ID].rle().struct.unnest()  # a user's rows follow one another
    users = indices_of(runs["value"], ids).repeat_by(runs["len"]).explode()
    frame = pl.DataFrame([users.alias(USER), indices_of(found[ITEM_ID], item_ids).alias(ITEM)])
    return with_age(pairs_of(frame.drop_nulls(), len(item_ids)), one.age)

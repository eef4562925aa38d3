"""A day's features on disk, read for a range of users at a time, so that memory does not grow with users."""

from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path

import polars as pl

from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.utils.columns import USER, USER_ID
from recsys_cli.utils.storage.atomic_writes import as_system_error
from recsys_cli.utils.storage.table_files import read_parquet_file, scan_parquet_file

USERS, ITEMS, PAIRS, AFFINITY, EXTERNAL = TABLES = ("users", "items", "pairs", "affinity", "external")
_ROW_GROUP = 131_072  # rows that must be read for a single user


@dataclass(frozen=True)
class StoredFeatures:
    """The feature partition of one day; only the items table is held in memory.

    Attributes:
        day: the scoring day.
        user_features, item_features: names of the declared columns.
        with_external: whether there are external candidates.
    """

    folder: Path
    day: date
    user_features: tuple[str, ...]
    item_features: tuple[str, ...]
    with_external: bool

    @cached_property
    def items(self) -> pl.DataFrame:
        """One row per internal item index, as in `FeatureTables`."""
        return read_parquet_file(self._file(ITEMS))

    @cached_property
    def user_schema(self) -> pl.Schema:
        """The columns of the users table."""
        return scan_parquet_file(self._file(USERS)).collect_schema()

    @cached_property
    def user_ids(self) -> pl.Series:
        """External ids by internal user index."""
        return read_parquet_file(self._file(USERS), [USER_ID])[USER_ID]

    def lazy(self, table: str) -> pl.LazyFrame:
        """Return one of the tables as a lazy frame."""
        return scan_parquet_file(self._file(table))

    def span(self, first: int, last: int) -> FeatureTables:
        """Return the features of the users in [first, last); their internal indices then start from 0."""
        users = self.lazy(USERS).slice(first, last - first)
        own = [self._own(table, first, last) for table in (PAIRS, AFFINITY)]
        external = [self._own(EXTERNAL, first, last)] if self.with_external else []
        users_table, pairs, affinity, *more = pl.collect_all([users, *own, *external])
        names = self.user_features, self.item_features
        tables = users_table, self.items, pairs, affinity
        return FeatureTables(self.day, *names, *tables, external=more[0] if more else None, first=first)

    def _own(self, table: str, first: int, last: int) -> pl.LazyFrame:
        inside = self.lazy(table).filter(pl.col(USER).is_between(first, last - 1))
        return inside.with_columns(pl.col(USER) - pl.lit(first, dtype=pl.UInt32))

    def _file(self, table: str) -> Path:
        return self.folder / f"{table}.parquet"


def write_features(features: FeatureTables, folder: Path) -> list[str]:
    """Write the features' tables; return the names of the files.

    Raises: OSError if they cannot be written.
    """
    frames = {name: getattr(features, name) for name in TABLES}
    files = {f"{name}.parquet": frame for name, frame in frames.items() if frame is not None}
    for name, frame in files.items():
        with as_system_error(folder / name, pl.exceptions.ComputeError):
            frame.write_parquet(folder / name, row_group_size=_ROW_GROUP)
    return list(files)

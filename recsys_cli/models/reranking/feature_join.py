"""The ranker's frame: candidates joined with the day's features. Training and scoring share it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from scipy import sparse

from recsys_cli.data_preparation.features.day_features import category_values
from recsys_cli.data_preparation.features.definition import PairColumns
from recsys_cli.data_preparation.features.feature_tables import (
    ACTIVE_DAYS,
    DAYS_AGO,
    EVENTS,
    FEATURE,
    FIRST_DAYS_AGO,
    RECENCY,
    SHARE,
    STRENGTH,
    VALUE,
    DayFeatures,
    FeatureTables,
    days_ago_of_type,
    events_of_type,
    types_of,
)
from recsys_cli.models.candidates.merge import Candidates
from recsys_cli.models.candidates.protocol import Pairs
from recsys_cli.models.feature_encoding import Encoders, FeatureEncoder
from recsys_cli.models.kernels.pair_features import cells_of_history, differences, mean_shares
from recsys_cli.models.reranking.tree_ensemble import as_numbers
from recsys_cli.utils.columns import ITEM, USER, is_for_models

_GROUP_OF_HEAD = {
    "user": "users",
    "item": "items",
    "pair": "pairs",
    "affinity": "affinity",
    "contrast": "affinity",
}
_GROUP_OF_TAIL = {"rank": "ranks", "score": "scores", "norm": "norms"}  # of the sources


@dataclass(frozen=True)
class Affinity:
    """Users' preferences for the values of one item feature.

    Attributes:
        shares: (users, values) share of the user's events.
        values: (items, values), 1 if the item has the value.
    """

    shares: sparse.csr_matrix
    values: sparse.csr_matrix

    def of_pairs(self, users: np.ndarray, pairs: Pairs) -> np.ndarray:
        """Return, f32, the mean share over the item's values; NaN for items without a value."""
        shares, values = self.shares, self.values
        return np.asarray(
            mean_shares(
                (shares.indptr, shares.indices, shares.data),
                (values.indptr, values.indices),
                shares.shape[1],
                users,
                pairs.indptr,
                pairs.items,
            )
        )


@dataclass(frozen=True)
class PairHistory:
    """Features of each user's history with each of its items.

    Attributes:
        indptr, items: a user's items, ascending, as in a CSR matrix.
        columns: of each of these pairs, f32 by name.
    """

    indptr: np.ndarray
    items: np.ndarray
    columns: Mapping[str, np.ndarray]

    def of_pairs(self, users: np.ndarray, pairs: Pairs) -> dict[str, np.ndarray]:
        """Return the columns for other pairs, NaN where there is no history."""
        cells = cells_of_history(self.indptr, self.items, users, pairs.indptr, pairs.items)
        known = np.flatnonzero(cells >= 0)
        columns = {name: np.full(len(pairs), np.nan, dtype=np.float32) for name in self.columns}
        for name, values in self.columns.items():
            columns[name][known] = values[cells[known]]
        return columns


@dataclass(frozen=True)
class RankerTables:
    """One day's features in the ranker's own columns.

    Attributes:
        users: `user` and one column per user feature, one row per internal index; categories as codes.
        items: the same for items.
        pairs: history of the pairs; None if viewed items are never candidates.
        affinities: by the name of the item feature.
        contrasts: numeric item features that are compared with the user's mean.
        plugins: what other packages make of a pair's users and items.
    """

    users: pl.DataFrame
    items: pl.DataFrame
    pairs: PairHistory | None
    affinities: dict[str, Affinity]
    contrasts: tuple[str, ...]
    plugins: tuple[PairColumns, ...] = ()

    @cached_property
    def item_numbers(self) -> dict[str, np.ndarray]:
        """The columns of `items` by name, f32, NaN for null."""
        return as_numbers(self.items)

    @cached_property
    def user_numbers(self) -> dict[str, np.ndarray]:
        """The columns of `users` by name, f32, NaN for null."""
        return as_numbers(self.users)


@dataclass(frozen=True)
class ItemTables:
    """The tables of `RankerTables` that do not depend on users.

    Attributes:
        values: name of an item feature → its frequent values, of a wide one all; and (items, values), 1 if
            the item has it.
    """

    items: pl.DataFrame
    values: Mapping[str, tuple[pl.Series, sparse.csr_matrix]]
    contrasts: tuple[str, ...]
    plugins: tuple[PairColumns, ...] = ()

    def of_users(self, features: FeatureTables, encoders: Encoders, *, with_history: bool) -> RankerTables:
        """Return the columns of these users and of all items."""
        return RankerTables(
            users=_side(features.users, encoders.users, USER),
            items=self.items,
            pairs=_history(features) if with_history else None,
            affinities={
                name: Affinity(_shares(features, name, known), values)
                for name, (known, values) in self.values.items()
            },
            contrasts=self.contrasts,
            plugins=self.plugins,
        )


def item_tables(
    features: DayFeatures, encoders: Encoders, max_categories: int, plugins: tuple[PairColumns, ...] = ()
) -> ItemTables:
    """Turn the items of a day into the ranker's columns, with the vocabularies of the training."""
    names = [name for name in features.item_features if name in encoders.items.values]
    return ItemTables(
        items=_side(features.items, encoders.items, ITEM),
        values={
            name: _values(features.items, name, None if name in encoders.items.wide else max_categories)
            for name in names
        },
        contrasts=tuple(name for name in features.item_features if name in encoders.items.edges),
        plugins=plugins,
    )


def pair_columns(candidates: Candidates, tables: RankerTables) -> dict[str, np.ndarray]:
    """Return the features of pairs, f32 by name: the sources' scores and ranks, affinities, history."""
    users, pairs = candidates.users, candidates.pairs
    columns = dict(candidates.columns)
    for name in tables.contrasts:
        own, mean = tables.items[f"item_{name}"].to_numpy(), tables.users[f"user_mean_{name}"].to_numpy()
        columns[f"contrast_{name}"] = differences(mean[users], own, pairs.indptr, pairs.items)
    for name, affinity in tables.affinities.items():
        columns[f"affinity_{name}"] = affinity.of_pairs(users, pairs)
    if tables.pairs is not None:
        columns |= tables.pairs.of_pairs(users, pairs)
    if tables.plugins:
        sides = _Rows(tables.user_numbers, users[pairs.rows]), _Rows(tables.item_numbers, pairs.items)
        for made in (plugin(*sides) for plugin in tables.plugins):
            columns |= made
    return columns


class _Rows(Mapping[str, np.ndarray]):
    """Some rows of columns, taken when a column is asked for."""

    def __init__(self, columns: Mapping[str, np.ndarray], rows: np.ndarray) -> None:
        self._columns = columns
        self._rows = rows

    def __getitem__(self, name: str) -> np.ndarray:
        return np.asarray(self._columns[name][self._rows])

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


def join_features(candidates: Candidates, tables: RankerTables) -> pl.DataFrame:
    """Return user, item, sources and every feature of each candidate, in the order of the candidates."""
    keys = candidates.keys()
    joined = keys.join(tables.users, on=USER, how="left", validate="m:1", maintain_order="left").join(
        tables.items, on=ITEM, how="left", validate="m:1", maintain_order="left"
    )
    return joined.with_columns(
        pl.Series(name, values) for name, values in pair_columns(candidates, tables).items()
    )


def category_columns(encoders: Encoders) -> frozenset[str]:
    """Return the ranker's columns that hold codes of categories."""
    return frozenset(f"user_{name}" for name in encoders.users.values) | frozenset(
        f"item_{name}" for name in encoders.items.values
    )


def feature_group(column: str) -> str:
    """Return the group that a column of the ranker belongs to."""
    head, tail = column.split("_")[0], column.rsplit("_")[-1]
    return _GROUP_OF_HEAD.get(head) or _GROUP_OF_TAIL[tail]


def _side(entities: pl.DataFrame, encoder: FeatureEncoder, side: str) -> pl.DataFrame:
    declared = [name for name in encoder.names if not isinstance(entities.schema[name], pl.List)]
    columns = [
        encoder.category_codes(entities, name) if name in encoder.values else entities[name].cast(pl.Float32)
        for name in declared
    ]
    renamed = [column.rename(f"{side}_{name}") for name, column in zip(declared, columns, strict=True)]
    aggregates = [name for name in entities.columns if is_for_models(name) and name not in encoder.names]
    frame = pl.DataFrame([*renamed, *entities.select(aggregates).get_columns()])
    return frame.with_row_index(side)


def _history(features: FeatureTables) -> PairHistory:
    """Return the pairs' history: counts, intervals, and how it compares with all of the user's events."""
    users = features.users.select("user_active_days", "user_days_since_last").with_row_index(USER)
    last, days = pl.col("pair_days_since_last"), pl.col("pair_active_days")
    interval = (pl.col(FIRST_DAYS_AGO) - last) / (days - 1)
    columns = (
        features.pairs.join(users, on=USER, how="left", maintain_order="left")
        .with_columns(
            pl.col(EVENTS).cast(pl.Float32).alias("pair_events"),
            pl.col(ACTIVE_DAYS).cast(pl.Float32).alias("pair_active_days"),
            pl.col(DAYS_AGO).alias("pair_days_since_last"),
            pl.col(RECENCY).alias("pair_recency"),
        )
        .with_columns(pl.when(days > 1).then(interval).alias("pair_interval"))
        .select(
            "pair_events",
            "pair_active_days",
            "pair_days_since_last",
            "pair_recency",
            "pair_interval",
            (last / pl.col("pair_interval")).alias("pair_due"),
            (last - pl.col("user_days_since_last")).alias("pair_gap"),
            (days / pl.col("user_active_days")).alias("pair_share"),
        )
        .select(pl.all().cast(pl.Float32).fill_null(np.nan))
    )
    columns = columns.hstack(_history_by_type(features.pairs).get_columns())
    counts = np.bincount(features.pairs[USER].to_numpy(), minlength=len(features.users))
    return PairHistory(
        np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts, dtype=np.int64)]),
        features.pairs[ITEM].to_numpy(),
        {name: columns[name].to_numpy() for name in columns.columns},
    )


def _history_by_type(pairs: pl.DataFrame) -> pl.DataFrame:
    """Return the weight of each pair's events, and the number and age of those of each type, f32."""
    columns = [pl.col(STRENGTH).alias("pair_weight")] if STRENGTH in pairs.columns else []
    for name in types_of(pairs.schema):
        columns += [
            pl.col(events_of_type(name)).alias(f"pair_{name}_events"),
            pl.col(days_ago_of_type(name)).alias(f"pair_{name}_days_since_last"),
        ]
    return pairs.select(columns).select(pl.all().cast(pl.Float32).fill_null(np.nan))


def _values(
    items: pl.DataFrame, name: str, max_categories: int | None
) -> tuple[pl.Series, sparse.csr_matrix]:
    values = category_values(items, name, max_categories)
    known = values[VALUE].unique().sort()
    ones = np.ones(len(values), dtype=np.float32)
    return known, _matrix(values[ITEM], known, values[VALUE], ones, len(items))


def _shares(features: FeatureTables, name: str, known: pl.Series) -> sparse.csr_matrix:
    shares = features.affinity.filter((pl.col(FEATURE) == name) & pl.col(VALUE).is_in(known.to_list()))
    return _matrix(shares[USER], known, shares[VALUE], shares[SHARE].to_numpy(), len(features.users))


def _matrix(
    rows: pl.Series, known: pl.Series, values: pl.Series, cells: np.ndarray, height: int
) -> sparse.csr_matrix:
    columns = values.cast(pl.Enum(known)).to_physical().to_numpy()
    return sparse.csr_matrix(
        (cells, (rows.to_numpy(), columns)), shape=(height, len(known)), dtype=np.float32
    )

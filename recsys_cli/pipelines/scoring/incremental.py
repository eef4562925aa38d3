"""Incremental scoring: reuse an earlier day's lists for users whose inputs have not changed."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import polars as pl

from recsys_cli.data_preparation.features.feature_tables import (
    ACTIVE_DAYS,
    EVENTS,
    FEATURE,
    SHARE,
    STRENGTH,
    VALUE,
    FeatureTables,
    events_of_type,
    types_of,
)
from recsys_cli.data_preparation.features.partition import USERS, StoredFeatures
from recsys_cli.data_preparation.tables.ids import indices_of
from recsys_cli.pipelines.publication.list_columns import ListColumns
from recsys_cli.pipelines.publication.manifest import ReuseFacts, ReuseSample, ScoringTerms
from recsys_cli.pipelines.publication.recommendations_file import published_manifest
from recsys_cli.pipelines.scoring.batches import BatchFigures, RankedBatch
from recsys_cli.pipelines.scoring.local_engine import SPAN
from recsys_cli.pipelines.scoring.reused_rules import ReusedRules
from recsys_cli.pipelines.workspace.feature_store import stored_partition
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import ELIGIBLE, ITEM, ITEM_ID, RANK, SCORE, SOURCES, USER, USER_ID
from recsys_cli.utils.errors import InputError, UsageError
from recsys_cli.utils.storage.table_files import scan_parquet_file

_SAMPLE = 1_000  # users whose reused lists are compared with a full run's
_DIGITS = 5  # of a number that is the same
_LISTS = (USER, ITEM, RANK, SCORE, SOURCES)
_COUNTED = r"^user_(events|active_days|items|repeat_share)$"
_STEADY = r"^user_(events|active_days|items|repeat_share|mean_.*)$"  # changed by events, not by days


@dataclass(frozen=True)
class EarlierLists:
    """The published lists of an earlier day, and the features that they come from.

    Attributes:
        sha256: of the file; content_hash: of the features.
    """

    day: ScoringDay
    file: Path
    sha256: str
    content_hash: str
    features: StoredFeatures


@dataclass(frozen=True)
class ReusedLists:
    """Lists that a day reuses, and the users of that day who are ranked again instead.

    Attributes:
        changed: internal indices on the day, ascending.
        columns: of the day's file, where there are rules; None: there are none.
    """

    lists: EarlierLists
    features: StoredFeatures
    changed: np.ndarray
    columns: ListColumns | None = None

    def facts(self) -> ReuseFacts:
        """Return the record of the reuse that the day's file stores."""
        ranked = len(self.changed)
        reused = len(self.features.user_ids) - ranked
        return ReuseFacts(day=self.lists.day.date, sha256=self.lists.sha256, ranked=ranked, reused=reused)

    def sample(self) -> np.ndarray:
        """Return some of the users whose lists are reused, spread over them."""
        reused = np.ones(len(self.features.user_ids), dtype=bool)
        reused[self.changed] = False
        users = np.flatnonzero(reused).astype(np.uint32)
        spread = np.linspace(0, len(users) - 1, min(len(users), _SAMPLE)).astype(int)
        return users[np.unique(spread)] if len(users) else users

    def top(self, first: int, last: int) -> pl.DataFrame:
        """Return the reused lists of the users from `first` up to `last`, as a batch has them."""
        ids = self.features.user_ids.slice(first, last - first)
        changed = self.changed[(self.changed >= first) & (self.changed < last)]
        unchanged = np.setdiff1d(np.arange(first, last, dtype=np.uint32), changed)
        rows = self._indexed(_rows(self.lists.file, ids), unchanged).sort(USER, RANK)
        more = [] if self.columns is None else self.columns.codes(rows.columns)
        return rows.select(*_LISTS, *more)

    def merged(self, ranked: Iterator[RankedBatch], first: int) -> Iterator[RankedBatch]:
        """Yield the lists of all users from `first` on: those that `ranked` yields, and the reused ones.

        Args:
            ranked: the changed users from `first` on; a batch of it lies within a span.
        """
        waiting = self.changed[self.changed >= first]
        for batch in ranked:
            mine, waiting = waiting[: batch.figures.users], waiting[batch.figures.users :]
            for start, end in _pieces(first, int(mine[0]) // SPAN * SPAN):
                yield self._batch(start, end)
                first = end
            yield self._batch(first, int(mine[-1]) + 1, batch)
            first = int(mine[-1]) + 1
        for start, end in _pieces(first, len(self.features.user_ids)):
            yield self._batch(start, end)

    def compared(self, ranked: Iterator[RankedBatch], users: np.ndarray) -> ReuseSample:
        """Compare the reused lists of users with those that ranking gives them now."""
        if users.size == 0:
            return ReuseSample(users=0, differing=0.0, overlap=1.0)
        now = _orders(pl.concat([batch.top for batch in ranked]))
        ids = self.features.user_ids.gather(users)
        rows = scan_parquet_file(self.lists.file).filter(pl.col(USER_ID).is_in(ids.implode())).collect()
        then = _orders(self._indexed(rows, users))
        numbered = pl.DataFrame({USER: users})
        both = numbered.join(now, on=USER, how="left").join(then, on=USER, how="left", suffix="_then")
        mine, theirs = pl.col(ITEM).fill_null([]), pl.col(f"{ITEM}_then").fill_null([])
        longer = pl.max_horizontal(mine.list.len(), theirs.list.len())
        shared = (
            pl.when(longer > 0).then(mine.list.set_intersection(theirs).list.len() / longer).otherwise(1.0)
        )
        differing, overlap = both.select((mine != theirs).mean(), shared.mean().alias("overlap")).row(0)
        return ReuseSample(users=len(users), differing=round(differing, 4), overlap=round(overlap, 4))

    def _indexed(self, rows: pl.DataFrame, users: np.ndarray) -> pl.DataFrame:
        """Return a file's rows of these users with the day's internal indices; unknown items are left out."""
        places = indices_of(rows[USER_ID], self.features.user_ids.gather(users))
        items = indices_of(rows[ITEM_ID], self.features.items[ITEM_ID])
        indices = pl.Series(USER, users, dtype=pl.UInt32).gather(places), items.alias(ITEM)
        return rows.with_columns(*indices).drop_nulls([USER, ITEM])

    def _batch(self, first: int, last: int, ranked: RankedBatch | None = None) -> RankedBatch:
        reused = self.top(first, last)
        tops = [reused] + ([] if ranked is None else [ranked.top.select(reused.columns)])
        warm = self.features.lazy(USERS).slice(first, last - first).select((pl.col("user_items") > 0).sum())
        figures = BatchFigures(users=0, warm=0, candidates=0, example=first, fitness=0, index_recall=None)
        counts = {"users": last - first, "warm": int(warm.collect().item())}
        figures = (figures if ranked is None else ranked.figures).model_copy(update=counts)
        return RankedBatch(figures, pl.concat(tops).sort(USER, RANK))


def earlier_lists(since: ScoringDay, terms: ScoringTerms, rules: str) -> EarlierLists | str:
    """Return the published lists of an earlier day, or why none of them can be reused.

    Args:
        terms: how the lists are asked for; those of the earlier day must be the same.
        rules: a hash of what comes behind the ranker; empty: nothing does.

    Raises: UsageError where nothing is published for the day.
    """
    manifest = published_manifest(since)
    if manifest is None and since.file.exists():
        raise UsageError(
            f"the lists of {since} are damaged or not complete",
            where="--changed-since",
            fix=f"`recsys verify {since}` shows why, and with --repair repairs what it can",
        )
    if manifest is None:
        raise UsageError(
            f"nothing is published for {since}",
            where="--changed-since",
            fix=f"run `recsys score --date {since}` first, or name a day of `recsys runs list`",
        )
    names = ScoringTerms.model_fields
    others = [name for name in names if getattr(manifest, name) != getattr(terms, name)]
    if others:
        return f"the run of {since} had another {', '.join(others)}"
    if (manifest.lists.key if manifest.lists else "") != rules:
        return f"the run of {since} had other rules or campaigns, or others of them hold now"
    partition = stored_partition(since, manifest.features_content_hash)
    if partition is None:
        return f"the features of {since} are gone"
    return EarlierLists(since, since.file, manifest.sha256, partition.content_hash, partition.features)


def check_same_lists(lists: EarlierLists) -> None:
    """Stop where the earlier day's lists or features are no longer those that were opened.

    Raises: InputError.
    """
    now = published_manifest(lists.day)
    if now is None or now.sha256 != lists.sha256 or stored_partition(lists.day, lists.content_hash) is None:
        raise InputError(
            "the lists that are reused, or their features, were replaced while they were read",
            where=str(lists.file),
            fix="run it again; nothing was published",
        )


def changed_users(today: StoredFeatures, lists: EarlierLists, rules: ReusedRules | None = None) -> np.ndarray:
    """Return the users whose inputs have changed, as ascending internal indices of today.

    Their events, declared features, external candidates or cold status have changed, or their list holds an
    item that may no longer be recommended, or other rules hold for them or for an item of their list. Values
    that change only because days pass, such as the days since an event, do not count. Memory does not grow
    with the users.

    Args:
        rules: those of both days; None: there are none.
    """
    before, eligible = lists.features, today.items.filter(ELIGIBLE).select(ITEM_ID)
    found = []
    for first, last in _pieces(0, len(today.user_ids)):
        ids = today.user_ids.slice(first, last - first)
        start, end = _range_of(ids, before.user_ids)
        now, then, rows = today.span(first, last), before.span(start, end), _rows(lists.file, ids)
        gone = rows.join(eligible, on=ITEM_ID, how="anti")[USER_ID]
        by_rules = [] if rules is None else [rules.differing(then, now, rows)]
        own = [_differing(*pair) for pair in zip(_own(now), _own(then), strict=True)]
        changed = reduce(pl.Series.append, [*own, *by_rules], gone.clone())
        found.append(first + ids.is_in(changed.implode()).arg_true().to_numpy())
    return np.concatenate([np.zeros(0, dtype=int), *found]).astype(np.uint32)


def _pieces(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield the users from `first` up to `last`, those of a span at a time."""
    while first < last:
        end = min(last, (first // SPAN + 1) * SPAN)
        yield first, end
        first = end


def _range_of(ids: pl.Series, among: pl.Series) -> tuple[int, int]:
    """Return the range of `among` that can hold the ids; both are sorted."""
    return int(among.search_sorted(ids[0], "left")), int(among.search_sorted(ids[-1], "right"))


def _rows(file: Path, ids: pl.Series) -> pl.DataFrame:
    """Return the rows of the users from the first to the last of sorted ids."""
    inside = pl.col(USER_ID).is_between(pl.lit(ids[0]), pl.lit(ids[-1]))
    return scan_parquet_file(file).filter(inside).collect()


def _own(features: FeatureTables) -> list[pl.DataFrame]:
    """Return the users' inputs that do not change as days pass, by external ids."""
    ids = features.users.select(USER_ID).with_row_index(USER)
    items = features.items.select(ITEM_ID).with_row_index(ITEM)
    pairs = features.pairs.join(ids, on=USER).join(items, on=ITEM)
    by_weight = STRENGTH in pairs.columns  # which may fall every day, and shares and means with it
    steady = features.users.select(pl.col(_COUNTED if by_weight else _STEADY))
    shares = [] if by_weight else [SHARE]
    of_types = [events_of_type(name) for name in types_of(pairs.schema)]
    tables = [
        features.users.select(USER_ID, *features.user_features).hstack(steady.get_columns()),
        pairs.select(USER_ID, ITEM_ID, EVENTS, ACTIVE_DAYS, "^seen$", *of_types),
        features.affinity.join(ids, on=USER).select(USER_ID, FEATURE, VALUE, *shares),
    ]
    if features.external is not None:
        external = features.external.join(ids, on=USER).join(items, on=ITEM)
        tables.append(external.select(USER_ID, ITEM_ID, SCORE))
    return [_comparable(table) for table in tables]


def _comparable(table: pl.DataFrame) -> pl.DataFrame:
    lists = pl.selectors.list()
    return table.with_columns(
        pl.selectors.float().round_sig_figs(_DIGITS), lists.cast(pl.List(pl.String)).list.join("\0")
    )


def _differing(one: pl.DataFrame, other: pl.DataFrame) -> pl.Series:
    """Return the users with a row that the other table does not have."""
    sides = [(one, other), (other, one)]
    rows = [
        mine.join(theirs, on=one.columns, how="anti", nulls_equal=True)[USER_ID] for mine, theirs in sides
    ]
    return pl.concat(rows)


def _orders(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.sort(USER, RANK).group_by(USER, maintain_order=True).agg(ITEM)

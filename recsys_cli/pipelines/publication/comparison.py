"""How two files of recommendations differ, a range of users at a time: memory does not grow with them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from recsys_cli.utils.columns import ITEM_ID, RANK, USER_ID
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.storage.table_files import scan_parquet_file

OVERLAP, RBO = "overlap", "rbo"
PERSISTENCE = 0.9  # of rank-biased overlap: the first ten places have 86 % of the weight
_USERS = 100_000  # that are compared at a time
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_BINS = 1_000  # in which the overlaps are counted: a quantile is exact to a thousandth


@dataclass
class ListChanges:
    """What differs between the lists of two files, added up over ranges of users.

    Attributes:
        users: who have a list in both; only_a, only_b: in one alone; unchanged: of `users`, who have the same
            items in the same order.
        sums: of overlap and rank-biased overlap over `users`; bins: how many users have each, in thousandths.
        items: lists that hold each item: item_id, a, b.
        most_changed: the users with the smallest rank-biased overlap: user_id, overlap, rbo.
    """

    most: int
    users: int = 0
    only_a: int = 0
    only_b: int = 0
    unchanged: int = 0
    sums: dict[str, float] = field(default_factory=lambda: {OVERLAP: 0.0, RBO: 0.0})
    bins: dict[str, np.ndarray] = field(
        default_factory=lambda: {name: np.zeros(_BINS + 1, dtype=np.int64) for name in (OVERLAP, RBO)}
    )
    items: pl.DataFrame | None = None
    most_changed: pl.DataFrame | None = None

    def add(self, a: pl.DataFrame, b: pl.DataFrame) -> None:
        """Add the lists of some users: all rows that both files have of them."""
        both = compared_lists(a, b)
        self.users += len(both)
        self.only_a += a[USER_ID].n_unique() - len(both)
        self.only_b += b[USER_ID].n_unique() - len(both)
        changed = both.filter((pl.col(OVERLAP) < 1) | (pl.col(RBO) < 1 - 1e-9))  # else in the same order
        self.unchanged += len(both) - len(changed)
        for name, bins in self.bins.items():
            self.sums[name] += float(both[name].sum())
            numbers = (both[name].to_numpy() * _BINS).round().astype(np.int64).clip(0, _BINS)
            bins += np.bincount(numbers, minlength=_BINS + 1)
        self.items = _added(self.items, _item_counts(a, b))
        known = changed if self.most_changed is None else pl.concat([self.most_changed, changed])
        self.most_changed = known.sort(RBO, OVERLAP, USER_ID).head(self.most)

    def mean(self, name: str) -> float | None:
        """Return the mean of `OVERLAP` or `RBO`; None where nobody has a list in both."""
        return self.sums[name] / self.users if self.users else None

    def quantiles(self, name: str) -> dict[str, float]:
        """Return quantiles of `OVERLAP` or `RBO` over the users, to a thousandth."""
        if not self.users:
            return {}
        reached = np.cumsum(self.bins[name]) / self.users
        return {f"p{100 * share:.0f}": int(np.argmax(reached >= share)) / _BINS for share in _QUANTILES}


def changes_between(a: Path, b: Path, most: int) -> ListChanges:
    """Compare two files of recommendations, sorted by user.

    Args:
        most: users and items that are named.

    Raises: InputError where their ids are of other types.
    """
    scans = _lists(a), _lists(b)
    kinds = [_kinds(file, scan) for file, scan in zip((a, b), scans, strict=True)]
    if kinds[0] != kinds[1]:
        types = "; ".join(
            f"{file}: {kind[USER_ID]} and {kind[ITEM_ID]}" for file, kind in zip((a, b), kinds, strict=True)
        )
        raise InputError(
            f"the ids of users and items are of other types: {types}",
            where="recsys diff",
            fix="compare files of the same tables",
        )
    changes = ListChanges(most)
    for users in _ranges(scans):
        changes.add(*pl.collect_all([scan.filter(users) for scan in scans]))
    return changes


def compared_lists(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    """Return user_id, overlap and rbo, a row a user who has a list in both.

    Overlap is the share of the longer list's places whose item the other one has, too. Rank-biased overlap is
    extrapolated, for lists of unequal length as well, with persistence 0.9.

    Source: Webber, Moffat, Zobel (2010), A Similarity Measure for Indefinite Rankings, equation 32.
    """
    lengths = _lengths(a).join(_lengths(b), on=USER_ID, suffix="_b", maintain_order="left")
    long, short = (
        lengths.select(side("length", "length_b")).to_series().to_numpy()
        for side in (pl.max_horizontal, pl.min_horizontal)
    )
    tails = _tails(int(long.max(initial=0)))
    users, depths = _common(a, b, lengths)
    agreed = tails[long[users]] - tails[depths - 1]
    both, in_short, agreements = (
        np.bincount(users, weights, minlength=len(lengths))
        for weights in (None, depths <= short[users], agreed)
    )
    rbo = _rank_biased(_Agreement(both, in_short, long, short, agreements), tails)
    return lengths.select(USER_ID).with_columns(pl.Series(OVERLAP, both / long), pl.Series(RBO, rbo))


def mean_shared_items(one: Path, other: Path, users: pl.Series) -> float | None:
    """Return the mean share of the shorter of a user's two lists that is in both, in [0, 1].

    Unlike the overlap of `compared_lists`, a share of the longer list, it does not fall where lists grow.

    Args:
        users: external ids of the users who are looked at.

    Returns: None where none of them has a list in both, or the ids are of other types.
    """
    mine, theirs = _lists_of(one, users), _lists_of(other, users)
    if mine.schema != theirs.schema:
        return None
    both = mine.join(theirs, on=[USER_ID, ITEM_ID], how="semi").group_by(USER_ID).agg(both=pl.len())
    lengths = _lengths(mine).join(_lengths(theirs), on=USER_ID, suffix="_other")
    shares = lengths.join(both, on=USER_ID, how="left").select(
        pl.col("both").fill_null(0) / pl.min_horizontal("length", "length_other")
    )
    return None if shares.is_empty() else float(shares.to_series().mean())  # type: ignore[arg-type]


def _lists_of(file: Path, users: pl.Series) -> pl.DataFrame:
    rows = scan_parquet_file(file).select(USER_ID, ITEM_ID)
    if rows.collect_schema()[USER_ID] != users.dtype:
        return rows.clear().collect()
    return rows.filter(pl.col(USER_ID).is_in(users.implode())).collect(engine="streaming")


def _common(a: pl.DataFrame, b: pl.DataFrame, users: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return, of each item in both lists of a user, the user's row and the lower one of its two places."""
    places = users.select(USER_ID).with_row_index("user")
    items = pl.concat([a[ITEM_ID], b[ITEM_ID]]).unique().to_frame().with_row_index("item")

    def keyed(lists: pl.DataFrame) -> pl.DataFrame:
        """Combine user and item into one number: a join on it is much faster than a join on both."""
        found = lists.join(places, on=USER_ID, maintain_order="left").join(
            items, on=ITEM_ID, maintain_order="left"
        )
        return found.select(RANK, key=pl.col("user").cast(pl.UInt64) * 2**32 + pl.col("item"))

    common = keyed(a).join(keyed(b), on="key", suffix="_b", maintain_order="left")
    depths = common.select(pl.max_horizontal(RANK, f"{RANK}_b").cast(pl.Int64)).to_series()
    return (common["key"] // 2**32).cast(pl.Int64).to_numpy(), depths.to_numpy()


@dataclass(frozen=True)
class _Agreement:
    """A value a user each, by the names of the paper's equation.

    Attributes:
        x_l, x_s: items in common down to the depths `l` and `s`, the lengths of the longer and shorter list.
        agreed: the sum over all depths d of p^d times the agreement down to d.
    """

    x_l: np.ndarray
    x_s: np.ndarray
    l: np.ndarray
    s: np.ndarray
    agreed: np.ndarray


def _rank_biased(found: _Agreement, tails: np.ndarray) -> np.ndarray:
    """Return the extrapolated rank-biased overlap of each user."""
    p, x_l, x_s, l, s = PERSISTENCE, found.x_l, found.x_s, found.l, found.s
    beyond = p * (p**s - p**l) / (1 - p) - s * (tails[l] - tails[s])  # sum of (1 - s / d) p^d, s < d <= l
    rbo = (1 - p) / p * (found.agreed + x_s / s * beyond) + ((x_l - x_s) / l + x_s / s) * p**l
    return np.asarray(rbo.round(12))  # so that a list has exactly 1 with itself


def _tails(places: int) -> np.ndarray:
    """Return, for each depth from 0 on, the sum of p^d / d up to it."""
    depths = np.arange(1, places + 1)
    return np.concatenate([[0.0], np.cumsum(PERSISTENCE**depths / depths)])


def _lists(file: Path) -> pl.LazyFrame:
    return scan_parquet_file(file).select(USER_ID, ITEM_ID, RANK)


def _kinds(file: Path, scan: pl.LazyFrame) -> pl.Schema:
    try:
        return scan.collect_schema()
    except pl.exceptions.ColumnNotFoundError as error:
        raise InputError(
            f"it is no file of recommendations: no column {error.args[0].split()[0]}",
            where=str(file),
            fix="name a file that `recsys score` has written",
        ) from None


def _ranges(scans: tuple[pl.LazyFrame, pl.LazyFrame]) -> Iterator[pl.Expr]:
    """Yield filters by ranges of user ids, each with so many users of the longer file."""
    users = max((_users(scan) for scan in scans), key=len)
    ends = users.gather_every(_USERS)[1:]
    for begin, end in zip([None, *ends], [*ends, None], strict=True):
        above = pl.lit(True) if begin is None else pl.col(USER_ID) >= begin
        yield above if end is None else above & (pl.col(USER_ID) < end)


def _users(scan: pl.LazyFrame) -> pl.Series:
    first = scan.filter(pl.col(RANK) == 1).select(USER_ID)
    return first.collect(engine="streaming")[USER_ID].sort()


def _lengths(lists: pl.DataFrame) -> pl.DataFrame:
    return lists.group_by(USER_ID, maintain_order=True).agg(length=pl.len().cast(pl.Int64))


def _item_counts(a: pl.DataFrame, b: pl.DataFrame) -> pl.DataFrame:
    counts = [
        frame.group_by(ITEM_ID).agg(pl.len().cast(pl.Int64).alias(name))
        for name, frame in (("a", a), ("b", b))
    ]
    return counts[0].join(counts[1], on=ITEM_ID, how="full", coalesce=True).fill_null(0)


def _added(before: pl.DataFrame | None, more: pl.DataFrame) -> pl.DataFrame:
    if before is None:
        return more
    return pl.concat([before, more]).group_by(ITEM_ID).agg(pl.col("a", "b").sum())

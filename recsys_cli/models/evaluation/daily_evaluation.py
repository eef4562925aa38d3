"""Judging lists: every source alone, a blend of them and the two stages on the same users and days."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys_cli.data_preparation.features.day_features import FeatureTables
from recsys_cli.models.candidates.sources.content import item_vectors
from recsys_cli.models.evaluation.metrics import (
    PER_USER,
    catalogue_coverage,
    intra_list_diversity,
    mean_inv_user_freq,
    user_metrics,
)
from recsys_cli.models.reranking.ranker import Ranker
from recsys_cli.models.two_stage import ServingDay, rank_users
from recsys_cli.utils.columns import ELIGIBLE, ITEM, RANK, USER
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.parallel import mapped
from recsys_cli.utils.progress import Progress, silent

TWO_STAGES = "two stages"
BLEND = "blend"
SEGMENT = "segment"
COLD = "cold"
COVERAGE = "CatalogCoverage"
NOVELTY = "MeanInvUserFreq"
DIVERSITY = "IntraListDiversity"
_RRF = 60.0  # of reciprocal rank fusion, as Cormack, Clarke and Büttcher (2009) have it
_ACTIVITY = ((1, "1 to 4 items"), (5, "5 to 19 items"), (20, "20 or more items"))


@dataclass(frozen=True)
class Budget:
    """Where relevant pairs of warm users are lost: counts of (user, item) pairs.

    Attributes:
        relevant: pairs that the users took.
        proposed: those among the candidates: no ranker finds more.
        listed: those in the first k places of the two stages.
        listable: those that the best order of the candidates would bring into the first k places.
        by_source: name → relevant pairs that it proposes, and those that it alone proposes.
    """

    relevant: int
    proposed: int
    listed: int
    listable: int
    by_source: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class Verdict:
    """The judgement of one day.

    Attributes:
        by_user: contestant → a row a user of the truth with `segment` and the measures at k.
        variety: contestant → measures of all its lists together.
    """

    by_user: Mapping[str, pl.DataFrame]
    variety: Mapping[str, Mapping[str, float]]
    budget: Budget


def judge_day(
    day: ServingDay,
    features: FeatureTables,
    ranker: Ranker,
    truth: pl.DataFrame,
    *,
    k: int,
    shortlist: int,
    chunk_users: int,
    threads: int,
    progress: Progress = silent,
) -> Verdict:
    """Rank for the users of the truth by the scoring path and measure each contestant's lists.

    Args:
        truth: distinct user, item of the days that follow, by internal index.

    Raises: InputError if nobody who had an event before the day took anything.
    """
    names = [generator.name for generator in day.generators]
    users = truth[USER].unique().sort().to_numpy()
    segments = _segments(features, users)
    warm = _warm(segments, features)
    bound = ranker.on(day.tables.items)

    def ranked_of(chunk: np.ndarray) -> _RankedUsers:
        ranked = rank_users(chunk, day, bound, shortlist).ranks()
        return _RankedUsers(_lists(ranked, names, k), _found(ranked, truth, names))

    parts = list(mapped(ranked_of, _chunks(users, chunk_users, progress), threads))
    lists = {name: pl.concat(part.lists[name] for part in parts) for name in parts[0].lists}
    vectors, catalogue = item_vectors(features), int(features.items[ELIGIBLE].sum())
    had = features.lazy("pairs")
    everybody = int(had.select(pl.col(USER).n_unique()).collect().item())
    owners = had.group_by(ITEM).agg(pl.len().alias("users")).collect()
    return Verdict(
        by_user={
            name: user_metrics(frame, truth, k).join(segments, on=USER, how="left", maintain_order="left")
            for name, frame in lists.items()
        },
        variety={
            name: {
                COVERAGE: catalogue_coverage(frame, k, catalogue),
                NOVELTY: mean_inv_user_freq(frame, owners, everybody, k),
                DIVERSITY: intra_list_diversity(frame, vectors, k),
            }
            for name, frame in lists.items()
        },
        budget=_budget(
            pl.concat(part.found for part in parts), truth.join(warm, on=USER, how="semi"), names, k
        ),
    )


@dataclass(frozen=True)
class _RankedUsers:
    """What is kept of the candidates of a chunk of users.

    Attributes:
        lists: contestant → user, item, rank of the first k places.
        found: user, rank and NAME_rank of the candidates that the users took.
    """

    lists: Mapping[str, pl.DataFrame]
    found: pl.DataFrame


def _lists(ranked: pl.DataFrame, names: list[str], k: int) -> dict[str, pl.DataFrame]:
    lists = {name: _listed(ranked, f"{name}_rank", k) for name in names}
    return lists | {BLEND: _blended(ranked, names, k), TWO_STAGES: _listed(ranked, RANK, k)}


def _found(ranked: pl.DataFrame, truth: pl.DataFrame, names: list[str]) -> pl.DataFrame:
    taken = ranked.join(truth, on=[USER, ITEM], how="semi")
    return taken.select(USER, ITEM, RANK, *(f"{name}_rank" for name in names))


def measures_of(by_user: pl.DataFrame) -> dict[str, float]:
    """Return the mean of each measure over the users."""
    return {name: float(by_user.select(pl.col(name).mean()).item()) for name in PER_USER}


def popularity_names(by_user: Mapping[str, pl.DataFrame]) -> list[str]:
    """Return the contestants that are recent popularity."""
    return [name for name in by_user if name.startswith("popular_")]


def _chunks(users: np.ndarray, size: int, progress: Progress) -> Iterator[np.ndarray]:
    for start in range(0, len(users), size):
        progress(start, len(users))
        yield users[start : start + size]
    progress(len(users), len(users))


def _listed(ranked: pl.DataFrame, rank: str, k: int) -> pl.DataFrame:
    """Return user, item, rank of the first k places; NaN, no place, is larger than any k."""
    return ranked.filter(pl.col(rank) <= k).select(USER, ITEM, pl.col(rank).cast(pl.UInt16).alias(RANK))


def _blended(ranked: pl.DataFrame, names: list[str], k: int) -> pl.DataFrame:
    """Return the lists of reciprocal rank fusion over all sources."""
    fused = pl.sum_horizontal((1 / (_RRF + pl.col(f"{name}_rank"))).fill_nan(0.0) for name in names)
    ordered = ranked.with_columns(fused.alias("fused")).sort(
        USER, "fused", ITEM, descending=[False, True, False]
    )
    return _listed(ordered.with_columns(pl.int_range(1, pl.len() + 1).over(USER).alias(RANK)), RANK, k)


def _segments(features: FeatureTables, users: np.ndarray) -> pl.DataFrame:
    """Return user and segment: cold, or how many items the user had before the day."""
    items = features.users["user_items"].gather(users)
    label = pl.lit(COLD)
    for least, name in _ACTIVITY:
        label = pl.when(pl.col("items") >= least).then(pl.lit(name)).otherwise(label)
    frame = pl.DataFrame({USER: pl.Series(users, dtype=pl.UInt32), "items": items})
    return frame.select(USER, label.alias(SEGMENT))


def _warm(segments: pl.DataFrame, features: FeatureTables) -> pl.DataFrame:
    warm = segments.filter(pl.col(SEGMENT) != COLD)
    if warm.is_empty():
        raise InputError(
            f"no user known before {features.day} has a relevant event in the days from it on",
            where="ranker.label_days, ranker.label_windows",
            fix="give another --date, deliver more history, or lengthen the label windows",
        )
    return warm


def _budget(found: pl.DataFrame, truth: pl.DataFrame, names: list[str], k: int) -> Budget:
    found = found.join(truth, on=[USER, ITEM], how="semi")
    proposed = {name: pl.col(f"{name}_rank").is_not_nan() for name in names}
    counts = found.select(
        pl.sum_horizontal(proposed.values()).alias("sources"),
        *(one.alias(name) for name, one in proposed.items()),
    )
    by_source = {
        name: (int(counts[name].sum()), int((counts[name] & (counts["sources"] == 1)).sum()))
        for name in names
    }
    per_user = found.group_by(USER).len()["len"]
    return Budget(
        relevant=len(truth),
        proposed=len(found),
        listed=int((found[RANK] <= k).sum()),
        listable=int(per_user.clip(upper_bound=k).sum()),
        by_source=by_source,
    )

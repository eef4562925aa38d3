"""Figures of a published file as a whole: how often its items stand in lists, how its scores spread."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from recsys_cli.utils.columns import ITEM_ID, SCORE
from recsys_cli.utils.storage.table_files import read_parquet_file, scan_parquet_file

_SHARES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
_BINS = 24
_WIDE = 30.0  # from this ratio of the largest to the smallest score on, the bins grow by a factor


@dataclass(frozen=True)
class ScoreHistogram:
    """Shares of the scores between edges, of these lists and of those before."""

    scale: str
    edges: list[float]
    shares: list[float]
    shares_before: list[float] | None


@dataclass(frozen=True)
class CurvePoint:
    """A share of the items that may be recommended, the most frequent first, and that of their rows."""

    items: float
    rows: float


def item_counts(file: Path) -> pl.DataFrame:
    """Return item_id and lists, how many hold it; the most frequent first, then by id."""
    counts = scan_parquet_file(file).group_by(ITEM_ID).agg(lists=pl.len().cast(pl.Int64))
    return counts.collect(engine="streaming").sort("lists", ITEM_ID, descending=[True, False])


def popularity_curve(counts: pl.DataFrame, catalogue: int) -> list[CurvePoint]:
    """Return points: a share of the catalogue, the most frequent items first, and the share of rows it has.

    Args:
        counts: as `item_counts` returns them.
        catalogue: items that may be recommended; those in no list are the last ones.
    """
    lists = counts["lists"].to_numpy()
    total = max(int(lists.sum()), 1)
    reached = np.concatenate([[0], np.cumsum(lists)])
    places = [min(round(share * max(catalogue, len(lists))), len(lists)) for share in _SHARES]
    return [
        CurvePoint(share, float(reached[place] / total)) for share, place in zip(_SHARES, places, strict=True)
    ]


def read_scores(file: Path) -> pl.Series:
    """Return the scores of all rows."""
    return read_parquet_file(file, [SCORE])[SCORE]


def score_histogram(now: pl.Series, before: pl.Series | None) -> ScoreHistogram:
    """Return edges, and the shares of the scores between them, of these lists and of those before."""
    if now.is_empty():
        return ScoreHistogram("linear", [], [], None)
    both = [one.to_numpy() for one in (now, before) if one is not None and len(one)]
    least, most = float(min(one.min() for one in both)), float(max(one.max() for one in both))
    scale = "log" if least > 0 and most / least > _WIDE else "linear"
    if scale == "log":
        edges = np.geomspace(least, most, _BINS + 1)
    else:
        edges = np.linspace(least, most if most > least else least + 1.0, _BINS + 1)
    edges[0], edges[-1] = min(edges[0], least), max(edges[-1], most)
    shares = [(np.histogram(one, edges)[0] / len(one)).tolist() for one in both]
    others = shares[1] if len(both) > 1 else None
    return ScoreHistogram(scale, edges.tolist(), shares[0], others)

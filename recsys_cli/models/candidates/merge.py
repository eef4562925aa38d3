"""All sources in one frame: a row a (user, item), each source's rank and scores beside it."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from recsys_cli.models.candidates.protocol import CandidateGenerator, ChunkScores, Proposals, UserChunk
from recsys_cli.utils.columns import ITEM, SOURCES, USER

_CELLS = 4_194_304  # of (users, items) that are mapped at a time


def propose_candidates(chunk: UserChunk, generators: Sequence[CandidateGenerator]) -> pl.DataFrame:
    """Return user, item, sources and, f32 for each source, NAME_rank, NAME_score and NAME_norm.

    NAME_rank is NaN where the source did not propose the item. Every source scores every pair that it can,
    whoever proposed it; NAME_norm is the score in proportion to the user's best one. Sorted by user and item.
    """
    told = [generator.score(chunk) for generator in generators]
    keys, places = _merged([scores.proposals for scores in told], len(chunk), chunk.viewed.shape[1])
    rows, items = np.divmod(keys, chunk.viewed.shape[1])
    columns: dict[str, np.ndarray] = {}
    sources = np.zeros(len(keys), dtype=np.int64)
    for bit, (generator, scores) in enumerate(zip(generators, told, strict=True)):
        sources[places[bit]] |= 1 << bit
        ranks = np.full(len(keys), np.nan, dtype=np.float32)
        ranks[places[bit]] = scores.proposals.ranks
        values = scores.of_pairs(rows, items)
        columns[f"{generator.name}_rank"] = ranks
        columns[f"{generator.name}_score"] = values
        columns[f"{generator.name}_norm"] = _normalised(generator, scores, values, rows, len(chunk))
    frame = pl.DataFrame({USER: chunk.users[rows], ITEM: items.astype(np.uint32), **columns})
    return frame.with_columns(_sources_text(sources, generators))


def source_counts(top: pl.DataFrame, generators: Sequence[CandidateGenerator]) -> dict[str, int]:
    """Return how many rows each source proposed; a row may have several."""
    named = top[SOURCES].value_counts().with_columns(pl.col(SOURCES).str.split(",")).explode(SOURCES)
    rows = dict(named.group_by(SOURCES).agg(pl.col("count").sum()).iter_rows())
    return {generator.name: rows.get(generator.name, 0) for generator in generators}


def _merged(proposals: Sequence[Proposals], users: int, width: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return the distinct row x width + item of all proposals, ascending, and each one's places among them.

    A map of all cells of some users at a time finds both without a sort or a search.
    """
    size = max(1, _CELLS // max(width, 1))
    keys: list[np.ndarray] = []
    places: list[list[np.ndarray]] = [[] for _ in proposals]
    known = 0
    for start in range(0, users, size):
        cells = [_cells(one, start, size, width) for one in proposals]
        taken = np.zeros(min(size, users - start) * width, dtype=bool)
        for own in cells:
            taken[own] = True
        found = np.flatnonzero(taken)
        place = np.empty(len(taken), dtype=np.int64)
        place[found] = np.arange(known, known + len(found))
        for own, before in zip(cells, places, strict=True):
            before.append(place[own])
        keys.append(found + start * width)
        known += len(found)
    nothing = np.empty(0, dtype=np.int64)
    return np.concatenate([nothing, *keys]), [np.concatenate([nothing, *parts]) for parts in places]


def _cells(proposals: Proposals, start: int, size: int, width: int) -> np.ndarray:
    """Return the cells, counted from `start`, that a source proposes for `size` users from there on."""
    part = slice(*np.searchsorted(proposals.rows, (start, start + size)))
    return np.asarray((proposals.rows[part] - start) * width + proposals.items[part])


def _normalised(
    generator: CandidateGenerator, scores: ChunkScores, values: np.ndarray, rows: np.ndarray, users: int
) -> np.ndarray:
    """Return the scores on a scale where the user's best proposal has 1 and the floor 0."""
    proposals = scores.proposals
    best, floor = np.full(users, np.nan, dtype=np.float32), np.zeros(users, dtype=np.float32)
    first = proposals.ranks == 1
    best[proposals.rows[first]] = scores.of_pairs(proposals.rows[first], proposals.items[first])
    if generator.floor_is_last and len(proposals.rows):
        last = np.flatnonzero(np.append(np.diff(proposals.rows) > 0, True))
        floor[proposals.rows[last]] = scores.of_pairs(proposals.rows[last], proposals.items[last])
    span = best - floor
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((values - floor[rows]) / np.where(span > 0, span, np.nan)[rows], dtype=np.float32)


def _sources_text(sources: np.ndarray, generators: Sequence[CandidateGenerator]) -> pl.Series:
    """Return the names of the sources that proposed each row, as text: "lightfm,popular_14d"."""
    present = np.flatnonzero(np.bincount(sources))
    places = np.zeros(int(present.max(initial=0)) + 1, dtype=np.int64)
    places[present] = np.arange(len(present))
    texts = [
        ",".join(generator.name for bit, generator in enumerate(generators) if mask >> bit & 1)
        for mask in present.tolist()
    ]
    return pl.Series(SOURCES, texts, dtype=pl.String).gather(places[sources])

"""One row per (user, item) that any source proposes, with each source's rank and scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys_cli.models.candidates.protocol import CandidateGenerator, CandidateRules, Pairs, UserChunk
from recsys_cli.models.kernels.candidate_merge import merge_lists, normalised, ranks_of
from recsys_cli.utils.columns import ITEM, SOURCES, USER

NO_SOURCE = "rules"  # of a candidate that no source proposes
_OFFERED = np.int64(1 << 62)  # a bit that no source has


@dataclass(frozen=True)
class Candidates:
    """The distinct proposals of all sources for the users of a chunk, by user and item, ascending.

    Attributes:
        users: internal indices, u32.
        pairs: their candidates.
        sources: of each pair, the sources that proposed it as bits, i64, in the order of `names`.
        columns: NAME_rank, NAME_score and NAME_norm of each source, f32, a value a pair. NAME_rank is NaN
            where the source did not propose the item. Every source scores every pair that it can, whoever
            proposed it; NAME_norm is the score in proportion to the user's best one.
        marks: the rules that each pair meets, u64, a bit each; None where there are no rules.
    """

    users: np.ndarray
    pairs: Pairs
    sources: np.ndarray
    columns: Mapping[str, np.ndarray]
    names: tuple[str, ...]
    marks: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.pairs)

    def keys(self, rows: np.ndarray | None = None) -> pl.DataFrame:
        """Return user, item and, as text, sources of all pairs or of those in `rows`."""
        users, items, sources = self.users[self.pairs.rows], self.pairs.items, self.sources
        if rows is not None:
            users, items, sources = users[rows], items[rows], sources[rows]
        return pl.DataFrame(
            {USER: users, ITEM: items.astype(np.uint32), SOURCES: sources_text(sources, self.names)}
        )

    def some(self, rows: np.ndarray) -> "Candidates":
        """Return only the pairs in `rows`, ascending positions of pairs, with their columns."""
        counts = np.bincount(self.pairs.rows[rows], minlength=len(self.users))
        indptr = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts, dtype=np.int64)])
        columns = {name: values[rows] for name, values in self.columns.items()}
        marks = None if self.marks is None else self.marks[rows]
        return Candidates(
            self.users, Pairs(indptr, self.pairs.items[rows]), self.sources[rows], columns, self.names, marks
        )

    def frame(self) -> pl.DataFrame:
        """Return all pairs with all columns."""
        return self.keys().with_columns(pl.Series(name, values) for name, values in self.columns.items())


def propose_candidates(
    chunk: UserChunk, generators: Sequence[CandidateGenerator], rules: CandidateRules | None = None
) -> Candidates:
    """Ask every source for its candidates and scores, and merge them.

    Args:
        rules: add candidates that no source proposes, and mark which rules each pair meets; the features of
            pairs do not depend on them.
    """
    scored = [generator.score(chunk) for generator in generators]
    offers = [] if rules is None else [rules.offers(chunk)]
    lists = np.concatenate([*(scores.lists for scores in scored), *offers], axis=1)
    widths = [scores.lists.shape[1] for scores in scored]
    bits = _bits_of_cells(widths, lists.shape[1])
    merged = merge_lists(lists, bits, chunk.size)
    marks = None
    if rules is not None:
        pairs = Pairs(*merged[:2])
        marks = rules.marks(chunk.users, pairs)
        extra = rules.extra(chunk, pairs, marks)
        if extra.size:
            lists = np.concatenate([lists, extra], axis=1)
            merged = merge_lists(lists, np.append(bits, np.zeros(extra.shape[1], np.int64)), chunk.size)
            marks = _with_marks_of_extra(chunk.users, Pairs(*merged[:2]), merged[2] == 0, marks, rules)
    indptr, items, sources, places = merged
    pairs, sources = Pairs(indptr, items), sources & ~_OFFERED
    columns: dict[str, np.ndarray] = {}
    for generator, scores, end in zip(generators, scored, np.cumsum(widths), strict=True):
        own = places[:, end - scores.lists.shape[1] : end]
        values = scores.of_pairs(pairs)
        columns[f"{generator.name}_rank"] = ranks_of(own, len(items))
        columns[f"{generator.name}_score"] = values
        columns[f"{generator.name}_norm"] = normalised(values, indptr, own, generator.floor_is_last)
    return Candidates(chunk.users, pairs, sources, columns, tuple(one.name for one in generators), marks)


def _bits_of_cells(widths: Sequence[int], count: int) -> np.ndarray:
    """Return the bit of each of so many columns of lists, i64; those behind the sources' are offered."""
    bits = np.full(count, _OFFERED, dtype=np.int64)
    bits[: sum(widths)] = np.repeat(1 << np.arange(len(widths), dtype=np.int64), widths)
    return bits


def _with_marks_of_extra(
    users: np.ndarray, pairs: Pairs, is_extra: np.ndarray, marks: np.ndarray, rules: CandidateRules
) -> np.ndarray:
    """Return the marks of pairs among which are those of `marks`, in the same order, and extra ones."""
    found = np.empty(len(pairs), dtype=np.uint64)
    found[~is_extra] = marks
    counts = np.bincount(pairs.rows[is_extra], minlength=len(users))
    indptr = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts, dtype=np.int64)])
    found[is_extra] = rules.marks(users, Pairs(indptr, pairs.items[is_extra]))
    return found


def sources_text(sources: np.ndarray, names: Sequence[str]) -> pl.Series:
    """Return the names of the sources that proposed each row: "lightfm,popular_14d"; "rules" for none."""
    masks, places = np.unique(sources, return_inverse=True)
    texts = [
        ",".join(name for bit, name in enumerate(names) if mask >> bit & 1) or NO_SOURCE
        for mask in masks.tolist()
    ]
    return pl.Series(SOURCES, texts, dtype=pl.String).gather(places)

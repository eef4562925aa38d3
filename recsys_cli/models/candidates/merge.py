"""All sources in one frame: a row a (user, item), each source's rank and score beside it."""

from collections.abc import Sequence
from functools import reduce

import polars as pl

from recsys_cli.models.candidates.protocol import CandidateGenerator, UserChunk
from recsys_cli.utils.columns import ITEM, RANK, SCORE, SOURCES, USER


def propose_candidates(chunk: UserChunk, generators: Sequence[CandidateGenerator]) -> pl.DataFrame:
    """Return user, item and, for each source, NAME_rank u16 (null: not proposed) and NAME_score f32.

    Every source scores every pair that it can, whoever proposed it. Sorted by user and item.
    """
    proposals = [_named(generator.propose(chunk), generator.name) for generator in generators]
    merged = reduce(
        lambda left, right: left.join(right, on=[USER, ITEM], how="full", coalesce=True, validate="1:1"),
        proposals,
    ).sort(USER, ITEM)
    return merged.with_columns(_all_scores(merged, generator) for generator in generators)


def sources_text(generators: Sequence[CandidateGenerator]) -> pl.Expr:
    """Return the names of the sources that proposed the row, as text: "lightfm,popular"."""
    names = [pl.when(pl.col(f"{g.name}_rank").is_not_null()).then(pl.lit(g.name)) for g in generators]
    return pl.concat_str(names, separator=",", ignore_nulls=True).alias(SOURCES)


def source_counts(top: pl.DataFrame, generators: Sequence[CandidateGenerator]) -> dict[str, int]:
    """Return how many rows each source proposed; a row may have several."""
    named = top[SOURCES].str.split(",").explode().value_counts()
    rows = dict(named.iter_rows())
    return {generator.name: rows.get(generator.name, 0) for generator in generators}


def _named(proposals: pl.DataFrame, source: str) -> pl.DataFrame:
    return proposals.rename({SCORE: f"{source}_score", RANK: f"{source}_rank"})


def _all_scores(merged: pl.DataFrame, generator: CandidateGenerator) -> pl.Series:
    scores = merged[f"{generator.name}_score"]
    missing = merged.filter(scores.is_null())
    filled = generator.score_pairs(missing[USER].to_numpy(), missing[ITEM].to_numpy())
    return scores.scatter(scores.is_null().arg_true(), filled) if len(missing) else scores

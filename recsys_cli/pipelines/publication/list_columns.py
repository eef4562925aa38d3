"""Columns of the recommendations file beside those that it always has: what gave each item its place."""

from collections.abc import Collection
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from recsys_cli.models.postprocessing.rule_tables import NO_RULE, PlacedBy
from recsys_cli.utils.columns import PLACED_BY, PROPENSITY, RULE

OPTIONAL = {RULE: pa.string(), PLACED_BY: pa.string(), PROPENSITY: pa.float32()}
_PLACED_BY = {int(origin): origin.name.lower() for origin in PlacedBy}


@dataclass(frozen=True)
class ListColumns:
    """The columns that a file has beside the usual ones, in the order of `OPTIONAL`.

    Attributes:
        names: of the columns; rules: names of the rules, by number.
    """

    names: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()

    def fields(self) -> list[pa.Field]:
        """Return their fields in the file; only a propensity may be null."""
        return [
            pa.field(name, kind, nullable=name == PROPENSITY)
            for name, kind in OPTIONAL.items()
            if name in self.names
        ]

    def codes(self, present: Collection[str]) -> list[pl.Expr]:
        """Return the codes that batches have, from the texts of a file; none where it lacks the column.

        Args:
            present: the columns of the file.
        """
        numbers = {"": NO_RULE, **{name: number for number, name in enumerate(self.rules)}}
        origins = {text: code for code, text in _PLACED_BY.items()}
        rule = pl.col(RULE).replace_strict(numbers, default=NO_RULE, return_dtype=pl.Int8)
        placed_by = pl.col(PLACED_BY).replace_strict(origins, return_dtype=pl.UInt8)
        codes = [
            rule if RULE in present else pl.lit(NO_RULE, dtype=pl.Int8).alias(RULE),
            placed_by if PLACED_BY in present else pl.lit(0, dtype=pl.UInt8).alias(PLACED_BY),
        ]
        return [*codes, pl.col(PROPENSITY)] if PROPENSITY in present else codes

    def expressions(self) -> list[pl.Expr]:
        """Return their values, from the codes that batches have."""
        texts = {
            RULE: pl.col(RULE).replace_strict(
                {NO_RULE: "", **dict(enumerate(self.rules))}, return_dtype=pl.String
            ),
            PLACED_BY: pl.col(PLACED_BY).replace_strict(_PLACED_BY, return_dtype=pl.String),
            PROPENSITY: pl.col(PROPENSITY),
        }
        return [texts[name] for name in OPTIONAL if name in self.names]

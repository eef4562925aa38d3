"""Columns of the recommendations file beside those that it always has: what gave each item its place."""

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

"""Columns of the recommendations file beside those that it always has: what gave each item its place."""

from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from recsys_cli.models.postprocessing.rule_tables import NO_RULE, Origin
from recsys_cli.utils.columns import ORIGIN, PROPENSITY, RULE

OPTIONAL = {RULE: pa.string(), ORIGIN: pa.string(), PROPENSITY: pa.float32()}
_ORIGINS = {int(origin): origin.name.lower() for origin in Origin}


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
            ORIGIN: pl.col(ORIGIN).replace_strict(_ORIGINS, return_dtype=pl.String),
            PROPENSITY: pl.col(PROPENSITY),
        }
        return [texts[name] for name in OPTIONAL if name in self.names]

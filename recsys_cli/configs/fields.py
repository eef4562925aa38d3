"""What the sections of the settings are made of."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from recsys_cli.utils.columns import LONGEST_LIST

Share = Annotated[float, Field(gt=0.0, lt=1.0)]
Bound = Annotated[float, Field(ge=0.0, le=1.0)]  # of a share
ListLength = Annotated[int, Field(ge=1, le=LONGEST_LIST)]
Days = Annotated[int, Field(ge=1, le=36_500)]  # a century
SHORTEST_HALF_LIFE, LONGEST_HALF_LIFE = 0.1, 1_000_000.0  # days; beyond them numbers become 0 or all alike
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]  # as the libraries take it


class Section(BaseModel):
    """A frozen part of the settings; `Field(description=…)` is its documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)

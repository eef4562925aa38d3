"""The settings of the input gates: how far a delivery may be from the ones before it."""

from typing import Annotated

from pydantic import Field

from recsys_cli.configs.fields import Bound, Section

Least = Annotated[float, Field(ge=0.0, le=1.0)]  # of what is usual; 0: no bound
Most = Annotated[float, Field(ge=1.0, le=1e6)]  # of what is usual


class InputGatesSettings(Section):
    """Bounds of the inputs' figures, most of them relative to those of the last runs."""

    from_events: int = Field(
        1_000,
        ge=0,
        le=2**31 - 1,
        description="inputs with fewer events, now and in the last runs, are compared with nothing",
    )
    min_events: Least = Field(
        0.8,
        description="events, users and items with events of the time that the last runs saw, too, as a share "
        "of what these counted",
    )
    max_events: Most = Field(1.25, description="the most of the same")
    min_same_events: Bound = Field(
        0.6, description="share of the same events, by user, item and time, in the days that the last run saw"
    )
    min_week: Least = Field(
        0.6,
        description="events a day of the newest week, as a share of those of the eight weeks before; less "
        "where these differ more from each other",
    )
    max_week: Most = Field(2.0, description="the most of the same; more where these differ more")
    min_type: Least = Field(
        0.2, description="a type's share of the newest week's events, as a part of its usual share"
    )
    min_items: Least = Field(
        0.7, description="items, and items that may be recommended, as a share of what the last runs had"
    )
    max_items: Most = Field(1.5, description="the most of the same")
    max_repeats: Bound = Field(
        0.5, description="share of events that are there more than once, also of the newest week"
    )
    max_user_share: Bound = Field(
        0.25, description="one user's share of all events, and of the newest week's; from 100 users on"
    )
    max_item_share: Bound = Field(0.5, description="one item's share of the same; from 100 items on")
    max_share_rise: Bound = Field(
        0.1,
        description="rise of a share above the last runs': repeated events, unknown ids, nulls of a feature, "
        "one user's or item's events",
    )
    max_scale: Most = Field(
        1.5,
        description="all values of a numeric feature, or a type's weights, as a multiple of the last runs': "
        "another currency or unit",
    )

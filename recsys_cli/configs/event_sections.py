"""The settings of the types of events: what each type counts for."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from recsys_cli.configs.fields import LONGEST_HALF_LIFE, SHORTEST_HALF_LIFE, Section

TypeName = Annotated[str, StringConstraints(min_length=1, max_length=64)]
MOST_TYPES = 100
_MOST_DAYS = 36_500  # a century


class EventTypeSettings(Section):
    """One type of event, by its value in the source: a view, a cart, a purchase, a return."""

    weight: float = Field(
        1.0, ge=0.0, le=1e6, description="how much an event counts; times the events' own weight"
    )
    label: bool = Field(True, description="whether lists are to predict it: labels and every evaluation")
    seen: bool = Field(True, description="whether scoring.filter_viewed leaves its item out of the lists")
    seen_days: int = Field(
        0, ge=0, le=_MOST_DAYS, description="the item may come again after so many days; 0: never"
    )
    half_life_days: float = Field(
        0.0,
        ge=0.0,
        le=LONGEST_HALF_LIFE,
        description="an event's weight is halved every so many days before the date; 0: it stays",
    )
    cap_per_day: int = Field(
        0, ge=0, le=1_000_000, description="the first so many of a user, an item and a day count; 0: all"
    )
    cancels: str = Field(
        "", description="the type whose latest event of the same user and item it takes back, before it"
    )
    ignore: bool = Field(False, description="its events are left out, as by a row filter")

    @property
    def counts(self) -> bool:
        """Whether its events are events, not left out and not the end of others."""
        return not (self.ignore or self.cancels)

    @property
    def shows_again(self) -> bool:
        """Whether an item with such an event may be in a list, at once or later."""
        return not self.seen or self.seen_days > 0

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if 0.0 < self.half_life_days < SHORTEST_HALF_LIFE:
            raise ValueError(f"half_life_days must be 0, for no decay, or at least {SHORTEST_HALF_LIFE}")
        if self.ignore and self.cancels:
            raise ValueError("a type that cancels another cannot be ignored: leave out one of both")
        if self.counts and self.label and not self.weight:
            raise ValueError("a label needs a weight above 0: set label = false, or raise the weight")
        return self


class EventMeaning(Section):
    """What events count for, as a model keeps it: empty where all events are alike.

    Attributes:
        types: those that are not ignored, by name in the order of the alphabet.
        event_type, weight: columns or SQL expressions of the source; empty: none.
    """

    types: dict[TypeName, EventTypeSettings] = Field({}, max_length=MOST_TYPES)
    event_type: str = ""
    weight: str = ""

    @property
    def shows_again(self) -> bool:
        """Whether a list may hold an item that the user has had an event with."""
        return any(one.shows_again for one in self.types.values() if one.counts)

    def differences(self, trained: "EventMeaning") -> list[str]:
        """Return, a line each, how this differs from what a model was trained with."""
        now, then = self.values(), trained.values()
        return [
            f"{key}: trained with {_shown(then.get(key))}; now {_shown(now.get(key))}"
            for key in dict.fromkeys([*then, *now])
            if now.get(key) != then.get(key)
        ]

    def values(self) -> dict[str, Any]:
        """Return what is set, by dotted key."""
        columns = {"event_type": self.event_type, "weight": self.weight}
        values: dict[str, Any] = {
            f"data.interactions.columns.{key}": value for key, value in columns.items() if value
        }
        for name, one in self.types.items():
            values |= {f"data.events.{name}.{key}": value for key, value in one.model_dump().items()}
        return values


def _shown(value: Any) -> str:
    return "nothing" if value is None else repr(value)


def event_meaning(types: Mapping[str, EventTypeSettings], columns: Mapping[str, str]) -> EventMeaning:
    """Return what events count for: nothing that would differ from events that are all alike is left out."""
    used = {name: types[name] for name in sorted(types) if not types[name].ignore}
    weight = columns.get("weight", "")
    if not used or (not weight and list(used.values()) == [EventTypeSettings()]):
        return EventMeaning()
    return EventMeaning(types=used, event_type=columns.get("event_type", ""), weight=weight)


def contradictions(types: Mapping[str, EventTypeSettings], columns: Mapping[str, str]) -> Iterator[str]:
    """Yield what does not fit together among the types of events."""
    counting = [name for name, one in types.items() if one.counts]
    if types and not any(types[name].label for name in counting):
        yield "data.events: no type is a label: lists need at least one to predict; set label = true for it"
    if len(types) > 1 and not columns.get("event_type"):
        yield (
            "data.events: there are several types, but data.interactions.columns names no event_type: "
            "set it to the column that holds them"
        )
    for name, one in types.items():
        if one.cancels and one.cancels not in counting:
            others = ", ".join(counting) or "there is none"
            key = f"data.events.{name}.cancels = {one.cancels!r}"
            yield f"{key}: no such type that counts; choose one of: {others}"

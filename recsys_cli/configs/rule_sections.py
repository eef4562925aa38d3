"""One rule of the lists: for whom, for which items and when it holds, and the one thing that it does."""

from collections.abc import Callable, Mapping
from datetime import date
from typing import Annotated, Any, Final, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    PrivateAttr,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from recsys_cli.configs.fields import (
    ListLength,
    Section,
    Share,
    SqlExpressionText,
    SqlText,
    refuse_patterns,
)

MOST_RULES: Final = 64
SAME_NAME: Final = "same_name"  # the type of this error; its context has the rule's number
ACTIONS: Final = (
    *("block", "require", "boost", "bury", "pin"),
    *("limit", "at_least", "cooldown", "one_of", "quota"),
)
_LONGEST_NAME: Final = 80
_MOST_LISTS: Final = 2**31 - 1
_OF_ITEMS: Final = frozenset({"boost", "bury", "at_least"})  # would change nothing if they meant all items


def _a_name(name: str) -> str:
    if not 1 <= len(name) <= _LONGEST_NAME:
        raise ValueError(f"a name has 1 to {_LONGEST_NAME} characters, not {len(name)}")
    if not name.isprintable() or name != name.strip():
        raise ValueError("a name has printable characters alone, and no space at its ends")
    if "," in name:
        raise ValueError("a name must not contain a comma: names are listed with commas between them")
    return name


def _a_column(name: str) -> str:
    refuse_patterns([name])
    return name


def _no_number(value: Any) -> Any:
    if isinstance(value, int | float):
        raise ValueError("must be a date such as 2026-11-23")
    return value


def _lists_or_column(value: Any) -> int | str:
    if isinstance(value, str) and value:
        return _a_column(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_LISTS:
        return value
    raise ValueError(
        f"must be a whole number from 0 to {_MOST_LISTS:,}, or the name of a column of the items"
    )


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, Mapping) else value


RuleName = Annotated[str, AfterValidator(_a_name)]
ColumnName = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_a_column)]
RuleDate = Annotated[date, BeforeValidator(_no_number)]
WholeShare = Annotated[float, Field(gt=0.0, le=1.0)]
ListsOrColumn = Annotated[int | str, PlainValidator(_lists_or_column)]


class _Written(Section):
    """A section that is shown and recorded as it was written: without what it leaves out."""

    model_config = ConfigDict(serialize_by_alias=True)

    @model_serializer(mode="wrap")
    def _as_written(self, values_of: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
        values = values_of(self).items()
        return {name: value for name, value in values if value is not None and value not in ("", (), [])}


class PinAction(_Written):
    places: tuple[ListLength, ...] = Field(
        (), max_length=1_000, description="places of the list, counted from 1"
    )
    share: WholeShare | None = Field(None, description="share of the list's places, evenly spaced")
    campaign: str = Field(
        "",
        max_length=4_096,
        description="a table of what is pinned: item_id and, optionally, user_id, from, until",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.places) == (self.share is not None):
            raise ValueError("needs either places, such as [1, 3], or share, such as 0.2")
        if len(set(self.places)) < len(self.places):
            raise ValueError("names a place twice")
        return self


class LimitAction(_Written):
    by: ColumnName | None = Field(
        None, description="column of the items; left out: all items of the rule count"
    )
    at_most: ListLength = Field(description="items of a list with the same value")


class CooldownAction(_Written):
    times: int = Field(ge=1, le=366, description="lists that showed the item before it rests")
    days: int = Field(ge=1, le=366, description="days before the date whose published lists count")


class QuotaAction(_Written):
    by: ColumnName | None = Field(None, description="column of the items; left out: each item")
    at_most_lists: ListsOrColumn | None = Field(None, description="rows of all lists: a number or a column")
    at_most_share: WholeShare | None = Field(None, description="rows of all lists, as a share of the users")
    at_least_share: WholeShare | None = Field(None, description="rows of all lists, as a share of the users")

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        bounds = (self.at_most_lists, self.at_most_share, self.at_least_share)
        if all(bound is None for bound in bounds):
            raise ValueError("needs a bound: at_most_lists, at_most_share or at_least_share")
        if self.by is not None and isinstance(self.at_most_lists, str):
            raise ValueError(
                "at_most_lists names a column, whose values are those of each item: leave out by"
            )
        least, most = self.at_least_share, self.at_most_share
        if least is not None and most is not None and least > most:
            raise ValueError(f"at_least_share = {least} is more than at_most_share = {most}")
        return self


class Rule(_Written):
    """A rule of the lists; exactly one of `ACTIONS` is set."""

    name: RuleName
    when: SqlText = Field("", description="SQL condition on users' columns; empty: every user")
    items: SqlText = Field("", description="SQL condition on items' columns; empty: every item")
    from_: RuleDate | None = Field(None, alias="from", description="first day on which it holds")
    until: RuleDate | None = Field(None, description="last day on which it holds")
    block: bool | None = Field(None, description="true: the items are not in the users' lists")
    require: SqlExpressionText | None = Field(
        None, description="SQL condition that the user and each item of the list meet"
    )
    boost: float | None = Field(None, gt=1.0, le=1e6, description="factor on the items' probability")
    bury: Share | None = Field(None, description="factor on the items' probability")
    pin: PinAction | None = None
    limit: (
        Annotated[tuple[LimitAction, ...], BeforeValidator(_as_list), Field(min_length=1, max_length=16)]
        | None
    ) = None
    at_least: ListLength | None = Field(None, description="items of each list that are among the items")
    cooldown: CooldownAction | None = None
    one_of: ColumnName | None = Field(None, description="column of the items: one item a value")
    quota: QuotaAction | None = None
    _origin: str = PrivateAttr("")

    @property
    def origin(self) -> str:
        """Where it is written, such as `settings/rules.toml, line 7`; empty: in no settings."""
        return self._origin

    def written_in(self, origin: str) -> Self:
        """Return the rule with its origin."""
        rule = self.model_copy()
        setattr(rule, "_origin", origin)
        return rule

    def __eq__(self, other: object) -> bool:
        """Compare what is written, not where."""
        return isinstance(other, Rule) and self.__dict__ == other.__dict__

    @property
    def action(self) -> str:
        """The name of what it does, one of `ACTIONS`."""
        return next(name for name in ACTIONS if getattr(self, name) is not None)

    def holds_on(self, day: date) -> bool:
        """Return whether the day lies within its dates."""
        return (self.from_ is None or self.from_ <= day) and (self.until is None or day <= self.until)

    @model_validator(mode="after")
    def _one_action(self) -> Self:
        given = [name for name in ACTIONS if getattr(self, name) is not None]
        if not given:
            raise ValueError(f"has no action: add one of {', '.join(ACTIONS)}")
        if len(given) > 1:
            raise ValueError(f"has {len(given)} actions, {' and '.join(given)}: make a rule of each")
        if self.block is False:
            raise ValueError("block = false does nothing: write block = true or remove the rule")
        return self

    @model_validator(mode="after")
    def _dates_in_order(self) -> Self:
        if self.from_ is not None and self.until is not None and self.until < self.from_:
            raise ValueError(f"until = {self.until} is before from = {self.from_}: it never holds")
        return self

    @model_validator(mode="after")
    def _has_its_items(self) -> Self:
        if self.items:
            return self
        if self.block and not self.when:
            raise ValueError("blocks every item for every user: say which by items or when")
        if set(self.model_fields_set) & _OF_ITEMS:
            raise ValueError(f"{self.action} needs items: which items are meant")
        if self.pin is not None and not self.pin.campaign:
            raise ValueError("pin needs items or a campaign: which items are meant")
        if self.limit is not None and any(one.by is None for one in self.limit):
            raise ValueError("limit needs by or items: which items are counted together")
        return self


def unique_names(rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Return the rules as they are. Raises: ValueError for two of the same name, or too many."""
    if len(rules) > MOST_RULES:
        raise ValueError(f"there are {len(rules)} rules; {MOST_RULES} are allowed")
    known: dict[str, int] = {}
    for number, rule in enumerate(rules, 1):
        if rule.name in known:
            raise PydanticCustomError(
                SAME_NAME,
                "has the name of rule {first}: give each a name of its own",
                {"first": known[rule.name], "number": number},
            )
        known[rule.name] = number
    return rules

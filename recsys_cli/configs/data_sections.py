"""The settings of the input tables and of external candidates."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from recsys_cli.configs.event_sections import (
    MOST_TYPES,
    EventMeaning,
    EventTypeSettings,
    TypeName,
    contradictions,
    event_meaning,
)
from recsys_cli.configs.fields import Days, Section, SqlText, known_timezone
from recsys_cli.configs.gate_sections import InputGatesSettings
from recsys_cli.configs.source_sections import SourceSettings

DAY_PLACE = "{date}"  # in a path: the day as 2026-11-23


class TableSettings(Section):
    """Path and format of a table, and how its own columns map to the contract."""

    path: str = Field(
        "", description="file, folder, glob or URI; relative to the workspace; empty: no such table"
    )
    format: Literal["auto", "parquet", "csv", "jsonl", "arrow"] = Field(
        "auto", description="auto: by the file's ending"
    )
    separator: str = Field(",", min_length=1, description="CSV: text between columns, one or more characters")
    encoding: Literal["utf8", "latin1", "cp1252", "utf16", "mixed"] = Field(
        "utf8",
        description="CSV, JSON lines: the file's encoding; mixed: UTF-8 in some lines, else Windows-1252",
    )
    decimal: Literal[".", ","] = Field(".", description="CSV: the sign before the digits of a fraction")
    thousands: Literal["", ",", ".", " ", "'"] = Field(
        "", description="CSV: the sign between groups of three digits; empty: there is none"
    )
    strip_spaces: bool = Field(False, description="CSV: remove spaces around column names and values")
    header: list[str] = Field([], description="CSV: the column names, if the file has no header line")
    filter: SqlText = Field("", description="SQL condition on the source's columns; other rows are dropped")
    columns: dict[str, str] = Field({}, description="contract name = the source's column")

    @model_validator(mode="after")
    def _two_signs(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}: they must differ")
        return self


class InteractionsSettings(TableSettings):
    """Events: user_id, item_id, timestamp and, optionally, weight and event_type."""

    timestamp_format: str = Field(
        "", description="strptime format of a timestamp as text or digits; empty: text is ISO 8601"
    )
    timestamp_unit: Literal["s", "ms", "us", "ns"] = Field(
        "s", description="unit of a numeric timestamp, counted since 1970 UTC"
    )
    time_zone: str = Field("", description="zone of timestamps without one; empty: the workspace's timezone")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return value if not value else known_timezone(value)


class FeatureTableSettings(TableSettings):
    """Users or items, one row per id."""

    features: list[str] = Field([], description="the source's columns that are features")
    list_separator: str = Field(
        "|", min_length=1, description="text between the values of a column in list_features"
    )
    list_features: list[str] = Field(
        [], description="text features that hold several values, split at list_separator"
    )
    category_features: list[str] = Field(
        [], description="features whose numbers name a category, such as manufacturer_id: read as text"
    )
    flag_features: dict[str, list[str]] = Field(
        {}, description="a list feature made of 0/1 columns: name = columns"
    )


class DataSettings(Section):
    user_id_type: Literal["auto", "text", "integer"] = Field("auto", description="auto: as stored; CSV: text")
    item_id_type: Literal["auto", "text", "integer"] = Field("auto", description="auto: as stored; CSV: text")
    max_age_days: Days = Field(2, description="a run warns when the newest event before D is older")
    stale_after_days: Days = Field(7, description="a run refuses inputs whose newest event is older")
    gates: InputGatesSettings = InputGatesSettings()
    interactions: InteractionsSettings = InteractionsSettings()
    events: dict[TypeName, EventTypeSettings] = Field(
        {}, max_length=MOST_TYPES, description="the types of events, by their value in the source"
    )
    users: FeatureTableSettings = FeatureTableSettings()
    items: FeatureTableSettings = FeatureTableSettings()

    @model_validator(mode="after")
    def _types_fit_together(self) -> Self:
        problems = "; ".join(contradictions(self.events, self.interactions.columns))
        if problems:
            raise ValueError(problems)
        return self

    @property
    def event_meaning(self) -> EventMeaning:
        """What events count for; empty where all are alike, with or without a name for their only type."""
        return event_meaning(self.events, self.interactions.columns)


class ExternalSettings(SourceSettings):
    """Anyone's candidates: parquet with user_id, item_id and, optionally, score and rank."""

    path: str = Field(
        "",
        description="file, folder or glob, relative to the workspace; {date} stands for the day whose start "
        "the candidates were made for; empty: off",
    )
    columns: dict[Literal["user_id", "item_id", "score", "rank"], str] = Field(
        {}, description='contract name = the source\'s column; "": no score, no rank'
    )

    @field_validator("columns")
    @classmethod
    def _a_column_each(cls, value: dict[str, str]) -> dict[str, str]:
        named: dict[str, str] = {}
        for name in ("user_id", "item_id", "score", "rank"):
            source = value.get(name, name)
            if source in named:
                raise ValueError(
                    f"{named[source]} and {name} are both read from the column {source!r}: name another"
                    + (f', or {name} = ""' if name in ("score", "rank") else "")
                )
            if source:
                named[source] = name
            elif name in ("user_id", "item_id"):
                raise ValueError(f"{name} must name a column")
        return value

    @field_validator("path")
    @classmethod
    def _a_day_apart(cls, value: str) -> str:
        if value and DAY_PLACE not in value:
            raise ValueError(
                f"must contain {DAY_PLACE}, the day that the candidates were made for: with one file for all "
                "days, training would see the future"
            )
        return value

    def recorded(self) -> Self:
        """Return the section as a model keeps it: where external candidates lie may be a secret."""
        return self.model_copy(update={"path": self.path and DAY_PLACE, "columns": {}})

    def is_on(self, *, filter_viewed: bool = True) -> bool:
        """Return whether there is such a source."""
        return bool(self.path) and super().is_on(filter_viewed=filter_viewed)

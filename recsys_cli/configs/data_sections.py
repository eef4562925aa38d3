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
from recsys_cli.configs.fields import (
    Days,
    Section,
    SqlExpressionText,
    SqlText,
    known_timezone,
    refuse_patterns,
)
from recsys_cli.configs.gate_sections import InputGatesSettings
from recsys_cli.configs.source_sections import SourceSettings
from recsys_cli.utils.query_text import DATE, problem_of_query
from recsys_cli.utils.storage.uris import is_uri

_MOST_EXPRESSIONS = 200
DAY_PLACE = DATE  # in a path: the day as 2026-11-23


class TableSettings(Section):
    """Where a table lies, a path or a database's query, and how its own columns map to the contract."""

    path: str = Field(
        "", description="file, folder, glob or URI; relative to the workspace; empty: no such table"
    )
    connection: str = Field(
        "", description="a database instead of `path`: postgresql://user@host/database, sqlite:///file"
    )
    password: str = Field("", description="of the connection's user; it belongs in .secrets.toml")
    query: str = Field(
        "", description="SQL for the connection, one SELECT; {date}: the first moment of the run's date"
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
    columns: dict[str, str] = Field(
        {}, description="contract name = the source's column, or SQL over its columns"
    )

    @property
    def is_given(self) -> bool:
        """Whether there is such a table."""
        return bool(self.path or self.connection)

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.connection and self.path:
            raise ValueError("path and connection are both set: a table has one of them")
        if bool(self.connection) != bool(self.query):
            needed, given = ("query", "connection") if self.connection else ("connection", "query")
            raise ValueError(f"{given} needs {needed}, which is not set")
        if self.password and not self.connection:
            raise ValueError("password is that of a connection, which is not set")
        if self.connection and self.format != "auto":
            raise ValueError("format is that of files: leave it out beside connection")
        if self.query and (problem := problem_of_query(self.query)):
            raise ValueError(f"query {problem}")
        return self

    @field_validator("connection")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if value and not is_uri(value):
            raise ValueError("connection is no address such as postgresql://user@host/database")
        return value

    @model_validator(mode="after")
    def _two_signs(self) -> Self:
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}: they must differ")
        return self

    @field_validator("columns")
    @classmethod
    def _plain_columns(cls, value: dict[str, str]) -> dict[str, str]:
        refuse_patterns(value.values())
        return value


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
    feature_expressions: dict[str, SqlExpressionText] = Field(
        {},
        max_length=_MOST_EXPRESSIONS,
        description="more features, by SQL over the source's columns: margin = 'price - cost'",
    )
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
    rule_columns: list[str] = Field(
        [],
        description="more of the source's columns, for rules alone, such as a stock: no features",
    )
    snapshots: bool = Field(
        False,
        description="the table holds a whole copy a day; the newest before a date counts. The day is "
        "columns.snapshot_day, else the folders' key or the column date or day",
    )
    max_snapshot_age_days: Days = Field(
        7, description="refuse to score when the newest snapshot is older; in training: a warning"
    )

    @field_validator("features", "list_features", "rule_columns")
    @classmethod
    def _plain_features(cls, value: list[str]) -> list[str]:
        refuse_patterns(value)
        return value

    @field_validator("flag_features")
    @classmethod
    def _plain_flags(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        refuse_patterns([*value, *(column for columns in value.values() for column in columns)])
        return value


class ItemsSettings(FeatureTableSettings):
    """Items, one row per id: what may be recommended, where there is such a table."""

    only_listed: bool = Field(
        True,
        description="items that are not in the items table are not recommended; without a table: all are",
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
    items: ItemsSettings = ItemsSettings()

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
        refuse_patterns(value.values())
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

"""The settings of the input tables and of external candidates."""

from typing import Literal, Self

from pydantic import Field, field_validator

from recsys_cli.configs.fields import Days, Section, SqlText, known_timezone, refuse_patterns
from recsys_cli.configs.source_sections import SourceSettings

DAY_PLACE = "{date}"  # in a path: the day as 2026-11-23


class TableSettings(Section):
    """Path and format of a table, and how its own columns map to the contract."""

    path: str = Field(
        "", description="file, folder, glob or URI; relative to the workspace; empty: no such table"
    )
    format: Literal["auto", "parquet", "csv"] = Field("auto", description="auto: by the file's ending")
    separator: str = Field(",", min_length=1, description="CSV: text between columns, one or more characters")
    encoding: Literal["utf8", "latin1"] = Field("utf8", description="CSV: the file's encoding")
    header: list[str] = Field([], description="CSV: the column names, if the file has no header line")
    filter: SqlText = Field("", description="SQL condition on the source's columns; other rows are dropped")
    columns: dict[str, str] = Field({}, description="contract name = the source's column")

    @field_validator("columns")
    @classmethod
    def _plain_columns(cls, value: dict[str, str]) -> dict[str, str]:
        refuse_patterns(value.values())
        return value


class InteractionsSettings(TableSettings):
    """Events: user_id, item_id, timestamp and, optionally, weight."""

    timestamp_format: str = Field("", description="strptime format of a text timestamp; empty: ISO 8601")
    timestamp_unit: Literal["s", "ms", "us", "ns"] = Field("s", description="unit of an integer timestamp")
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

    @field_validator("features", "list_features")
    @classmethod
    def _plain_features(cls, value: list[str]) -> list[str]:
        refuse_patterns(value)
        return value

    @field_validator("flag_features")
    @classmethod
    def _plain_flags(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        refuse_patterns([*value, *(column for columns in value.values() for column in columns)])
        return value


class DataSettings(Section):
    user_id_type: Literal["auto", "text", "integer"] = Field("auto", description="auto: as stored; CSV: text")
    item_id_type: Literal["auto", "text", "integer"] = Field("auto", description="auto: as stored; CSV: text")
    max_age_days: Days = Field(2, description="check and score warn when the newest event before D is older")
    stale_after_days: Days = Field(3650, description="check and score refuse inputs older than this")
    interactions: InteractionsSettings = InteractionsSettings()
    users: FeatureTableSettings = FeatureTableSettings()
    items: FeatureTableSettings = FeatureTableSettings()


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

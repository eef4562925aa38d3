"""The typed settings: small frozen sections, unknown keys forbidden, every number bounded."""

import re
from datetime import date, datetime
from typing import Literal, Self, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, PositiveInt, field_validator, model_validator

from recsys_cli.configs.fields import (
    LONGEST_HALF_LIFE,
    SHORTEST_HALF_LIFE,
    Bound,
    Days,
    ListLength,
    Section,
    Seed,
    Share,
)
from recsys_cli.configs.source_sections import CandidatesSettings, SourceSettings
from recsys_cli.utils.columns import LONGEST_LIST

DAY_PLACE = "{date}"  # in a path: the day as 2026-11-23
_MIN_SHORTLIST_RATIO = 10  # shortlisted candidates per item of a list: fewer would cost quality


class TableSettings(Section):
    """Path and format of a table, and how its own columns map to the contract."""

    path: str = Field(
        "", description="file, folder, glob or URI; relative to the workspace; empty: no such table"
    )
    format: Literal["auto", "parquet", "csv"] = Field("auto", description="auto: by the file's ending")
    separator: str = Field(",", min_length=1, description="CSV: text between columns, one or more characters")
    encoding: Literal["utf8", "latin1"] = Field("utf8", description="CSV: the file's encoding")
    header: list[str] = Field([], description="CSV: the column names, if the file has no header line")
    filter: str = Field("", description="SQL condition on the source's columns; other rows are dropped")
    columns: dict[str, str] = Field({}, description="contract name = the source's column")


class InteractionsSettings(TableSettings):
    """Events: user_id, item_id, timestamp and, optionally, weight."""

    timestamp_format: str = Field("", description="strptime format of a text timestamp; empty: ISO 8601")
    timestamp_unit: Literal["s", "ms", "us", "ns"] = Field("s", description="unit of an integer timestamp")
    time_zone: str = Field("", description="zone of timestamps without one; empty: the workspace's timezone")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return value if not value else _known_timezone(value)


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


class FeatureSettings(Section):
    """The section of a feature plug-in; the plug-in adds its own settings."""

    enabled: bool = Field(True, description="whether the feature is made")


class FeaturesSettings(Section):
    windows_days: list[Days] = Field(
        [7, 14, 30, 90], min_length=1, description="windows of the event counts, ascending"
    )
    half_life_days: float = Field(
        30.0,
        ge=SHORTEST_HALF_LIFE,
        le=LONGEST_HALF_LIFE,
        description="half-life of an event in a pair's recency",
    )
    max_categories: int = Field(
        200, ge=1, le=254, description="values of a text feature that are used, the most frequent first"
    )

    @field_validator("windows_days")
    @classmethod
    def _ascending(cls, value: list[int]) -> list[int]:
        if sorted(set(value)) != value:
            raise ValueError("must be ascending without repeats")
        return value

    def plugins(self) -> dict[str, FeatureSettings]:
        """Return the sections of the feature plug-ins that are on, by name."""
        sections = {name: getattr(self, name) for name in type(self).model_fields}
        return {
            name: one for name, one in sections.items() if isinstance(one, FeatureSettings) and one.enabled
        }


FeatureGroup = Literal["users", "items", "pairs", "affinity", "ranks", "scores", "norms"]


class RankerSettings(Section):
    loss_function: Literal["Logloss", "QuerySoftMax", "YetiRank", "PairLogit"] = "Logloss"
    score: Literal["probability", "raw"] = Field(
        "probability",
        description="the published score: a probability calibrated on the holdout, or the raw score",
    )
    iterations: int = Field(400, ge=1, le=100_000)
    depth: int = Field(6, ge=1, le=16)
    learning_rate: float = Field(0.04, ge=1e-6, le=1.0)
    members: int = Field(
        3,
        ge=1,
        le=20,
        description="models with different seeds; the ranker is their mean: steadier, but slower to score",
    )
    rsm: float = Field(0.3, ge=0.001, le=1.0, description="share of the columns that a tree sees")
    early_stopping_rounds: PositiveInt = 50
    label_days: int = Field(14, ge=1, le=366, description="length of a label window")
    label_windows: int = Field(
        4,
        ge=2,
        le=366,
        description="consecutive label windows before the training date, the last as holdout",
    )
    feature_groups: list[FeatureGroup] = Field(
        list(get_args(FeatureGroup)), min_length=1, description="groups of features that the ranker uses"
    )
    n_negatives: PositiveInt = Field(120, description="negatives per user and window")
    validation_share: float = Field(
        0.15, ge=0.01, le=0.9, description="share of users held out for early stopping"
    )
    max_train_users: PositiveInt = Field(
        100_000,
        description="users of label windows, holdout and calibration, a random sample; popularity, "
        "similarities and the final LightFM use all users",
    )
    max_train_rows: int = Field(
        1_000_000, ge=1_000, description="rows that the ranker is trained on, all label windows together"
    )
    random_state: Seed = 42


class WarmStartSettings(Section):
    """How much `train --warm-start` learns on top of the promoted model."""

    epochs: PositiveInt = Field(5, description="epochs of LightFM on recent events")
    iterations: int = Field(60, ge=1, le=100_000, description="trees that are added to the ranker")


class ScoringSettings(Section):
    top_k: ListLength = Field(10, description="recommendations per user")
    filter_viewed: bool = Field(True, description="do not recommend items that the user already has")
    exclude: str = Field(
        "", description="SQL condition on item columns; matching items are never recommended"
    )
    shortlist: int = Field(
        100,
        ge=0,
        le=LONGEST_LIST,
        description="candidates per user that the whole ranker scores, chosen by its first trees; at least "
        "ten per item of the list; 0: all",
    )
    chunk_users: PositiveInt = Field(1_024, description="users scored at a time; bounds the memory")
    max_stale_lists: Bound = Field(
        0.01,
        description="score --changed-since: share of reused lists, in a sample, that may differ from those "
        "of a full run in items or order; beyond it all users are ranked",
    )

    index: Literal["exact", "ivf", "hnsw"] = Field(
        "exact",
        description="how LightFM's vectors are searched: all items, or some of a large catalogue's clusters "
        "or neighbours",
    )
    min_index_recall: Share = Field(
        0.95, description="share of the exact lists that an index must find, or nothing is published"
    )

    def shortlist_of(self, list_length: int) -> int:
        """Return how many candidates the whole ranker scores for a list of this length; 0: all."""
        return max(self.shortlist, _MIN_SHORTLIST_RATIO * list_length) if self.shortlist else 0


class GatesSettings(Section):
    """Publish gates: bounds that lists must keep; a minimum of 0 or a maximum of 1 switches a gate off."""

    from_users: PositiveInt = Field(
        100, description="runs over fewer users are checked against min_users alone: their shares mean little"
    )
    min_users: int = Field(1, ge=0, description="users of a run over all users")
    min_full_lists: Bound = Field(0.5, description="share of users whose list has top_k items")
    max_fallback_rows: Bound = Field(0.95, description="share of rows that only popularity proposed")
    min_catalogue_coverage: Bound = Field(
        0.001,
        description="recommended items, as a share of the eligible items or of the rows, whichever are fewer",
    )
    max_top_item_share: Bound = Field(0.99, description="share of lists that contain the most frequent item")
    min_overlap: Bound = Field(
        0.05,
        description="mean over users of the items in both this list and the last published one, at most 31 "
        "days old, as a share of the shorter list",
    )
    min_own_item_auc: Bound = Field(
        0.55,
        description="AUC of LightFM at ranking users' own items above other users'; random vectors have 0.5",
    )


class EvaluationSettings(Section):
    k: ListLength = 10
    days: Days = 14


_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


class RuntimeSettings(Section):
    threads: int = Field(0, ge=0, le=1024, description="0, or more than there are: all cores")
    max_memory: str = Field(
        "",
        description='memory that score and train may use, such as "2GB": bounds the chunks of users, the '
        "rows that the ranker is trained on and the LightFM fits that run in parallel; empty: no bound",
    )

    @field_validator("max_memory")
    @classmethod
    def _valid_amount(cls, value: str) -> str:
        if value and re.fullmatch(r"\d+(\.\d+)?\s*(MB|GB|TB)", value) is None:
            raise ValueError(f"must be a number and MB, GB or TB, such as 2GB, not {value!r}")
        return value

    @property
    def max_memory_bytes(self) -> int | None:
        """The bound in bytes; None: no bound."""
        if not self.max_memory:
            return None
        return int(float(self.max_memory[:-2]) * _UNITS[self.max_memory[-2:]])


class OutputSettings(Section):
    """Folders, relative to the workspace, or URIs of an object store."""

    features: str = "features"
    models: str = "models"
    recommendations: str = "recommendations"
    runs: str = Field("runs", description="records, logs and locks; must be a folder on this machine")

    @field_validator("runs")
    @classmethod
    def _local_folder(cls, value: str) -> str:
        if "://" in value:
            raise ValueError("must be a folder on this machine, because the locks are in it, not a URI")
        return value


StorageOptions = dict[str, bool | int | str]


class StorageSettings(Section):
    """Options of each scheme's file system, beside its usual environment; credentials: .secrets.toml."""

    s3: StorageOptions = Field({}, description="of s3fs: endpoint_url, profile, key, secret, token, anon")
    gs: StorageOptions = Field({}, description="of gcsfs: project, token")
    az: StorageOptions = Field({}, description="of adlfs: account_name, account_key, sas_token")
    drive: StorageOptions = Field(
        {}, description="url: address to use instead of https://drive.google.com/uc"
    )


class Settings(Section):
    """A workspace's settings, validated once at start."""

    timezone: str = Field("UTC", description="days are local days in this zone")
    data: DataSettings = DataSettings()
    features: FeaturesSettings = FeaturesSettings()
    candidates: CandidatesSettings = CandidatesSettings()
    ranker: RankerSettings = RankerSettings()
    warm_start: WarmStartSettings = WarmStartSettings()
    scoring: ScoringSettings = ScoringSettings()
    gates: GatesSettings = GatesSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    output: OutputSettings = OutputSettings()
    storage: StorageSettings = StorageSettings()

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return _known_timezone(value)

    @model_validator(mode="after")
    def _sources_have_their_windows(self) -> Self:
        windows = self.features.windows_days
        for name, section in self.candidates.sections().items():
            if not set(section.feature_windows) <= set(windows):
                wanted = list(section.feature_windows)
                raise ValueError(
                    f"candidates.{name}.windows_days = {wanted} are not all in "
                    f"features.windows_days = {windows}"
                )
        return self

    def today(self) -> date:
        """The current day in the workspace's time zone."""
        return datetime.now(ZoneInfo(self.timezone)).date()


def _known_timezone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(f"unknown time zone {value!r}; use a name such as 'Europe/Berlin' or 'UTC'")
    return value

"""The settings, typed: small frozen sections, unknown keys forbidden, every number bounded."""

import re
from datetime import date, datetime
from typing import Literal, Self, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, PositiveInt, field_validator, model_validator

from recsys_cli.configs.candidate_sections import CandidatesSettings
from recsys_cli.configs.fields import (
    LONGEST_HALF_LIFE,
    SHORTEST_HALF_LIFE,
    Bound,
    Days,
    ListLength,
    Section,
    Seed,
)
from recsys_cli.utils.columns import LONGEST_LIST

_A_PLACE = 10  # shortlisted candidates for each place of a list: fewer would cost quality


class TableSettings(Section):
    """Where a table lies and how its own columns map to the contract."""

    path: str = Field(
        "", description="file, folder, glob or URI; relative to the workspace; empty: no such table"
    )
    format: Literal["auto", "parquet", "csv"] = Field("auto", description="auto goes by the file's ending")
    separator: str = Field(",", min_length=1, description="CSV: between columns, one or more characters")
    encoding: Literal["utf8", "latin1"] = Field("utf8", description="CSV: the file's encoding")
    header: list[str] = Field([], description="CSV: the column names, where the file has no header line")
    filter: str = Field(
        "", description="SQL expression over the source's columns; rows that fail it are dropped"
    )
    columns: dict[str, str] = Field({}, description="contract name = the source's column")


class InteractionsSettings(TableSettings):
    """Events: user_id, item_id, timestamp and, optionally, weight."""

    timestamp_format: str = Field("", description="strptime format of a text timestamp; empty: ISO 8601")
    timestamp_unit: Literal["s", "ms", "us", "ns"] = Field("s", description="unit of an integer timestamp")
    time_zone: str = Field(
        "", description="zone of timestamps that name none; empty: the workspace's timezone"
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return value if not value else _known_timezone(value)


class FeatureTableSettings(TableSettings):
    """Users or items, a row an id."""

    features: list[str] = Field([], description="the source's columns that become features")
    list_separator: str = Field(
        "|", min_length=1, description="between the values of a column in list_features"
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


class FeaturesSettings(Section):
    windows_days: list[Days] = Field(
        [7, 14, 30, 90], min_length=1, description="windows of counts, ascending"
    )
    half_life_days: float = Field(
        30.0,
        ge=SHORTEST_HALF_LIFE,
        le=LONGEST_HALF_LIFE,
        description="age at which an event of a pair's recency counts half",
    )
    max_categories: int = Field(
        200, ge=1, le=254, description="values kept of a text feature, the most frequent first"
    )

    @field_validator("windows_days")
    @classmethod
    def _ascending(cls, value: list[int]) -> list[int]:
        if sorted(set(value)) != value:
            raise ValueError("must be ascending without repeats")
        return value


FeatureGroup = Literal["users", "items", "pairs", "affinity", "ranks", "scores", "norms"]


class RankerSettings(Section):
    loss_function: Literal["Logloss", "QuerySoftMax", "YetiRank", "PairLogit"] = "Logloss"
    score: Literal["probability", "raw"] = Field(
        "probability",
        description="what a score is: calibrated on a window that the ranker had not seen, or raw",
    )
    iterations: int = Field(400, ge=1, le=100_000)
    depth: int = Field(6, ge=1, le=16)
    learning_rate: float = Field(0.04, ge=1e-6, le=1.0)
    members: int = Field(
        3,
        ge=1,
        le=20,
        description="models of other seeds whose mean is the ranker: steadier, and longer to serve",
    )
    rsm: float = Field(0.3, ge=0.001, le=1.0, description="share of the columns that a tree sees")
    warm_iterations: int = Field(60, ge=1, le=100_000, description="trees that a warm start adds")
    early_stopping_rounds: PositiveInt = 50
    label_days: int = Field(14, ge=1, le=366, description="length of a label window")
    label_windows: int = Field(
        4,
        ge=2,
        le=366,
        description="consecutive label windows before the training date; the last judges the model",
    )
    feature_groups: list[FeatureGroup] = Field(
        list(get_args(FeatureGroup)), min_length=1, description="what a row may tell the ranker"
    )
    n_negatives: PositiveInt = Field(120, description="negatives a user and window")
    validation_share: float = Field(
        0.15, ge=0.01, le=0.9, description="share of users kept for early stopping"
    )
    max_train_users: PositiveInt = Field(
        100_000,
        description="users whom label windows, holdout and calibration look at, a random sample; popularity "
        "and similarities come from all, and so does the final LightFM",
    )
    max_train_rows: int = Field(
        1_000_000, ge=1_000, description="rows that the ranker learns from, of all label windows together"
    )
    random_state: Seed = 42


class ScoringSettings(Section):
    top_k: ListLength = Field(10, description="recommendations a user")
    filter_viewed: bool = Field(True, description="leave out items that the user already has")
    exclude: str = Field(
        "", description="SQL expression over item columns; matching items are never recommended"
    )
    shortlist: int = Field(
        100,
        ge=0,
        le=LONGEST_LIST,
        description="candidates a user that the whole ranker scores, chosen by its first trees; never fewer "
        "than ten for each place of the list; 0: all",
    )
    chunk_users: PositiveInt = Field(1_024, description="users scored at a time: bounds the memory")
    max_stale_lists: Bound = Field(
        0.01,
        description="score --changed-since: share of carried lists, of a sample, that may differ from those "
        "of a full run in items or order; beyond it all users are ranked",
    )

    def shortlist_of(self, places: int) -> int:
        """Return the candidates that the whole ranker scores for a list of so many places; 0: all."""
        return max(self.shortlist, _A_PLACE * places) if self.shortlist else 0


class GatesSettings(Section):
    """What lists must hold before they are published; a least of 0 and a most of 1 hold always."""

    from_users: PositiveInt = Field(
        100, description="runs over fewer users are held to min_users alone: their shares say little"
    )
    min_users: int = Field(1, ge=0, description="users of a run over all")
    min_full_lists: Bound = Field(0.5, description="share of the users whose list has all its places")
    max_fallback_rows: Bound = Field(0.95, description="share of the rows that popularity alone proposed")
    min_catalogue_coverage: Bound = Field(
        0.001, description="recommended items, of all that may be or, if these are more, of the rows"
    )
    max_top_item_share: Bound = Field(0.99, description="share of the lists that hold the most frequent item")
    min_overlap: Bound = Field(
        0.05,
        description="mean share of the shorter of a user's two lists that is in both, this one and that of "
        "the last publication, of at most 31 days",
    )
    min_own_item_auc: Bound = Field(
        0.55,
        description="how surely LightFM ranks users' own items above others': an area under the curve; "
        "random vectors have 0.5",
    )


class EvaluationSettings(Section):
    k: ListLength = 10
    days: Days = 14


_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


class RuntimeSettings(Section):
    threads: int = Field(0, ge=0, le=1024, description="0, or more than there are: all cores; BLAS has one")
    max_memory: str = Field(
        "",
        description='what score and train may take, such as "2GB": bounds the chunks of users, the rows that '
        "the ranker learns from and the LightFM fits that run side by side; empty: no bound",
    )

    @field_validator("max_memory")
    @classmethod
    def _an_amount(cls, value: str) -> str:
        if value and re.fullmatch(r"\d+(\.\d+)?\s*(MB|GB|TB)", value) is None:
            raise ValueError(f"must be a number and MB, GB or TB, such as 2GB, not {value!r}")
        return value

    @property
    def max_memory_bytes(self) -> int | None:
        """The bound in bytes; None for no bound."""
        if not self.max_memory:
            return None
        return int(float(self.max_memory[:-2]) * _UNITS[self.max_memory[-2:]])


class OutputSettings(Section):
    """Folders, relative to the workspace, or URIs of an object store."""

    features: str = "features"
    models: str = "models"
    recommendations: str = "recommendations"
    runs: str = Field("runs", description="records, logs and locks: always a folder of this machine")

    @field_validator("runs")
    @classmethod
    def _a_folder(cls, value: str) -> str:
        if "://" in value:
            raise ValueError("must be a folder of this machine, whose locks lie in it, not a URI")
        return value


StorageOptions = dict[str, bool | int | str]


class StorageSettings(Section):
    """What each scheme's file system is given beside the usual environment; credentials: .secrets.toml."""

    s3: StorageOptions = Field({}, description="of s3fs: endpoint_url, profile, key, secret, token, anon")
    gs: StorageOptions = Field({}, description="of gcsfs: project, token")
    az: StorageOptions = Field({}, description="of adlfs: account_name, account_key, sas_token")
    drive: StorageOptions = Field({}, description="url: what stands for https://drive.google.com/uc")


class Settings(Section):
    """A workspace's settings, validated once at start."""

    timezone: str = Field("UTC", description="a day is the local day here")
    data: DataSettings = DataSettings()
    features: FeaturesSettings = FeaturesSettings()
    candidates: CandidatesSettings = CandidatesSettings()
    ranker: RankerSettings = RankerSettings()
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
    def _popularity_has_its_windows(self) -> Self:
        wanted, windows = self.candidates.popular.windows_days, self.features.windows_days
        if not set(wanted) <= set(windows):
            raise ValueError(
                f"candidates.popular.windows_days = {wanted} are not all in features.windows_days = {windows}"
            )
        return self

    def today(self) -> date:
        """The current day in the workspace's time zone."""
        return datetime.now(ZoneInfo(self.timezone)).date()


def _known_timezone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError(f"unknown time zone {value!r}; use a name such as 'Europe/Berlin' or 'UTC'")
    return value

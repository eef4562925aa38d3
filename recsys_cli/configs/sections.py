"""The settings, typed: small frozen sections, unknown keys forbidden, every number bounded."""

import re
from datetime import date, datetime
from typing import Annotated, Literal, Self, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from recsys_cli.utils.columns import LONGEST_LIST

Share = Annotated[float, Field(gt=0.0, lt=1.0)]
ListLength = Annotated[int, Field(ge=1, le=LONGEST_LIST)]
Candidates = Annotated[
    int, Field(ge=0, le=LONGEST_LIST, description="candidates a user from this source; 0: off")
]
Days = Annotated[int, Field(ge=1, le=36_500)]  # a century
DAY_PLACE = "{date}"  # in a path: the day as 2026-11-23
_SHORTEST_HALF_LIFE, _LONGEST_HALF_LIFE = 0.1, 1_000_000.0  # days; beyond them numbers become 0 or all alike
_A_PLACE = 10  # shortlisted candidates for each place of a list: fewer would cost quality
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]  # as the libraries take it


class Section(BaseModel):
    """A frozen part of the settings; `Field(description=…)` is its documentation."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, allow_inf_nan=False)


class TableSettings(Section):
    """Where a table lies and how its own columns map to the contract."""

    path: str = Field("", description="file, folder or glob, relative to the workspace; empty: no such table")
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
        ge=_SHORTEST_HALF_LIFE,
        le=_LONGEST_HALF_LIFE,
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


class LightFMSettings(Section):
    num_candidates: Candidates = 100
    no_components: int = Field(64, ge=1, le=1024)
    loss: Literal["warp", "bpr", "logistic"] = "warp"
    learning_rate: PositiveFloat = 0.05
    max_sampled: int = Field(10, ge=1, le=10_000)
    epochs: PositiveInt = 20
    warm_epochs: PositiveInt = Field(5, description="epochs on recent events of a warm start")
    user_alpha: float = Field(0.0, ge=0.0)
    item_alpha: float = Field(0.0, ge=0.0)
    half_life_days: float = Field(
        60.0, ge=0.0, le=_LONGEST_HALF_LIFE, description="age at which an event counts half; 0: no decay"
    )
    num_threads: int = Field(1, ge=1, le=1024, description="more than one is faster and not reproducible")
    random_state: Seed = 42

    @field_validator("half_life_days")
    @classmethod
    def _none_or_long_enough(cls, value: float) -> float:
        if 0 < value < _SHORTEST_HALF_LIFE:
            raise ValueError(f"must be 0, for no decay, or at least {_SHORTEST_HALF_LIFE}")
        return value


class ItemKNNSettings(Section):
    """Neighbours of the user's items, by the users they share."""

    num_candidates: Candidates = 100
    recent_candidates: Candidates = Field(
        100, description="with the user's items weighted by recency; 0: off"
    )
    similarities: list[Literal["bm25", "cosine"]] = Field(
        ["bm25", "cosine"], min_length=1, description="a source for each"
    )
    without: list[Literal["bm25", "bm25_recent", "cosine", "cosine_recent"]] = Field(
        [], description="those of its sources that are off"
    )
    neighbours: int = Field(100, ge=1, le=10_000, description="kept of each item, the most similar first")


class EASESettings(Section):
    """A linear model of each item from all others; its time grows with the cube of the catalogue."""

    num_candidates: Candidates = 100
    recent_candidates: Candidates = Field(
        100, description="with the user's items weighted by recency; 0: off"
    )
    regularization: PositiveFloat = 500.0
    max_items: PositiveInt = Field(6_000, description="off for catalogues with more items than this")


class PopularSettings(Section):
    """A source for each window, of the events of the last days."""

    num_candidates: Candidates = 100
    windows_days: list[Days] = Field(
        [7, 14, 30], min_length=1, description="each one of features.windows_days"
    )


class SegmentSettings(Section):
    """Popularity among the users who share a value."""

    num_candidates: Candidates = 100
    feature: str = Field("", description="a text feature of users; empty: the first declared one")
    window_days: Days = Field(30, description="pairs with an event in the last days count")


class ContentSettings(Section):
    """Items whose title and list features are like those of the user's items; new items too."""

    num_candidates: Candidates = 100
    neighbours: int = Field(100, ge=1, le=10_000, description="kept of each item, the most similar first")
    max_item_share: Share = Field(0.1, description="a word that stands with more of the items says nothing")


class HistorySettings(Section):
    """The user's own items, where scoring.filter_viewed is off."""

    num_candidates: Candidates = 100


class ExternalSettings(Section):
    """Anyone's candidates: parquet with user_id, item_id and, optionally, score and rank."""

    path: str = Field(
        "",
        description="file, folder or glob, relative to the workspace; {date} stands for the day whose start "
        "the candidates were made for; empty: off",
    )
    columns: dict[Literal["user_id", "item_id", "score", "rank"], str] = Field(
        {}, description='contract name = the source\'s column; "": no score, no rank'
    )
    num_candidates: Candidates = 100

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

    @property
    def is_on(self) -> bool:
        """Whether there is such a source."""
        return bool(self.path and self.num_candidates)


class CandidatesSettings(Section):
    index: Literal["exact", "ivf", "hnsw"] = Field(
        "exact",
        description="how scoring searches LightFM's vectors: all items, or some of a large catalogue's "
        "clusters or neighbours",
    )
    min_index_recall: Share = Field(
        0.95, description="share of the exact lists that an index must find, or nothing is published"
    )
    lightfm: LightFMSettings = LightFMSettings()
    item_knn: ItemKNNSettings = ItemKNNSettings()
    ease: EASESettings = EASESettings()
    popular: PopularSettings = PopularSettings()
    segment: SegmentSettings = SegmentSettings()
    content: ContentSettings = ContentSettings()
    history: HistorySettings = HistorySettings()
    external: ExternalSettings = ExternalSettings()

    @property
    def most_candidates(self) -> int:
        """How many candidates a user has if no two sources agree."""
        knn, ease = self.item_knn, self.ease
        neighbours = (knn.num_candidates + knn.recent_candidates) * len(knn.similarities)
        popular = self.popular.num_candidates * len(self.popular.windows_days)
        others = (self.lightfm, self.segment, self.content, self.history, self.external)
        rest = sum(section.num_candidates for section in others)
        return neighbours + ease.num_candidates + ease.recent_candidates + popular + rest


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
    max_train_users: PositiveInt = Field(200_000, description="users a label window at most")
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

    def shortlist_of(self, places: int) -> int:
        """Return the candidates that the whole ranker scores for a list of so many places; 0: all."""
        return max(self.shortlist, _A_PLACE * places) if self.shortlist else 0


class EvaluationSettings(Section):
    k: ListLength = 10
    days: Days = 14


_UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


class RuntimeSettings(Section):
    threads: int = Field(0, ge=0, le=1024, description="0, or more than there are: all cores")
    max_memory: str = Field(
        "", description='what scoring may take, such as "2GB": bounds the chunks; empty: no bound'
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
    """Folders, relative to the workspace."""

    features: str = "features"
    models: str = "models"
    recommendations: str = "recommendations"
    runs: str = "runs"


class Settings(Section):
    """A workspace's settings, validated once at start."""

    timezone: str = Field("UTC", description="a day is the local day here")
    data: DataSettings = DataSettings()
    features: FeaturesSettings = FeaturesSettings()
    candidates: CandidatesSettings = CandidatesSettings()
    ranker: RankerSettings = RankerSettings()
    scoring: ScoringSettings = ScoringSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    output: OutputSettings = OutputSettings()

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

"""The typed settings: small frozen sections, unknown keys forbidden, every number bounded."""

from datetime import date, datetime
from typing import Literal, Self, get_args
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from recsys_cli.configs.data_sections import DataSettings
from recsys_cli.configs.fields import (
    LONGEST_HALF_LIFE,
    SHORTEST_HALF_LIFE,
    Bound,
    Count,
    Days,
    IndexName,
    ListLength,
    Section,
    Seed,
    Share,
    SqlText,
    known_timezone,
)
from recsys_cli.configs.rule_sections import Rule, unique_names
from recsys_cli.configs.runtime_sections import NetworkSettings, RuntimeSettings
from recsys_cli.configs.source_sections import CandidatesSettings
from recsys_cli.utils.columns import LONGEST_LIST

_MIN_SHORTLIST_RATIO = 10  # shortlisted candidates per item of a list: fewer would cost quality
ListColumn = Literal["rule", "placed_by"]


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
    iterations: int = Field(320, ge=1, le=100_000)
    depth: int = Field(6, ge=1, le=16)
    learning_rate: float = Field(0.05, ge=1e-6, le=1.0)
    members: int = Field(
        3,
        ge=1,
        le=20,
        description="models with different seeds; the ranker is their mean: steadier, but slower to score",
    )
    rsm: float = Field(0.3, ge=0.001, le=1.0, description="share of the columns that a tree sees")
    early_stopping_rounds: Count = 30
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
    n_negatives: Count = Field(120, description="negatives per user and window")
    validation_share: float = Field(
        0.15, ge=0.01, le=0.9, description="share of users held out for early stopping"
    )
    max_train_users: Count = Field(
        100_000,
        description="users of label windows, holdout and calibration, a random sample; popularity, "
        "similarities and the final LightFM use all users",
    )
    max_train_rows: int = Field(
        1_000_000,
        ge=1_000,
        le=2**31 - 1,
        description="rows that the ranker is trained on, all label windows together",
    )
    random_state: Seed = 42


class WarmStartSettings(Section):
    """How much `train --warm-start` learns on top of the promoted model."""

    epochs: Count = Field(5, description="epochs of LightFM on recent events")
    iterations: int = Field(60, ge=1, le=100_000, description="trees that are added to the ranker")


class ScoringSettings(Section):
    top_k: ListLength = Field(10, description="recommendations per user")
    filter_viewed: bool = Field(True, description="do not recommend items that the user already has")
    exclude: SqlText = Field(
        "", description="SQL condition on item columns; matching items are never recommended"
    )
    shortlist: int = Field(
        100,
        ge=0,
        le=LONGEST_LIST,
        description="candidates per user that the whole ranker scores, chosen by its first trees; at least "
        "ten per item of the list; 0: all",
    )
    chunk_users: Count = Field(1_024, description="users scored at a time; bounds the memory")
    max_stale_lists: Bound = Field(
        0.01,
        description="score --changed-since: share of reused lists, in a sample, that may differ from those "
        "of a full run in items or order; beyond it all users are ranked",
    )
    index: IndexName = Field(
        "exact",
        description="how LightFM's vectors are searched: all items, or some of a large catalogue's clusters "
        "or neighbours",
    )
    min_index_recall: Share = Field(
        0.95, description="share of the exact lists that an index must find, or nothing is published"
    )

    diversity: Bound = Field(
        0.0, description="how much the variety of a list counts against its scores; 0: not at all"
    )
    diversity_by: str = Field("content", description="the source by which two items are alike")
    explore: float = Field(
        0.0, ge=0.0, le=0.5, description="share of the places that are drawn among explore_items"
    )
    explore_items: SqlText = Field(
        "",
        description="SQL condition on item columns; empty: the half of the items with the fewest events",
    )
    list_columns: list[ListColumn] = Field(
        [], description="more columns of the published lists, about the rules"
    )

    @field_validator("list_columns")
    @classmethod
    def _each_once(cls, value: list[ListColumn]) -> list[ListColumn]:
        if len(set(value)) < len(value):
            raise ValueError("names a column twice")
        return value

    def shortlist_of(self, list_length: int) -> int:
        """Return how many candidates the whole ranker scores for a list of this length; 0: all."""
        return max(self.shortlist, _MIN_SHORTLIST_RATIO * list_length) if self.shortlist else 0


class GatesSettings(Section):
    """Publish gates: bounds that lists must keep; a minimum of 0 or a maximum of 1 switches a gate off."""

    from_users: Count = Field(
        100, description="runs over fewer users are checked against min_users alone: their shares mean little"
    )
    min_users: int = Field(1, ge=0, le=2**31 - 1, description="users of a run over all users")
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
    max_rule_cost: Bound = Field(
        1.0,
        description="what one rule takes away, as a share of the expected takes (the sum of the "
        "probabilities) of lists without it",
    )
    max_cost_of_rules: Bound = Field(1.0, description="the same of all rules together")
    min_own_item_auc: Bound = Field(
        0.5,
        description="AUC of LightFM at ranking users' own items above other users', less the 0.5 of random "
        "vectors: as a share of what the training measured",
    )


class EvaluationSettings(Section):
    k: ListLength = 10
    days: Days = 14


class OutputSettings(Section):
    """Folders, relative to the workspace, or URIs of an object store; none lies inside another."""

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
    network: NetworkSettings = NetworkSettings()


class Settings(Section):
    """A workspace's settings, validated once at start."""

    timezone: str = Field("UTC", description="days are local days in this zone")
    data: DataSettings = DataSettings()
    features: FeaturesSettings = FeaturesSettings()
    candidates: CandidatesSettings = CandidatesSettings()
    ranker: RankerSettings = RankerSettings()
    warm_start: WarmStartSettings = WarmStartSettings()
    scoring: ScoringSettings = ScoringSettings()
    rules: tuple[Rule, ...] = Field((), description="rules of the lists, in their order")
    gates: GatesSettings = GatesSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
    runtime: RuntimeSettings = RuntimeSettings()
    output: OutputSettings = OutputSettings()
    storage: StorageSettings = StorageSettings()

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        return known_timezone(value)

    @field_validator("rules")
    @classmethod
    def _rules_with_names(cls, value: tuple[Rule, ...]) -> tuple[Rule, ...]:
        return unique_names(value)

    @model_validator(mode="after")
    def _no_quota_beside_exploration(self) -> Self:
        quotas = [f"{number}, {rule.name}" for number, rule in enumerate(self.rules, 1) if rule.quota]
        if quotas and self.scoring.explore:
            raise ValueError(
                f"scoring.explore = {self.scoring.explore} beside the quota of rule {quotas[0]}: the "
                "chance of an explored item would not be known; set explore = 0 or remove the quota"
            )
        return self

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

    @property
    def only_new_items(self) -> bool:
        """Whether a list holds nothing that the user has had an event with."""
        return self.scoring.filter_viewed and not self.data.event_meaning.shows_again

    def today(self) -> date:
        """The current day in the workspace's time zone."""
        return datetime.now(ZoneInfo(self.timezone)).date()

"""The settings of the sources of candidates, a section each."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from recsys_cli.configs.fields import LONGEST_HALF_LIFE, SHORTEST_HALF_LIFE, Days, Section, Seed, Share
from recsys_cli.utils.columns import LONGEST_LIST

Candidates = Annotated[
    int, Field(ge=0, le=LONGEST_LIST, description="candidates a user from this source; 0: off")
]
DAY_PLACE = "{date}"  # in a path: the day as 2026-11-23


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
        60.0, ge=0.0, le=LONGEST_HALF_LIFE, description="age at which an event counts half; 0: no decay"
    )
    num_threads: int = Field(1, ge=1, le=1024, description="more than one is faster and not reproducible")
    random_state: Seed = 42

    @field_validator("half_life_days")
    @classmethod
    def _none_or_long_enough(cls, value: float) -> float:
        if 0 < value < SHORTEST_HALF_LIFE:
            raise ValueError(f"must be 0, for no decay, or at least {SHORTEST_HALF_LIFE}")
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

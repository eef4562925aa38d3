"""What a model's manifest must hold for the program to go by it, whoever has written it."""

from datetime import date, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, NonNegativeInt

from recsys_cli.utils.json_schema import validated

_MEASURES = ("NDCG", "MAP", "Recall", "HitRate", "CatalogCoverage")  # that a model's page shows


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, LookupError):  # ValueError is told as it is
        raise ValueError("no such time zone") from None
    return name


def _day(text: str) -> str:
    date.fromisoformat(text)
    return text


def _moment(text: str) -> str:
    datetime.fromisoformat(text)
    return text


Name = Annotated[str, Field(pattern=r"\A[A-Za-z0-9_-]{1,64}\z")]
Day = Annotated[str, AfterValidator(_day)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)  # what else there is, nobody goes by


class _Stage(_Part):
    settings: dict[str, Any]
    newest_event: Annotated[str, AfterValidator(_moment)]
    id_types: Annotated[list[Literal["Int64", "String"]], Field(min_length=2, max_length=2)]
    lightfm: bool
    similarities: dict[Name, Literal["sparse", "dense"]]
    max_categories: NonNegativeInt
    filter_viewed: bool


class _Calibration(_Part):
    slope: Annotated[FiniteFloat, Field(gt=0)]
    intercept: FiniteFloat


class _Ranker(_Part):
    columns: list[str]
    categories: list[str]
    calibration: _Calibration
    score: Literal["probability", "raw"]


class _Window(_Part):
    first_day: Day
    users: int
    rows: int
    positives: int


class _Comparison(_Part):
    metric: str
    against: str
    difference: float
    low: float
    high: float


class _Budget(_Part):
    by_source: dict[str, Any]


class _Exam(_Part):
    k: int
    users: int
    first_day: Day
    models: dict[str, dict[str, float]]
    comparisons: list[_Comparison]
    against_popularity: _Comparison | None
    budget: _Budget


class _Settings(_Part):
    timezone: Annotated[str, AfterValidator(_zone)]
    ranker: dict[str, Any]


class _Manifest(_Part):
    version: Name
    trained_through: Day
    files: dict[str, str]
    stage: _Stage
    ranker: _Ranker
    run_id: str
    created: str
    events: int
    trees: int
    label_windows: list[_Window]
    exam: _Exam
    feature_importance: dict[str, float]
    seconds: dict[str, float]
    settings: _Settings
    warm_start_of: str | None
    full_training: dict[str, Any] | None


def check_manifest(told: Any) -> None:
    """Hold a manifest against all that the program goes by.

    Raises: ValueError that tells the first place where it is something else.
    """
    exam = validated(told, _Manifest).exam
    wanted = {f"{measure}@{exam.k}" for measure in _MEASURES}
    if not all(wanted <= set(figures) for figures in exam.models.values()):
        raise ValueError("exam.models: figures are missing")

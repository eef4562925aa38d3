"""The schema of a model's manifest, checked each time that one is read."""

import re
from typing import Annotated, Any, Final, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from recsys_cli.models.evaluation.evaluation_summary import HoldoutSummary, Measures
from recsys_cli.utils.dates import day_start
from recsys_cli.utils.errors import UsageError
from recsys_cli.utils.json_record import (
    Count,
    Day,
    Figure,
    JsonRecord,
    MomentText,
    RunId,
    Seconds,
    Sha256,
    UtcTime,
    Word,
)

_MEASURES = ("NDCG", "MAP", "Recall", "HitRate", "CatalogCoverage")  # that a model's page shows


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, LookupError):  # a ValueError passes as it is
        raise ValueError("no such time zone") from None
    return name


Name = Annotated[str, Field(pattern=r"\A[A-Za-z0-9_-]{1,64}\z")]
FIT_FILE: Final = re.compile(r"[a-z0-9_]{1,64}\.(npy|parquet)", re.ASCII)  # behind a source's name
FitFile = Annotated[str, Field(pattern=rf"\A{FIT_FILE.pattern}\z")]
IdType = Annotated[str, Field(pattern=r"\A(Int64|String)\z")]  # of polars


class StageManifest(JsonRecord):
    """The candidate stage: sections of its sources and feature plug-ins, and the files of what was learnt."""

    sources: dict[Name, dict[str, Any]]
    fits: dict[Name, list[FitFile]]
    features: dict[Name, dict[str, Any]]
    newest_event: UtcTime
    id_types: Annotated[list[IdType], Field(min_length=2, max_length=2)]
    max_categories: Count
    filter_viewed: bool
    events: dict[str, Any] | None = None  # what they count for, where they are not all alike


class CalibrationManifest(JsonRecord):
    """Slope and intercept that turn raw scores into probabilities."""

    slope: Annotated[Figure, Field(gt=0)]
    intercept: Figure


class RankerManifest(JsonRecord):
    """The columns that the trees ask for, and what the scores are."""

    columns: list[Word]
    categories: list[Word]
    calibration: CalibrationManifest
    score: Annotated[str, Field(pattern=r"\A(probability|raw)\z")]


class LabelWindowFigures(JsonRecord):
    """Counts of a label window's rows for the ranker."""

    first_day: Day
    candidates_trained_through: Day | None = None
    users: Count
    rows: Count
    positives: Count
    positives_in_window: Count | None = None


class FullTraining(JsonRecord):
    """The last full training before a warm start: what it took, and how it did in its holdout."""

    version: Name
    seconds: Seconds
    holdout: Measures = Field(alias="exam")


class TrainedSettings(JsonRecord):
    """The settings of the training; sections beside these pass through."""

    timezone: Annotated[str, AfterValidator(_zone)]
    ranker: dict[str, Any]


class TrainingFacts(JsonRecord):
    """What a training records of itself.

    Attributes:
        own_item_auc: of learnt vectors in the holdout.
        reading: what the rows of the tables were chosen and weighed by, by dotted key; None: not recorded.
    """

    run_id: RunId
    created: MomentText
    events: Count
    label_windows: list[LabelWindowFigures]
    trees: Count
    holdout: HoldoutSummary = Field(alias="exam")
    feature_importance: dict[Word, Figure]
    seconds: dict[Word, Seconds]
    libraries: dict[Word, Word] = Field(default_factory=dict)
    warm_start_of: Name | None
    full_training: FullTraining | None
    settings: TrainedSettings
    own_item_auc: Figure | None = None
    reading: dict[Word, str] | None = None


class PluginManifest(JsonRecord):
    """A plug-in that the model needs, and the package that it is of."""

    group: Word
    name: Word
    distribution: Word
    version: Word


class ModelFacts(JsonRecord):
    """What identifies a trained model, beside the hashes of its files."""

    trained_through: Day
    stage: StageManifest
    ranker: RankerManifest
    plugins: list[PluginManifest]


class ModelManifest(TrainingFacts, ModelFacts):
    """The manifest of a model version."""

    schema_version: Count
    version: Name
    files: dict[Word, Sha256]

    @classmethod
    def read(cls, value: object) -> Self:
        """Return a JSON value as the manifest of a model that has all figures of its page.

        Raises: ValueError that names the first field that does not fit.
        """
        manifest = super().read(value)
        wanted = {f"{measure}@{manifest.holdout.k}" for measure in _MEASURES}
        if not all(wanted <= set(measures) for measures in manifest.holdout.models.values()):
            raise ValueError("exam.models: figures are missing")
        _check_days(manifest)
        return manifest


def _check_days(manifest: ModelManifest) -> None:
    """Raise: ValueError where the model has seen more than it says."""
    try:
        cut = day_start(manifest.trained_through, manifest.settings.timezone)
    except UsageError:
        raise ValueError("trained_through: it lies beyond the calendar") from None
    if manifest.stage.newest_event >= cut:
        raise ValueError("stage.newest_event: it does not lie before trained_through")

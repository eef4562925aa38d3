"""A workspace: its settings and where its results lie."""

import os
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from recsys_cli.configs.sections import Settings
from recsys_cli.utils.files import may_be_made, same_file_system, sha256_of_json

RECOMMENDATIONS = "recommendations.parquet"
MANIFEST = "manifest.json"
SUCCESS = "_SUCCESS"


@dataclass(frozen=True)
class Workspace:
    """A folder with settings; every path of a run comes from here.

    Attributes:
        secrets: dotted keys of the settings whose values no record may show.
    """

    root: Path
    settings: Settings
    secrets: frozenset[str] = frozenset()

    @property
    def models(self) -> Path:
        """The folder of model versions."""
        return self.root / self.settings.output.models

    @property
    def runs(self) -> Path:
        """The folder of run records."""
        return self.root / self.settings.output.runs

    @property
    def fits(self) -> Path:
        """The folder of kept fits."""
        return self.models / ".fits"

    @property
    def published(self) -> Path:
        """The folder of all published recommendations."""
        return self.root / self.settings.output.recommendations

    @property
    def threads(self) -> int:
        """Threads that a run uses: those of the settings, never more than there are cores."""
        cores = len(os.sched_getaffinity(0))
        return min(self.settings.runtime.threads or cores, cores)

    @property
    def features_root(self) -> Path:
        """The folder of all feature partitions."""
        return self.root / self.settings.output.features

    def features(self, day: date) -> Path:
        """Return the folder of a day's feature partition."""
        return self.features_root / f"date={day}"

    def recommendations(self, day: date) -> Path:
        """Return the folder of a day's published recommendations."""
        return self.published / f"date={day}"

    def staged(self, day: date) -> Path:
        """Return the folder where a day's recommendations grow: beside the published ones, on their disk."""
        beside = self.published.with_name(f".{self.published.name}.staged")
        fits = same_file_system(beside, self.published) and may_be_made(beside)
        return (beside if fits else self.published / ".staged") / f"date={day}"

    def plan(self, day: date) -> Path:
        """Return where the plan of a day's scoring is kept."""
        return self.runs / ".plans" / f"date={day}.json"

    def lock(self, name: str) -> Path:
        """Return the path of a lock file."""
        return self.runs / ".locks" / f"{name}.lock"

    def feature_settings_hash(self) -> str:
        """Return a hash of the settings that shape a feature partition."""
        settings = self.settings
        mapping: dict[str, Any] = settings.data.model_dump(mode="json")
        for freshness in ("max_age_days", "stale_after_days"):
            del mapping[freshness]
        for table in ("interactions", "users", "items"):
            del mapping[table]["path"]  # what the files hold counts, not where they lie
        features = settings.features.model_dump(mode="json")
        external = settings.candidates.external
        columns = external.columns if external.is_on else None
        return sha256_of_json([mapping, features, columns, settings.scoring.exclude, settings.timezone])

"""A workspace: its settings and where its results lie."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.features.definition import feature_plugins
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.models.candidates.registry import external_settings
from recsys_cli.utils.storage.folder_checks import may_be_made, nearest_existing
from recsys_cli.utils.storage.folder_exchange import can_rename
from recsys_cli.utils.storage.hashing import sha256_of_json
from recsys_cli.utils.storage.result_store import Results

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

    @cached_property
    def models(self) -> Results:
        """The model versions."""
        return self._results(self.settings.output.models)

    @cached_property
    def inputs(self) -> InputFolder:
        """Where the inputs lie."""
        return InputFolder(self.root, self.settings.storage.model_dump())

    @property
    def runs(self) -> Path:
        """The folder of run records."""
        return self.root / self.settings.output.runs

    @property
    def fits(self) -> Path:
        """The folder of cached fits."""
        return self.models.folder / ".fits"

    @property
    def training_steps(self) -> Path:
        """The folder of the finished steps of trainings that have not ended."""
        return self.models.folder / ".training"

    @cached_property
    def published(self) -> Results:
        """All published recommendations, by `date=D`."""
        return self._results(self.settings.output.recommendations)

    @cached_property
    def checkpoints(self) -> Path:
        """The folder where lists grow: beside the published ones, or among them if these are a volume."""
        published = self.published.folder
        beside = checkpoints_beside(published)
        is_near = can_rename(nearest_existing(beside), nearest_existing(published))
        return beside if is_near and may_be_made(beside) else published / ".staged"

    @property
    def threads(self) -> int:
        """Threads that a run uses: those of the settings, never more than there are cores."""
        cores = len(os.sched_getaffinity(0))
        return min(self.settings.runtime.threads or cores, cores)

    @cached_property
    def partitions(self) -> Results:
        """All feature partitions, by `date=D`."""
        return self._results(self.settings.output.features)

    def _results(self, path: str) -> Results:
        return Results.at(path, self.root, self.settings.storage.model_dump())

    def lock(self, name: str) -> Path:
        """Return the path of a lock file."""
        return self.runs / ".locks" / f"{name}.lock"

    def feature_settings_hash(self) -> str:
        """Return a hash of the settings that shape a feature partition."""
        settings = self.settings
        mapping = settings.data.model_dump(mode="json")
        for bound in ("max_age_days", "stale_after_days", "gates"):
            del mapping[bound]  # they shape nothing
        if not mapping["events"]:
            del mapping["events"]  # features that were made before events had types stay
        if not settings.data.items.is_given:
            del mapping["items"]["only_listed"]
        for table in ("users", "items"):
            _without_unused(mapping[table])
        for table in ("interactions", "users", "items"):
            for place in ("path", "connection", "password", "query"):
                del mapping[table][place]  # what the tables hold counts, not where they lie
        features = settings.features.model_dump(mode="json")
        external = external_settings(settings.candidates)
        columns = external.columns if external.is_on() else None
        shaping = [mapping, features, columns, settings.scoring.exclude, settings.timezone]
        on = settings.features.plugins()
        plugins = [one.record() for name, one in feature_plugins().items() if name in on]
        return sha256_of_json([*shaping, *([plugins] if plugins else [])])


def checkpoints_beside(published: Path) -> Path:
    """Return the folder of checkpoints beside that of published ones."""
    return published.parent / f".{published.name}.staged"


def _without_unused(table: dict[str, Any]) -> None:
    """Leave out settings that shape nothing: features that were made before them stay."""
    if not table["feature_expressions"]:
        del table["feature_expressions"]
    if not table["rule_columns"]:
        del table["rule_columns"]
    if not table["snapshots"]:
        del table["snapshots"], table["max_snapshot_age_days"]

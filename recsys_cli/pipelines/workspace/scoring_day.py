"""A day of a workspace: what counts for it, and where its results lie."""

import os
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path

from recsys_cli.data_preparation.readers.local_files import source_files
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.external_candidates import external_files
from recsys_cli.models.candidates.registry import external_settings
from recsys_cli.pipelines.workspace.layout import RECOMMENDATIONS, Workspace
from recsys_cli.utils.dates import day_start
from recsys_cli.utils.storage.hashing import sha256_of_json


@dataclass(frozen=True)
class ScoringDay:
    """The day that lists are made for, in a workspace.

    Example:
        day = ScoringDay(workspace, date(2026, 7, 1))
        day.file  # recommendations/date=2026-07-01/recommendations.parquet
    """

    workspace: Workspace
    date: date

    def __str__(self) -> str:
        return str(self.date)

    @property
    def name(self) -> str:
        """The name of the day's folders."""
        return f"date={self.date}"

    @cached_property
    def cut(self) -> datetime:
        """The first instant that does not count, in UTC."""
        return day_start(self.date, self.workspace.settings.timezone)

    @property
    def features(self) -> Path:
        """The folder of the feature partition; of a store: of its copy, brought up to date.

        Raises: OutputError where a store does not answer.
        """
        return self.workspace.partitions.open(self.name)

    @property
    def recommendations(self) -> Path:
        """The folder of the published recommendations, as `features` is.

        Raises: OutputError where a store does not answer.
        """
        return self.workspace.published.open(self.name)

    @property
    def file(self) -> Path:
        """The published recommendations file.

        Raises: OutputError where a store does not answer.
        """
        return self.recommendations / RECOMMENDATIONS

    @property
    def staged(self) -> Path:
        """The folder where the day's recommendations grow."""
        return self.workspace.checkpoints / self.name

    @property
    def plan(self) -> Path:
        """The file of the plan of a scoring run."""
        return self.workspace.runs / ".plans" / f"{self.name}.json"

    @property
    def training_plan(self) -> Path:
        """The file of the plan of a training on the events before the day."""
        return self.workspace.runs / ".plans" / f"train-{self.date}.json"

    @property
    def lock(self) -> Path:
        """The lock file of whatever writes results of the day."""
        return self.workspace.lock(self.name)

    @cached_property
    def inputs(self) -> InputFolder:
        """Where the day's inputs lie."""
        return self.workspace.inputs.at(self.date, self.workspace.settings.timezone)

    def inputs_fingerprint(self) -> str:
        """Return a hash of the sources as files, as they are now, and of the settings that read them.

        Raises: InputError for files that are not there.
        """
        workspace, data = self.workspace, self.workspace.settings.data
        tables = [table for table in (data.interactions, data.users, data.items) if table.is_given]
        files = [file for table in tables for file in source_files(table, self.inputs)]
        external = external_files(
            external_settings(workspace.settings.candidates), workspace.inputs, [self.date]
        )
        files += [file for found in external.values() for file in found]
        states = [
            (os.path.relpath(file, workspace.root), file.stat().st_size, file.stat().st_mtime_ns)
            for file in files
        ]
        return sha256_of_json([states, self.workspace.feature_settings_hash()])

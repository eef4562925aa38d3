"""`check`: everything that would stop, or spoil, a run for a day; it writes nothing."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Literal

from recsys_cli.data_preparation.column_guessing.unused_columns import unused_event_columns
from recsys_cli.data_preparation.features.day_features import features_without_rows
from recsys_cli.data_preparation.features.eligibility import eligibility_problems
from recsys_cli.data_preparation.features.labels import label_cuts
from recsys_cli.data_preparation.readers.row_sources import shown_source
from recsys_cli.data_preparation.tables.contract import Tables, inspect_tables
from recsys_cli.data_preparation.tables.external_candidates import index_external, inspect_external
from recsys_cli.data_preparation.tables.problems import Problem, raise_errors, raise_or_warn
from recsys_cli.models.candidates.registry import external_settings
from recsys_cli.models.two_stage import schema_mismatches, sources_without_proposals
from recsys_cli.models.versions.bundle import Bundle
from recsys_cli.models.versions.registry import is_pointed, promoted_version
from recsys_cli.models.versions.trained_settings import other_rows
from recsys_cli.pipelines.rule_check import RuleCheck
from recsys_cli.pipelines.workspace.input_check import InputCheck, InputReport, read_figures
from recsys_cli.pipelines.workspace.inputs import with_days
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.promoted_model import (
    lost_feature_problems,
    open_bundle,
    trained_settings_problems,
    without_unused_deliveries,
)
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import ITEM_ID, USER_ID
from recsys_cli.utils.errors import InputError, ModelError, OutputError, RecsysError, SettingsError
from recsys_cli.utils.storage.folder_checks import nearest_existing
from recsys_cli.utils.storage.folder_exchange import check_replaceable
from recsys_cli.utils.storage.replacement_journal import standing

_SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class CheckReport:
    """All problems of a workspace on a day: errors, warnings, then notes.

    Attributes:
        inputs: the figures of the inputs beside those of the last runs; None: they cannot be read.
    """

    day: date
    problems: list[Problem]
    inputs: InputReport | None = None

    @property
    def errors(self) -> int:
        """How many of the problems stop a run."""
        return self._count("error")

    @property
    def warnings(self) -> int:
        """How many of the problems are worth a look, and stop nothing."""
        return self._count("warning")

    def _count(self, severity: str) -> int:
        return sum(problem.severity == severity for problem in self.problems)

    def facts(self) -> dict[str, object]:
        """Return the report as a JSON object."""
        problems = [asdict(problem) for problem in self.problems]
        facts = {"schema_version": 1, "date": str(self.day), "problems": problems}
        if self.inputs is not None:
            facts["inputs"] = self.inputs.figures.as_stored()
            facts["gates"] = [gate.as_json() for gate in self.inputs.gates]
        return facts


@dataclass(frozen=True)
class Inspection:
    """What was found in a workspace for a day.

    Attributes:
        tables: the inputs as read, without external candidates; None where they cannot be used.
        problems: all problems, by the error that a run would stop with.
        inputs: the figures of the tables.
    """

    tables: Tables | None
    problems: Mapping[type[RecsysError], list[Problem]]
    inputs: InputReport | None


def check_workspace(day: ScoringDay, *, accept_inputs: bool = False) -> CheckReport:
    """Check the inputs, their age, the promoted model and the output folders, and collect all problems.

    Args:
        accept_inputs: as the option of a run does: figures beyond their bounds are warnings.

    Raises: SettingsError for an expression of the settings that does not parse.
    """
    found = inspect_workspace(day, accept_inputs=accept_inputs)
    problems = [problem for several in found.problems.values() for problem in several]
    problems += _unused_column_notes(day) + _rule_doubts(day, found)
    problems.sort(key=lambda problem: _SEVERITIES.index(problem.severity))
    return CheckReport(day.date, problems, found.inputs)


def _rule_doubts(day: ScoringDay, found: Inspection) -> list[Problem]:
    """Return what rules do that cannot be meant, where nothing keeps them from being applied."""
    wrong = [*found.problems[InputError], *found.problems[SettingsError]]
    if found.tables is None or any(one.severity == "error" for one in wrong):
        return []
    return RuleCheck(day, found.tables).doubts()


def _unused_column_notes(day: ScoringDay) -> list[Problem]:
    """Return a note for each column of the events that is not used and may be a weight or a type."""
    table, inputs = day.workspace.settings.data.interactions, day.inputs
    where = "data.interactions.columns"
    try:
        hints = unused_event_columns(table, inputs)
    except InputError:
        return []  # it stands among the errors
    return [
        Problem(
            shown_source(table, inputs.path),
            f"the column {hint.column!r} is not used; it {hint.reason}",
            f"set {where}.{hint.contract or 'weight'} if it is, see `recsys guide data`",
            "note",
        )
        for hint in hints
    ]


def check_before_run(day: ScoringDay, *, accept_inputs: bool) -> Tables:
    """Return the day's tables, read once; log every warning.

    Args:
        accept_inputs: let inputs through whose figures miss their bounds.

    Raises: an InputError, ModelError or OutputError with every problem that would stop a run; SettingsError
        for expressions and rules of the settings that cannot be used.
    """
    found = inspect_workspace(day, accept_inputs=accept_inputs)
    problems = [problem for several in found.problems.values() for problem in several]
    for kind, several in found.problems.items():
        if any(problem.severity == "error" for problem in several):
            raise_errors(problems, kind, "that stop the run")
    raise_or_warn(problems)
    assert found.tables is not None
    return with_days(found.tables, day.workspace, [day.date])


def inspect_workspace(day: ScoringDay, *, accept_inputs: bool = False) -> Inspection:
    """Read the inputs and look at the model and the output folders.

    Raises: SettingsError for an expression of the settings that does not parse.
    """
    asked, day = day, without_unused_deliveries(day)
    workspace = day.workspace
    settings = workspace.settings
    tables, problems = inspect_tables(
        settings.data, workspace.inputs, day.date, settings.timezone, settings.scoring.exclude
    )
    inputs = None
    if tables is not None:
        inputs = InputCheck(day).inspect(read_figures(workspace, tables))
        problems += inputs.problems(accept=accept_inputs)
        problems += eligibility_problems(
            tables.items, day.date, shown_source(settings.data.items, workspace.root)
        )
    problems += _external_problems(day, tables) + _training_doubts(asked)
    of_rules = {} if tables is None else RuleCheck(day, tables).errors()
    by_kind: dict[type[RecsysError], list[Problem]] = {
        SettingsError: of_rules.get(SettingsError, []),
        InputError: problems + of_rules.get(InputError, []),
        ModelError: _model_problems(day, tables),
        OutputError: _output_problems(day),
    }
    return Inspection(tables, by_kind, inputs)


def _external_problems(day: ScoringDay, tables: Tables | None) -> list[Problem]:
    """Return what is wrong with the day's external candidates."""
    inputs, settings = day.workspace.inputs, external_settings(day.workspace.settings.candidates)
    if not settings.is_on():
        return []
    rows, problems = inspect_external(settings, inputs, [day.date])
    if tables is not None:
        problems += index_external(rows, tables.users[USER_ID], tables.items[ITEM_ID])[1]
    return problems


def _training_doubts(day: ScoringDay) -> list[Problem]:
    """Return warnings of external candidates of the earlier days that a training would learn from."""
    inputs, settings = day.workspace.inputs, external_settings(day.workspace.settings.candidates)
    ranking = day.workspace.settings.ranker
    if not settings.is_on():
        return []
    doubts = inspect_external(
        settings, inputs, label_cuts(day.date, ranking.label_days, ranking.label_windows)
    )[1]
    return [
        replace(doubt, what=f"`train --date {day}` would stop: {doubt.what}", severity="warning")
        for doubt in doubts
    ]


def _model_problems(day: ScoringDay, tables: Tables | None) -> list[Problem]:
    """Return why the promoted model cannot score the day; that no model exists yet is only a warning."""
    workspace = day.workspace
    try:
        promoted_version(workspace.models)
    except ModelError as error:
        return [_as_problem(error, "error" if is_pointed(workspace.models) else "warning")]
    try:
        bundle = open_bundle(day)
        warnings = trained_settings_problems(workspace, bundle)
        return warnings if tables is None else warnings + _fit_problems(workspace, bundle, tables)
    except ModelError as error:
        return [_as_problem(error, "error")]


def _fit_problems(workspace: Workspace, bundle: Bundle, tables: Tables) -> list[Problem]:
    settings = workspace.settings
    known = replace(tables, external={} if external_settings(settings.candidates).is_on() else None)
    features = features_without_rows(known, settings.features)
    viewed, meaning = settings.scoring.filter_viewed, settings.data.event_meaning
    wrong = schema_mismatches(bundle.model, features, filter_viewed=viewed, events=meaning)
    wrong += other_rows(bundle, settings)
    wrong += sources_without_proposals(bundle.model, replace(features, items=tables.items))
    if not wrong:
        return lost_feature_problems(workspace, bundle, tables.users.lazy(), tables.items.lazy())
    fix = "restore these settings, or run `recsys train` again"
    return [
        Problem("settings/settings.toml", f"model {bundle.version} does not fit: {line}", fix)
        for line in wrong
    ]


def _output_problems(day: ScoringDay) -> list[Problem]:
    """Return the output folders that cannot be made or written; nothing is written to find out."""
    workspace = day.workspace
    folders = {
        "features": workspace.partitions.folder,
        "models": workspace.models.folder,
        "recommendations": workspace.published.folder / day.name,
        "runs": workspace.runs,
    }
    problems = _volumes(day)
    for name, folder in folders.items():
        existing = nearest_existing(folder)
        if not existing.is_dir():
            problems.append(_output(existing, f"output.{name} leads through a file, not a folder", name))
        elif not os.access(existing, os.W_OK | os.X_OK):
            problems.append(_output(existing, f"output.{name} cannot be written here", name))
    return problems


def _volumes(day: ScoringDay) -> list[Problem]:
    """Return the day's folders whose place no other folder can take."""
    found = []
    for results in (day.workspace.partitions, day.workspace.published):
        try:
            check_replaceable(standing(results.folder / day.name))
        except OutputError as error:
            found.append(_as_problem(error, "error"))
    return found


def _output(path: Path, what: str, name: str) -> Problem:
    return Problem(str(path), what, f"make it a folder that can be written, or set output.{name} to one")


def _as_problem(error: RecsysError, severity: Literal["error", "warning"]) -> Problem:
    return Problem(error.where, error.what, error.fix, severity)

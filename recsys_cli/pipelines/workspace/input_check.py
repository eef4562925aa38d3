"""The door that a run's inputs pass: their figures beside those of the last runs, and their age."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version

from recsys_cli.data_preparation.readers.column_names import column_names
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.data_preparation.tables.freshness import freshness_problems
from recsys_cli.data_preparation.tables.input_figures import InputFigures, figures_of
from recsys_cli.data_preparation.tables.problems import Problem, raise_or_warn
from recsys_cli.pipelines.monitoring.input_gate import InputGate, in_digits
from recsys_cli.pipelines.monitoring.input_gates import input_gates
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_history import PastInputs, past_inputs
from recsys_cli.pipelines.workspace.run_record import Run, RunInputs
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.storage.hashing import sha256_of_json
from recsys_cli.utils.storage.uris import shown_path

_FIX = (
    "deliver the inputs again; if they are right, run once with --accept-inputs, or loosen the setting that "
    "is named in brackets"
)
_TABLES = ("interactions", "users", "items")
_AS_THEY_LIE = (
    "path",
    "features",
    "list_features",
    "category_features",
    "flag_features",
    "list_separator",
    "rule_columns",
)


@dataclass(frozen=True)
class InputCheck:
    """How a command looks at the inputs of a day.

    Attributes:
        run: whose record gets the figures; None: none does.
        accept: whether inputs that miss their bounds pass, with a warning.
    """

    day: ScoringDay
    run: Run | None = None
    accept: bool = False

    def let_through(self, figures: InputFigures, accepted: Sequence[str] = ()) -> list[str]:
        """Log what is worth a look, and record the figures; return what was accepted beyond its bounds.

        Args:
            accepted: what an earlier command has accepted of the same inputs.

        Raises: InputError that shows the figures side by side, unless they are accepted.
        """
        found = self.inspect(figures)
        wrong = [one.name for one in found.findings if one.problem.severity == "error"]
        passing = wrong if self.accept else [name for name in wrong if name in accepted]
        if self.run is not None:
            record = RunInputs(figures=figures, accepted=passing)
            self.run.facts["inputs"] = record.as_json()
        raise_or_warn([one.accepted() if one.name in passing else one.problem for one in found.findings])
        return passing

    def inspect(self, figures: InputFigures) -> "InputReport":
        """Compare the figures with those of the last runs; nothing is logged or raised."""
        settings = self.day.workspace.settings.data
        past = past_inputs(self.day.workspace, figures)
        gates = input_gates(figures, past.good, past.accepted, settings.gates)
        age = freshness_problems(figures.newest_event_age_days, settings, self.day.date)
        notes = [*_repeats(figures, past, self._where), *_columns(figures, past, self.day.workspace)]
        findings = [Finding("age of the newest event", one) for one in age]
        findings += [*_missed(gates, past, self._where), *(Finding(one.what, one) for one in notes)]
        return InputReport(figures, past, gates, findings)

    @property
    def _where(self) -> str:
        workspace = self.day.workspace
        return shown_path(workspace.settings.data.interactions.path, workspace.root)


@dataclass(frozen=True)
class Finding:
    """Something about the inputs that stops a run or is worth a look, by a name that stays the same."""

    name: str
    problem: Problem

    def accepted(self) -> Problem:
        """Return it as a warning, for a run that lets it through."""
        return replace(self.problem, what=f"accepted: {self.problem.what}", severity="warning")


@dataclass(frozen=True)
class InputReport:
    """All that was found out about a day's inputs, beside what the last runs read."""

    figures: InputFigures
    past: PastInputs
    gates: list[InputGate]
    findings: list[Finding]

    def problems(self, *, accept: bool) -> list[Problem]:
        """Return the findings as problems; accepted ones stop nothing."""
        return [
            one.accepted() if accept and one.problem.severity == "error" else one.problem
            for one in self.findings
        ]


def read_figures(workspace: Workspace, tables: Tables) -> InputFigures:
    """Return the figures of the tables that were read for a day."""
    return figures_of(tables, _reading(workspace), _columns_as_delivered(workspace))


def _reading(workspace: Workspace) -> str:
    """Return a hash of all that decides what the same sources are read as, and how events are hashed."""
    data = workspace.settings.data.model_dump(mode="json")
    tables = [{k: v for k, v in data[name].items() if k not in _AS_THEY_LIE} for name in _TABLES]
    ids, exclude = (data["user_id_type"], data["item_id_type"]), workspace.settings.scoring.exclude
    zone = workspace.settings.timezone
    return sha256_of_json([tables, ids, data["events"], exclude, zone, version("polars")])[:16]


def _columns_as_delivered(workspace: Workspace) -> dict[str, list[str]]:
    data, found = workspace.settings.data, dict[str, list[str]]()
    for name, table in (("interactions", data.interactions), ("users", data.users), ("items", data.items)):
        with suppress(InputError):  # it was read a moment ago: what has happened since is told elsewhere
            found[name] = column_names(table, workspace.inputs)
    return {name: columns for name, columns in found.items() if columns}


def _missed(gates: Sequence[InputGate], past: PastInputs, where: str) -> list[Finding]:
    """Return the gates that do not hold, each error with the figures side by side."""
    source = past.described() or "the weeks before"
    findings = []
    for gate in gates:
        if not gate.holds:
            usual = "" if gate.usual is None else f"; {source}: {in_digits(gate.usual)}"
            what = f"{gate.what}: {in_digits(gate.today)}{usual}; bound: {gate.bound}"
            what += f" (data.gates.{gate.setting})"
            findings.append(Finding(gate.what, Problem(where, what, _FIX, gate.severity)))
    return findings


def _repeats(figures: InputFigures, past: PastInputs, where: str) -> list[Problem]:
    """Return the warning of repeated events where there is nothing to compare them with: once."""
    if not figures.repeated_events or past.known:
        return []
    repeated = f"{figures.repeated_events:,} events repeat the user, item and timestamp of another event"
    what = f"{repeated}; each counts"
    return [Problem(where, what, "remove them from the source if they are not real events", "warning")]


def _columns(figures: InputFigures, past: PastInputs, workspace: Workspace) -> list[Problem]:
    """Return the warnings of columns that the sources have more, or no longer, than at the last run."""
    last = past.newest
    if last is None:
        return []
    found = []
    for table, names in figures.columns.items():
        before = last.columns.get(table, names)
        changes = {"new": set(names) - set(before), "missing": set(before) - set(names)}
        where = shown_path(getattr(workspace.settings.data, table).path, workspace.root)
        for how, columns in changes.items():
            if columns:
                shown = ", ".join(sorted(columns))
                what = f"columns of the {table} that are {how} since {last.day}: {shown}"
                fix = "see whether the settings should use, or no longer use, them"
                found.append(Problem(where, what, fix, "warning"))
    return found

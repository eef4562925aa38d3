"""What every run of a command has: its workspace, its threads, its record and its log."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from recsys_cli.cli.display.logs import log_to_file
from recsys_cli.cli.session import Session
from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.memory_limit import require_address_space
from recsys_cli.utils.open_files import require_open_files, too_few_open_files

if TYPE_CHECKING:
    from recsys_cli.pipelines.workspace.layout import Workspace
    from recsys_cli.pipelines.workspace.run_record import Run

_THREAD_VARIABLES = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS")


@dataclass(frozen=True)
class Running:
    """A run under way; `facts` go into its record."""

    workspace: "Workspace"
    run: "Run"
    facts: dict[str, Any] = field(default_factory=dict)


def open_workspace(session: Session) -> "Workspace":
    """Return the session's workspace, with its threads set before a library counts the cores.

    Raises: SettingsError for invalid settings, or output folders that are not apart; OSError or
        OutputError where the limit on open files or on address space stops any run.
    """
    loaded = session.loaded
    require_open_files()
    require_address_space()
    if loaded.settings.runtime.threads:
        for name in _THREAD_VARIABLES:
            os.environ[name] = str(loaded.settings.runtime.threads)
    from recsys_cli.pipelines.workspace.layout import Workspace
    from recsys_cli.pipelines.workspace.output_folders import check_output_folders

    workspace = Workspace(loaded.workspace, loaded.settings, loaded.secrets)
    check_output_folders(workspace)
    return workspace


@contextmanager
def running(session: Session, command: str, day: date) -> Iterator[Running]:
    """Keep the record of a run for a day, and its log, however it ends."""
    workspace = open_workspace(session)
    from recsys_cli.pipelines.workspace.run_record import begin_run, end_run

    run = begin_run(workspace, command, day)
    under_way = Running(workspace, run)
    settings, secrets = session.loaded.masked_values(), session.terminal.secrets
    session.log = run.folder / "log.jsonl"
    with log_to_file(session.log, secrets):
        try:
            yield under_way
        except BaseException as error:
            shown = too_few_open_files(error) or error
            facts = {**run.facts, **under_way.facts, "error": f"{type(shown).__name__}: {shown}"}
            with suppress(OutputError):
                end_run(run, "failed", settings, secrets.hide_in(facts))
            raise
        finally:
            _show_held(session, under_way)
        end_run(run, "complete", settings, secrets.hide_in({**run.facts, **under_way.facts}))


def _show_held(session: Session, under_way: Running) -> None:
    """Show what a quiet run has warned of, once, without what the last good run of the command said, too."""
    from recsys_cli.pipelines.workspace.run_history import last_warnings

    terminal, run = session.terminal, under_way.run
    if terminal.held:
        said = [_without_numbers(text) for text in terminal.held]
        run.facts["warnings"] = said
        known = set(last_warnings(under_way.workspace, run.command))
        old = [text for text, form in zip(terminal.held, said, strict=True) if form in known]
        terminal.show_held(old, f"{run.run_id} ended, but:")


def _without_numbers(text: str) -> str:
    return re.sub(r"\d[\d.,:]*", "#", text)


def stage_rows(under_way: Running) -> list[tuple[str, str, str]]:
    """Return each stage with its seconds and the peak memory by its end, as text."""
    return [
        (stage.name, f"{stage.seconds:.2f} s", f"{stage.peak_bytes / 1e9:.2f} GB")
        for stage in under_way.run.stages.all()
    ]

"""What a training in a workspace works with: its settings, threads, kept fits and finished steps."""

from collections.abc import Iterator
from contextlib import contextmanager

from recsys_cli.configs.dotted_keys import without
from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.tables import Tables
from recsys_cli.models.bundle import Bundle
from recsys_cli.models.training.checkpoint import Checkpoint
from recsys_cli.models.training.context import TrainingContext
from recsys_cli.pipelines.fit_cache import FitCache
from recsys_cli.pipelines.run_record import Run, library_versions
from recsys_cli.pipelines.workspace import Workspace
from recsys_cli.utils.files import sha256_of_json, staging_folder

_WITHOUT_EFFECT = ("candidates.index", "candidates.min_index_recall", "scoring.chunk_users")
_STEPS = 1  # grows when what a step keeps, or how it is made, changes


def resumable_context(
    workspace: Workspace, run: Run, tables: Tables, settings: Settings, base: Bundle | None = None
) -> TrainingContext:
    """Return the context of a training whose finished steps a later one with the same inputs goes on from.

    Args:
        settings: those that the model is made with.
        base: the model that a warm start goes on from.
    """
    key = _identity(workspace, tables, settings, base)
    return _context(workspace, run, Checkpoint(workspace.training_steps / key))


@contextmanager
def passing_context(workspace: Workspace, run: Run) -> Iterator[TrainingContext]:
    """Yield the context of a training that leaves no model, and so no finished steps."""
    with staging_folder(workspace.training_steps) as folder:
        yield _context(workspace, run, Checkpoint(folder))


def _context(workspace: Workspace, run: Run, checkpoint: Checkpoint) -> TrainingContext:
    return TrainingContext(
        workspace.settings, workspace.threads, run.stages, checkpoint, FitCache(workspace.fits)
    )


def _identity(workspace: Workspace, tables: Tables, settings: Settings, base: Bundle | None) -> str:
    """Return a hash of all that decides what the steps of a training give."""
    decisive = without(settings, _WITHOUT_EFFECT)
    sections = ("timezone", "features", "candidates", "ranker", "scoring", "evaluation")
    values = [
        _STEPS,
        str(tables.day),
        {name: decisive[name] for name in sections},
        workspace.threads,
        None if base is None else base.version,
        library_versions(),
        tables.content_hash(),
    ]
    return sha256_of_json(values)[:16]

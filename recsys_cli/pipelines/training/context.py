"""What a training of a workspace has: settings, threads, bounds, cached fits and finished steps."""

from collections.abc import Iterator
from contextlib import contextmanager

from recsys_cli.configs.dotted_keys import without
from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.features.definition import feature_plugins
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.fit_cache import FitCache
from recsys_cli.models.candidates.registry import source_plugins
from recsys_cli.models.training.checkpoint import StepCheckpoint
from recsys_cli.models.training.context import TrainingContext
from recsys_cli.models.training.lightfm_fits import LimitedFits
from recsys_cli.models.versions.bundle import Bundle
from recsys_cli.models.versions.registry import model_versions
from recsys_cli.pipelines.training.memory import TrainingBounds
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_record import Run, library_versions
from recsys_cli.utils.errors import ModelError
from recsys_cli.utils.storage.atomic_writes import staging_folder
from recsys_cli.utils.storage.folder_checks import refuse_planted
from recsys_cli.utils.storage.hashing import sha256_of_json

_WITHOUT_EFFECT = ("scoring.index", "scoring.min_index_recall", "scoring.chunk_users")
_STEPS = 2  # grows when what a step keeps, or how it is made, changes


def resumable_context(workspace: Workspace, run: Run, key: str, bounds: TrainingBounds) -> TrainingContext:
    """Return the context of a training whose finished steps a later one with the same key resumes after."""
    refuse_planted(workspace.training_steps)
    return _context(workspace, run, StepCheckpoint(workspace.training_steps / key), bounds)


@contextmanager
def temporary_context(
    workspace: Workspace, run: Run, bounds: TrainingBounds | None = None
) -> Iterator[TrainingContext]:
    """Yield the context of a training that stores neither a model nor finished steps."""
    with staging_folder(workspace.models.folder) as folder:
        # a folder inside: the staging folder itself is locked, and a step locks the folder of all steps
        yield _context(workspace, run, StepCheckpoint(folder / "steps"), bounds)


def training_key(
    workspace: Workspace,
    tables: Tables,
    settings: Settings,
    bounds: TrainingBounds,
    base: Bundle | None = None,
) -> str:
    """Return a hash of all that decides what the steps of a training give.

    Args:
        settings: those that the model is made with.
        base: the model that a warm start goes on from.
    """
    decisive = without(settings, _WITHOUT_EFFECT)
    sections = ["timezone", "features", "candidates", "ranker", "scoring", "evaluation"]
    sections += [] if base is None else ["warm_start"]
    values = [
        _STEPS,
        str(tables.day),
        {name: decisive[name] for name in sections},
        workspace.threads,
        None if base is None else base.version,
        library_versions(),
        tables.content_hash(),
        *(plugin.record() for plugin in [*source_plugins().values(), *feature_plugins().values()]),
    ]
    if bounds.rows < settings.ranker.max_train_rows:
        values.append(bounds.rows)
    if meaning := settings.data.event_meaning.model_dump(mode="json", exclude_defaults=True):
        values.append(meaning)
    return sha256_of_json(values)[:16]


def expected_iterations(workspace: Workspace) -> tuple[int, int]:
    """Return how many iterations the ranker's members together learn for the holdout, and at the end.

    As in the newest full training with the same ranker settings; without one, no member stops early.
    """
    ranking = workspace.settings.ranker
    try:
        versions, _ = model_versions(workspace.models)
    except ModelError:  # a damaged pointer: only its own use is refused
        versions = []
    for manifest in (one.manifest for one in versions):
        same = manifest.settings.ranker == ranking.model_dump(mode="json")
        if same and not manifest.warm_start_of:
            most = ranking.members * ranking.iterations
            until_holdout = manifest.trees + ranking.members * ranking.early_stopping_rounds
            return min(most, until_holdout), manifest.trees
    return ranking.members * ranking.iterations, ranking.members * ranking.iterations


def _context(
    workspace: Workspace, run: Run, checkpoint: StepCheckpoint, bounds: TrainingBounds | None
) -> TrainingContext:
    refuse_planted(workspace.fits)
    fits = FitCache(workspace.fits)
    if bounds is None:
        return TrainingContext(workspace.settings, workspace.threads, run.stages, checkpoint, fits)
    some = LimitedFits(fits, bounds.fits)
    return TrainingContext(workspace.settings, workspace.threads, run.stages, checkpoint, some, bounds.rows)

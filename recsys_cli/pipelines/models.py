"""`recsys models`: change which version scores, while no training writes one."""

from collections.abc import Iterator
from contextlib import contextmanager

from recsys_cli.models.versions.registry import promote, rollback
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.utils.storage.folder_checks import check_writable
from recsys_cli.utils.storage.locks import locked


def promote_version(workspace: Workspace, version: str, *, force: bool) -> str | None:
    """Make a version the one that scores; return the one before it.

    Raises: as `promote` does; OutputError where the models cannot be written; LockedError while another run
        holds them.
    """
    with _writing(workspace):
        return promote(workspace.models, version, force=force)


def rollback_promotion(workspace: Workspace) -> str:
    """Promote again the version before the last promotion, and return it.

    Raises: as `rollback` does; OutputError and LockedError as `promote_version` does.
    """
    with _writing(workspace):
        return rollback(workspace.models)


@contextmanager
def _writing(workspace: Workspace) -> Iterator[None]:
    check_writable(workspace.models.folder)
    with locked(workspace.lock("models"), "the models"):
        yield

"""Whether the output folders of a workspace are apart: from each other, from settings and from inputs."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path

from recsys_cli.configs.data_sections import DAY_PLACE
from recsys_cli.models.candidates.registry import external_settings
from recsys_cli.pipelines.workspace.layout import Workspace, checkpoints_beside
from recsys_cli.utils.errors import SettingsError
from recsys_cli.utils.storage.uris import WEB, copy_of, is_glob, is_uri, scheme_of


@dataclass(frozen=True)
class _Place:
    """Something that takes a path.

    Attributes:
        path: without symbolic links; of a store: of its copy.
        is_open: whether all that lies below the path belongs to it.
    """

    name: str
    path: Path
    is_open: bool = True

    def conflict(self, other: "_Place") -> str | None:
        """Return how this folder meets another place; None if they are apart."""
        if self.path == other.path or _is_same(self.path, other.path):
            return f"{self.name} and {other.name} are the same folder"
        if self.path in other.path.parents:
            return f"{other.name} lies inside {self.name}"
        if other.is_open and other.path in self.path.parents:
            return f"{self.name} lies inside {other.name}"
        return None


def check_output_folders(workspace: Workspace) -> None:
    """Check that no folder of `output` is, contains or lies inside another one, settings or an input.

    Raises: SettingsError.
    """
    outputs = _outputs(workspace)
    for one, other in (*combinations(outputs, 2), *product(outputs, _others(workspace))):
        conflict = one.conflict(other)
        if conflict is not None:
            raise SettingsError(
                conflict,
                where=f"{one.path}, {other.path}",
                fix=f"give {one.name} a folder of its own in settings/settings.toml",
            )


def _outputs(workspace: Workspace) -> list[_Place]:
    folders = {
        "output.features": workspace.partitions.folder,
        "output.models": workspace.models.folder,
        "output.recommendations": workspace.published.folder,
        "output.runs": workspace.runs,
    }
    return [_Place(name, _real(folder)) for name, folder in folders.items()]


def _others(workspace: Workspace) -> Iterator[_Place]:
    """Yield what is no output: settings, checkpoints and inputs."""
    yield _Place("the folder of the settings", _real(workspace.root / "settings"))
    yield _Place("the folder of checkpoints", _real(checkpoints_beside(workspace.published.folder)))
    data, external = workspace.settings.data, external_settings(workspace.settings.candidates)
    tables = {"interactions": data.interactions, "users": data.users, "items": data.items}
    for name, table in tables.items():
        if table.path and not (is_uri(table.path) and scheme_of(table.path) in WEB):
            yield _input(f"data.{name}.path", table.path, workspace.root)
    before_date = external.path.partition(DAY_PLACE)[0]
    if before_date:
        yield _Place("candidates.external.path", _real(workspace.root / before_date), is_open=False)


def _input(name: str, path: str, root: Path) -> _Place:
    """Return the file or folder of an input; of a glob: the last folder that is named in full."""
    full = copy_of(path, root) if is_uri(path) else root / path
    if not is_glob(path):
        return _Place(name, _real(full))
    named = next(folder for folder in full.parents if not is_glob(str(folder)))
    return _Place(name, _real(named), is_open="**" in path)


def _real(path: Path) -> Path:
    """Return a path without symbolic links.

    Raises: SettingsError if it cannot be one.
    """
    try:
        return Path(os.path.realpath(path))
    except ValueError as error:
        raise SettingsError(
            f"a setting is no path: {error}",
            where=ascii(str(path)),
            fix="correct it in settings/settings.toml",
        ) from None


def _is_same(one: Path, other: Path) -> bool:
    """Return whether two names lead to one folder, as mounts can."""
    try:
        return one.samefile(other)
    except OSError:
        return False

"""What other packages add to the program: found by their entry points, loaded when it is first needed."""

import re
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from recsys_cli.utils.errors import SettingsError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # it begins names of files, and is a key of the settings


@dataclass(frozen=True)
class Plugin:
    """Something that another package adds.

    Attributes:
        group, name: of the entry point.
        distribution, version: of the package as it is installed.
        loaded: what the entry point names.
    """

    group: str
    name: str
    distribution: str
    version: str
    loaded: Any

    def record(self) -> dict[str, str]:
        """Return what identifies it, as a model's manifest has it."""
        return {
            "group": self.group,
            "name": self.name,
            "distribution": self.distribution,
            "version": self.version,
        }


def load_plugins(group: str, kind: type) -> list[Plugin]:
    """Import what the installed packages add to a group, ordered by name.

    Raises: SettingsError that names the package where something cannot be imported or is not of the kind.
    """
    found = sorted(entry_points(group=group), key=lambda one: (one.name, _distribution(one)[0]))
    return [_load(one, kind) for one in found]


def refuse_plugin(plugin: Plugin, why: str) -> SettingsError:
    """Return the error of a plug-in that the program cannot use."""
    return SettingsError(
        f"the plug-in {plugin.name!r} cannot be used: {why}",
        where=f"package {plugin.distribution} {plugin.version}, entry point {plugin.group}",
        fix=f"correct the package, or remove it: pip uninstall {plugin.distribution}",
    )


def _load(entry: EntryPoint, kind: type) -> Plugin:
    plugin = Plugin(entry.group, entry.name, *_distribution(entry), None)
    if not _NAME.fullmatch(entry.name):
        raise refuse_plugin(plugin, "its name has more than letters, digits, _ and -, or over 64 of them")
    try:
        loaded = entry.load()
    except Exception as error:  # pylint: disable=broad-exception-caught  # others' code may raise anything
        raise refuse_plugin(plugin, f"{type(error).__name__}: {error}") from error
    if not isinstance(loaded, kind):
        raise refuse_plugin(plugin, f"{entry.value} is no {kind.__name__}")
    return Plugin(entry.group, entry.name, plugin.distribution, plugin.version, loaded)


def _distribution(entry: EntryPoint) -> tuple[str, str]:
    """Return the name and version of the package that has an entry point."""
    return ("", "") if entry.dist is None else (entry.dist.name, entry.dist.version)

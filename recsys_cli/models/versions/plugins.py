"""The plug-ins that a model needs: named in its manifest, and there when it is opened."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from recsys_cli.data_preparation.features.definition import feature_plugins
from recsys_cli.models.candidates.registry import source_plugins
from recsys_cli.models.candidates.stage import CandidateStage
from recsys_cli.models.versions.manifest_schema import PluginManifest
from recsys_cli.utils.errors import ModelError
from recsys_cli.utils.plugins import Plugin


def needed_plugins(stage: CandidateStage) -> list[PluginManifest]:
    """Return the plug-ins whose sources and features a model was trained with."""
    used = {**_of(source_plugins(), stage.settings.sections()), **_of(feature_plugins(), stage.features)}
    return [PluginManifest.model_validate(plugin.record()) for plugin in used.values()]


def check_plugins(needed: Sequence[PluginManifest], folder: Path) -> None:
    """Refuse a model whose plug-ins are not those that are installed.

    Raises: ModelError with what to install.
    """
    plugins = [*source_plugins().values(), *feature_plugins().values()]
    installed = {(one.group, one.name): one for one in plugins}
    wrong = []
    for one in needed:
        found = installed.get((one.group, one.name))
        if found is None:
            wrong.append((one, "it is not installed"))
        elif (found.distribution, found.version) != (one.distribution, one.version):
            wrong.append((one, f"{found.distribution} {found.version} is installed"))
    if wrong:
        packages = sorted({f"{one.distribution}=={one.version}" for one, _ in wrong})
        lines = [f"{one.name} of {one.distribution} {one.version}: {now}" for one, now in wrong]
        raise ModelError(
            "\n".join(
                ["the model needs plug-ins that are missing, or not of the version of its training", *lines]
            ),
            where=str(folder),
            fix=f"install them: pip install {' '.join(packages)}; or run `recsys train` again",
        )


def _of(plugins: Mapping[str, Plugin], names: Collection[str]) -> dict[str, Plugin]:
    return {plugin.group + name: plugin for name, plugin in plugins.items() if name in names}

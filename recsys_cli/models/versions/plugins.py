"""The plug-ins that a model needs: named in its manifest, and there when it is opened."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from recsys_cli.configs.source_sections import CandidatesSettings
from recsys_cli.models.candidates.registry import source_plugins
from recsys_cli.models.versions.manifest_schema import PluginManifest
from recsys_cli.utils.errors import ModelError


def needed_plugins(candidates: CandidatesSettings, columns: Iterable[str]) -> list[PluginManifest]:
    """Return the plug-ins whose sources or features a model was trained with.

    Args:
        candidates: sections of the model's sources.
        columns: of the ranker.
    """
    del columns
    sections = candidates.sections()
    needed = [plugin for name, plugin in source_plugins().items() if name in sections]
    return [PluginManifest.model_validate(one.record()) for one in needed]


def check_plugins(needed: Sequence[PluginManifest], folder: Path) -> None:
    """Refuse a model whose plug-ins are not those that are installed.

    Raises: ModelError with what to install.
    """
    installed = {(one.group, one.name): one for one in source_plugins().values()}
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
            "\n".join(["the model needs plug-ins that are not there as it was trained with them", *lines]),
            where=str(folder),
            fix=f"install them: pip install {' '.join(packages)}; or run `recsys train` again",
        )

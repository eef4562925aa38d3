"""The candidate sources that there are: those of this package in order, then those of plug-ins by name."""

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from typing import Any, Final

from recsys_cli.configs.data_sections import ExternalSettings
from recsys_cli.configs.source_sections import CandidatesSettings
from recsys_cli.models.candidates.definition import SourceDefinition
from recsys_cli.utils.plugins import Plugin, load_plugins, refuse_plugin

Definition = SourceDefinition[Any]
EXTERNAL: Final = "external"  # the only source that reads a table of its own
GROUP: Final = "recsys.sources"  # of entry points
_SOURCES: Final = "recsys_cli.models.candidates.sources"
# Each file's SOURCES, in the order that they have in lists and in the ranker's columns.
_FILES: Final = (
    "lightfm",
    "item_knn",
    "ease",
    "content",
    "popular",
    "segment",
    "history",
    EXTERNAL,
)


@cache
def built_in_sources() -> tuple[Definition, ...]:
    """Return this package's own sources, in order."""
    return tuple(one for file in _FILES for one in import_module(f"{_SOURCES}.{file}").SOURCES)


@cache
def source_plugins() -> Mapping[str, Plugin]:
    """Return the sources of other packages by the name of the source.

    Raises: SettingsError for a package whose source cannot be loaded or has the name of another.
    """
    found: dict[str, Plugin] = {}
    taken = {one.name for one in built_in_sources()}
    for plugin in load_plugins(GROUP, SourceDefinition):
        if plugin.loaded.name != plugin.name:
            raise refuse_plugin(plugin, f"the source calls itself {plugin.loaded.name!r}")
        if plugin.name in taken:
            raise refuse_plugin(plugin, "there is another source of this name")
        taken.add(plugin.name)
        found[plugin.name] = plugin
    return found


@cache
def sources() -> Mapping[str, Definition]:
    """Return all sources by the name of their section, in order.

    Raises: SettingsError as `source_plugins` does.
    """
    definitions = [*built_in_sources(), *(plugin.loaded for plugin in source_plugins().values())]
    return {one.name: one for one in definitions}


def sources_on(candidates: CandidatesSettings, *, filter_viewed: bool) -> list[Definition]:
    """Return the sources that propose items under these settings, a definition a section, in order."""
    return [
        sources()[name]
        for name, section in candidates.sections().items()
        if section.is_on(filter_viewed=filter_viewed)
    ]


def fitted_sources(candidates: CandidatesSettings, *, filter_viewed: bool) -> list[Definition]:
    """Return the sources whose fits those that are on use, each once, in order."""
    on = sources_on(candidates, filter_viewed=filter_viewed)
    needed = {one.fit_section for one in on}
    return [one for name, one in sources().items() if name in needed and one.fit is not None]


def external_settings(candidates: CandidatesSettings) -> ExternalSettings:
    """Return the section of the candidates that others deliver: where their files lie."""
    section = candidates.sections()[EXTERNAL]
    assert isinstance(section, ExternalSettings)
    return section


def popularity_sources(candidates: CandidatesSettings) -> frozenset[str]:
    """Return the names of the sources that propose what many had, whatever the user had."""
    return _names(candidates, (one for one in sources().values() if one.is_popularity))


def _names(candidates: CandidatesSettings, definitions: Iterable[Definition]) -> frozenset[str]:
    sections = candidates.sections()
    return frozenset(
        name for one in definitions if one.name in sections for name in sections[one.name].names(one.name)
    )


def source_table() -> list[str]:
    """Return this package's own sources as the lines of a Markdown table, for the guide."""
    rows = [
        f"| {', '.join(f'`{name}`' for name in one.settings().names(one.name))} | {one.summary} |"
        for one in built_in_sources()
    ]
    return ["| source | what it proposes |", "|---|---|", *rows]

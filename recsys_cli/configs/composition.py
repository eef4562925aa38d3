"""The tree of all settings, composed of the sections that sources and features bring along."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import create_model

from recsys_cli.configs.fields import Section
from recsys_cli.configs.sections import FeatureSettings, FeaturesSettings, Settings
from recsys_cli.configs.source_sections import CandidatesSettings, SourceSettings

Base = TypeVar("Base", bound=Section)


def compose_settings(
    sources: Mapping[str, type[SourceSettings]], features: Mapping[str, type[FeatureSettings]]
) -> type[Settings]:
    """Return the class of a workspace's settings with a section for each source and each feature plug-in.

    Args:
        sources: sections below `candidates`, in the order of the registry.
        features: sections below `features`.
    """
    candidates = compose_candidates(sources)
    with_features = _extended(FeaturesSettings, features)
    return create_model(
        "Settings",
        __base__=Settings,
        features=(with_features, with_features()),
        candidates=(candidates, candidates()),
    )


def compose_candidates(sources: Mapping[str, type[SourceSettings]]) -> type[CandidatesSettings]:
    """Return the class of the section `candidates` with these sources alone."""
    return _extended(CandidatesSettings, sources)


def _extended(base: type[Base], sections: Mapping[str, type[Section]]) -> type[Base]:
    fields: dict[str, Any] = {name: (section, section()) for name, section in sections.items()}
    return create_model(base.__name__, __base__=base, **fields)

"""The similarity that lists of variety avoid: that of the source which the settings name."""

from typing import Final

from recsys_cli.data_preparation.features.feature_tables import DayFeatures
from recsys_cli.models.candidates.definition import SourceDay
from recsys_cli.models.candidates.registry import Definition, sources
from recsys_cli.models.candidates.stage import CandidateStage
from recsys_cli.models.postprocessing.item_similarity import ItemSimilarity
from recsys_cli.utils.errors import SettingsError

_WHERE: Final = "scoring.diversity_by"


def similarity_names() -> list[str]:
    """Return the names of the sources that know how alike two items are, in order."""
    return [name for name, one in sources().items() if one.item_similarity is not None]


def item_similarity(name: str, stage: CandidateStage, features: DayFeatures) -> ItemSimilarity:
    """Return how alike a day's items are by a source, as trained; its section may be off.

    Args:
        name: of the source, one of `similarity_names`.

    Raises: SettingsError for another name, and where the model or the day's items give it nothing.
    """
    definition = sources().get(name)
    if definition is None or definition.item_similarity is None:
        names = ", ".join(similarity_names())
        raise SettingsError(f"{name!r} compares no items", where=_WHERE, fix=f"name one of {names}")
    fitted = stage.fits.get(definition.fit_section)
    if definition.fit is not None and fitted is None:
        raise SettingsError(
            f"the model has not learnt {name}, so it cannot compare items by it",
            where=_WHERE,
            fix=f"train with candidates.{name}.num_candidates above 0, or name one of "
            f"{', '.join(_usable(stage))}",
        )
    section = stage.settings.sections().get(name) or definition.settings()
    found = definition.item_similarity(SourceDay(name, section, features, stage.encoders, fitted))
    if found is None:
        raise SettingsError(
            definition.why_no_proposals(features, section) or f"{name} cannot compare the items of the day",
            where=_WHERE,
            fix=f"name one of {', '.join(one for one in _usable(stage) if one != name)}",
        )
    return found


def _usable(stage: CandidateStage) -> list[str]:
    return [name for name in similarity_names() if _needs_no_fit(sources()[name]) or name in stage.fits]


def _needs_no_fit(definition: Definition) -> bool:
    return definition.fit is None

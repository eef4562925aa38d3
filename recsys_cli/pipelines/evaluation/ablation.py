"""What `evaluate --without` leaves out: sources by the names that it prints, and groups of features."""

from collections.abc import Sequence

import polars as pl

from recsys_cli.configs.sections import Settings
from recsys_cli.configs.source_names import (
    CONTENT,
    EASE,
    RECENT,
    SEGMENT,
    families,
    sources_on,
    without_sources,
)
from recsys_cli.data_preparation.features.day_features import declared, features_without_rows
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.sources.popular import segment_features
from recsys_cli.utils.columns import ITEM, TITLE
from recsys_cli.utils.errors import UsageError


def settings_without(settings: Settings, names: Sequence[str]) -> Settings:
    """Return the settings with these sources, families of sources and groups of features off.

    Raises: UsageError for a name that is none of these, or off already.
    """
    sources, groups = _sources_left_out(settings, names), settings.ranker.feature_groups
    known = {*_sources(settings), *_families(settings), *groups}
    for name in names:
        if name not in known:
            raise _unknown(name, settings)
    kept = [name for name in groups if name not in names]
    return settings.model_copy(
        update={
            "candidates": without_sources(settings.candidates, sources),
            "ranker": settings.ranker.model_copy(update={"feature_groups": kept}),
        }
    )


def check_left_out(settings: Settings, names: Sequence[str], tables: Tables) -> None:
    """Refuse to leave out a source that the tables leave out themselves.

    Raises: UsageError.
    """
    sources = _sources_left_out(settings, names)
    for name, why in _without_data(settings, tables).items():
        if name in sources:
            raise UsageError(
                f"the source {name!r} is off: {why}", where="--without", fix="take this name away"
            )


def _sources_left_out(settings: Settings, names: Sequence[str]) -> list[str]:
    members = {name: [name] for name in _sources(settings)} | _families(settings)
    return list(dict.fromkeys(source for name in names for source in members.get(name, ())))


def _sources(settings: Settings) -> list[str]:
    return list(sources_on(settings.candidates, filter_viewed=settings.scoring.filter_viewed))


def _families(settings: Settings) -> dict[str, list[str]]:
    """Return the families with the sources of each that are on; of those that are off wholly, nothing."""
    on = set(_sources(settings))
    kept = {
        name: [one for one in members if one in on] for name, members in families(settings.candidates).items()
    }
    return {name: members for name, members in kept.items() if members}


def _unknown(name: str, settings: Settings) -> UsageError:
    together = "; ".join(f"{one} ({', '.join(names)})" for one, names in _families(settings).items())
    return UsageError(
        f"{name!r} is neither a source nor a group of features that is on",
        where="--without",
        fix=f"sources: {', '.join(_sources(settings))}; several at once: {together}; "
        f"groups: {', '.join(settings.ranker.feature_groups)}",
    )


def _without_data(settings: Settings, tables: Tables) -> dict[str, str]:
    """Return the sources that these tables do not bear, each with the reason."""
    found: dict[str, str] = {}
    if tables.events[ITEM].n_unique() > settings.candidates.ease.max_items:
        why = "the catalogue has more items than candidates.ease.max_items"
        found |= {name: why for name in (EASE, EASE + RECENT)}
    if not segment_features(features_without_rows(tables, settings.features)):
        found[SEGMENT] = "no text column is among data.users.features"
    lists = [name for name in declared(tables.items) if isinstance(tables.items.schema[name], pl.List)]
    if not lists and tables.items[TITLE].null_count() == len(tables.items):
        found[CONTENT] = "items have neither a title nor list features"
    return found

"""What `evaluate --without` leaves out: sources by the names that it prints, and groups of features."""

from collections.abc import Sequence

from recsys_cli.configs.sections import Settings
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.registry import sources, sources_on
from recsys_cli.utils.errors import UsageError


def settings_without(settings: Settings, names: Sequence[str]) -> Settings:
    """Return the settings with these sources, families of sources and groups of features off.

    Raises: UsageError for a name that is none of these, or off already.
    """
    left_out, groups = _sources_left_out(settings, names), settings.ranker.feature_groups
    known = {*_sources(settings), *_families(settings), *groups}
    for name in names:
        if name not in known:
            raise _unknown(name, settings)
    kept = [name for name in groups if name not in names]
    return settings.model_copy(
        update={
            "candidates": settings.candidates.without(left_out),
            "ranker": settings.ranker.model_copy(update={"feature_groups": kept}),
        }
    )


def check_left_out(settings: Settings, names: Sequence[str], tables: Tables) -> None:
    """Refuse to leave out a source that proposes nothing anyway: the tables have no data for it.

    Raises: UsageError.
    """
    left_out = _sources_left_out(settings, names)
    for name, why in _without_data(settings, tables).items():
        if name in left_out:
            raise UsageError(f"the source {name!r} is off: {why}", where="--without", fix="remove this name")


def _sources_left_out(settings: Settings, names: Sequence[str]) -> list[str]:
    members = {name: [name] for name in _sources(settings)} | _families(settings)
    return list(dict.fromkeys(source for name in names for source in members.get(name, ())))


def _sources(settings: Settings) -> list[str]:
    return list(settings.candidates.on(filter_viewed=settings.only_new_items))


def _families(settings: Settings) -> dict[str, list[str]]:
    """Return each family with those of its sources that are on; families without any are left out."""
    on = set(_sources(settings))
    kept = {
        name: [one for one in members if one in on]
        for name, members in settings.candidates.families().items()
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
    """Return the sources for which these tables have no data, each with the reason."""
    candidates, found = settings.candidates, dict[str, str]()
    for one in sources_on(candidates, filter_viewed=settings.only_new_items):
        fitted = sources()[one.fit_section]
        reason = one.no_data(tables, one.section(candidates))
        reason = reason or fitted.no_data(tables, fitted.section(candidates))
        if reason:
            found |= {name: reason for name in one.section(candidates).names(one.name)}
    return found

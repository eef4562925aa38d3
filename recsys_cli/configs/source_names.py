"""The sources of candidates by the names that lists, features and reports give them."""

from collections.abc import Collection, Sequence
from typing import Final

from recsys_cli.configs.candidate_sections import CandidatesSettings

EASE: Final = "ease"
CONTENT: Final = "content"
SEGMENT: Final = "popular_segment"
RECENT: Final = "_recent"  # ends the name of a source that weighs the user's items by recency
_KNN: Final = "item_knn"
_POPULAR: Final = "popular"
_COUNTS: Final = {"": "num_candidates", RECENT: "recent_candidates"}

Place = tuple[str, str]  # a section, and its setting that says how many candidates a source proposes


def popular_name(days: int) -> str:
    """Return the name of the source that counts the events of the last `days`."""
    return f"popular_{days}d"


def is_popularity(name: str) -> bool:
    """Tell whether a source proposes what many had, whatever the user had."""
    return name == SEGMENT or name.startswith(f"{_POPULAR}_")


def source_places(candidates: CandidatesSettings) -> dict[str, Place]:
    """Return where each source that can be on is set, in the sections' order."""
    similar: dict[str, Sequence[str]] = {_KNN: candidates.item_knn.similarities, EASE: [EASE]}
    places = {"lightfm": "lightfm"}
    for section, names in similar.items():
        places |= {name + end: section for name in names for end in _COUNTS}
    places |= {popular_name(days): _POPULAR for days in candidates.popular.windows_days}
    places |= {SEGMENT: "segment", CONTENT: CONTENT, "history": "history", "external": "external"}
    return {
        name: (section, _COUNTS[RECENT if name.endswith(RECENT) else ""]) for name, section in places.items()
    }


def sources_on(candidates: CandidatesSettings, *, filter_viewed: bool) -> dict[str, int]:
    """Return how many candidates a user each source proposes, those that are off aside."""
    off = {*candidates.item_knn.without, *(["history"] if filter_viewed else [])}
    if not candidates.external.is_on:
        off.add("external")
    wanted = {
        name: int(getattr(getattr(candidates, section), count))
        for name, (section, count) in source_places(candidates).items()
    }
    return {name: count for name, count in wanted.items() if count and name not in off}


def families(candidates: CandidatesSettings) -> dict[str, list[str]]:
    """Return the sources of each section whose name is none of a source."""
    found: dict[str, list[str]] = {}
    places = source_places(candidates)
    for name, (section, _) in places.items():
        if section not in places:
            found.setdefault(section, []).append(name)
    return found


def without_sources(candidates: CandidatesSettings, names: Collection[str]) -> CandidatesSettings:
    """Return the settings with these sources off."""
    told, windows = candidates.model_dump(), candidates.popular.windows_days
    places = source_places(candidates)
    for name in names:
        section, count = places[name]
        if section == _KNN:
            told[section]["without"].append(name)
        elif section != _POPULAR:
            told[section][count] = 0
    kept = [days for days in windows if popular_name(days) not in names]
    told[_POPULAR] |= {"windows_days": kept} if kept else {"num_candidates": 0}
    return CandidatesSettings.model_validate(told)

"""What the sections of all candidate sources have in common; each source's own section stands in its file."""

from collections.abc import Collection, Sequence
from typing import Annotated, ClassVar, Self

from pydantic import Field

from recsys_cli.configs.fields import Section
from recsys_cli.utils.columns import LONGEST_LIST

CandidateCount = Annotated[
    int, Field(ge=0, le=LONGEST_LIST, description="candidates a user from this source; 0: off")
]


class SourceSettings(Section):
    """The section of a candidate source; a source adds its own settings.

    Attributes:
        family: a name for several sections together, such as item_knn; empty: the section's own name.
    """

    family: ClassVar[str] = ""
    num_candidates: CandidateCount = 100

    def names(self, section: str) -> tuple[str, ...]:
        """Return the names of the sources that this section describes: its own, unless a class says more."""
        return (section,)

    def without(self, names: Collection[str]) -> Self:
        """Return the section with these of its sources off."""
        return self.model_copy(update={"num_candidates": 0}) if names else self

    def recorded(self) -> Self:
        """Return the section as a model keeps it: without where data lies, which may be a secret."""
        return self

    def is_on(self, *, filter_viewed: bool) -> bool:
        """Return whether the source proposes items.

        Args:
            filter_viewed: whether items that a user already has are left out of the lists.
        """
        del filter_viewed
        return self.num_candidates > 0

    @property
    def feature_windows(self) -> Sequence[int]:
        """The windows of `features.windows_days` that the source reads, in days."""
        return ()


class CandidatesSettings(Section):
    """The sections of all sources, in the order of the registry; the program's start composes them."""

    def sections(self) -> dict[str, SourceSettings]:
        """Return the sections by name."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    def names(self) -> dict[str, str]:
        """Return the section of each source, on or off, by the source's name."""
        return {name: section for section, one in self.sections().items() for name in one.names(section)}

    def on(self, *, filter_viewed: bool) -> dict[str, int]:
        """Return how many candidates a user each source proposes; sources that are off are left out."""
        return {
            name: one.num_candidates
            for section, one in self.sections().items()
            if one.is_on(filter_viewed=filter_viewed)
            for name in one.names(section)
        }

    def families(self) -> dict[str, list[str]]:
        """Return the sources of each family or section whose name is not that of a source."""
        found: dict[str, list[str]] = {}
        for section, one in self.sections().items():
            found.setdefault(one.family or section, []).extend(one.names(section))
        sources = self.names()
        return {family: names for family, names in found.items() if family not in sources}

    def without(self, names: Collection[str]) -> Self:
        """Return the settings with these sources off."""
        changed = {
            section: one.without([name for name in one.names(section) if name in names])
            for section, one in self.sections().items()
        }
        return self.model_copy(update=changed)

    @property
    def most_candidates(self) -> int:
        """How many candidates a user has if no two sources agree."""
        return sum(one.num_candidates * len(one.names(name)) for name, one in self.sections().items())

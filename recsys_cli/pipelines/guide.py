"""`guide`: the pages that are shipped inside the package, one topic each."""

from dataclasses import dataclass
from difflib import get_close_matches
from importlib.resources import files
from typing import Final

from recsys_cli.utils.errors import UsageError

TOPICS: Final = (
    "data",
    "catalogue",
    "settings",
    "commands",
    "sources",
    "rules",
    "rule-recipes",
    "evaluation",
    "reliability",
    "past-one-machine",
    "benchmarks",
    "extending",
    "glossary",
)


@dataclass(frozen=True)
class Page:
    """A page of the guide.

    Attributes:
        text: Markdown; its first line is the title.
    """

    topic: str
    text: str

    @property
    def title(self) -> str:
        """The page's heading."""
        return self.text.partition("\n")[0].removeprefix("# ")


def read_pages() -> list[Page]:
    """Return all pages in the order in which a newcomer reads them."""
    return [_read(topic) for topic in TOPICS]


def read_page(topic: str) -> Page:
    """Return the page on a topic.

    Raises: UsageError for a topic that has no page.
    """
    if topic in TOPICS:
        return _read(topic)
    close = get_close_matches(topic, TOPICS, n=1)
    raise UsageError(
        f"the guide has no page on {topic!r}{f'; did you mean {close[0]}?' if close else ''}",
        where="recsys guide",
        fix=f"choose one of: {', '.join(TOPICS)}",
    )


def _read(topic: str) -> Page:
    folder = files("recsys_cli").joinpath("guide")
    return Page(topic, folder.joinpath(f"{topic}.md").read_text(encoding="utf-8"))

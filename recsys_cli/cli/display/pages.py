"""Pages of Markdown on a terminal; elsewhere a page is its own text."""

import re
from typing import Final

from rich.markdown import Markdown
from rich.theme import Theme

_RELATIVE_LINK: Final = re.compile(r"!?\[([^]]+)\]\((?!https?://)[^)]*\)")
LOOK: Final = Theme({"markdown.code": "cyan", "markdown.h1": "bold", "markdown.h2": "bold"})
WIDEST_LINE: Final = 100  # columns; longer lines are hard to read


def rendered(text: str) -> Markdown:
    """Return a page for a terminal; a link to another file, which no terminal opens, is its text alone."""
    return Markdown(_RELATIVE_LINK.sub(r"\1", text), code_theme="ansi_dark", hyperlinks=False)

"""The global options: what they are, and that they may stand before or after the command."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup

_WITH_VALUE: Final = ("-C", "--directory", "--env", "--set")
_FLAGS: Final = ("--quiet", "--verbose", "--json", "--version")
_SHORT_FLAGS: Final = re.compile(r"-[qv]+")

Directory = Annotated[
    Path | None,
    typer.Option(
        "-C",
        "--directory",
        metavar="DIR",
        help="The workspace; else RECSYS_WORKSPACE, else the nearest one from here upwards.",
    ),
]
Environment = Annotated[
    str | None,
    typer.Option(
        "--env",
        metavar="NAME",
        help="The settings' environment; else RECSYS_ENV, else the default tables alone.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Override a setting, such as ranker.depth=8; may be repeated."
    ),
]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Show errors only.")]
Verbose = Annotated[
    int, typer.Option("-v", "--verbose", count=True, show_default=False, help="Show more; -vv for debugging.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Write the result as one JSON object.")]


@dataclass(frozen=True)
class GlobalOptions:
    """What the user asked for beside the command."""

    directory: Path | None = None
    environment: str | None = None
    overrides: tuple[str, ...] = ()
    quiet: bool = False
    verbosity: int = 0
    as_json: bool = False


class HoistingGroup(TyperGroup):
    """The top-level command: takes global options wherever they stand, while completing words too."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse `args` with the global options moved to the front."""
        return super().parse_args(ctx, hoisted(args))


def hoisted(args: Sequence[str]) -> list[str]:
    """Return `args` with the global options first; what follows a lone `--` stays where it is."""
    front: list[str] = []
    rest: list[str] = []
    waiting = list(args)
    while waiting and waiting[0] != "--":
        word = waiting.pop(0)
        if word in _WITH_VALUE:
            if not waiting:
                return [*front, word]  # the parser says that its value is missing
            front += [word, waiting.pop(0)]
        elif _is_global(word):
            front.append(word)
        else:
            rest.append(word)
    return [*front, *rest, *waiting]


def _is_global(word: str) -> bool:
    if word in _FLAGS or _SHORT_FLAGS.fullmatch(word):
        return True
    name, equals, _ = word.partition("=")
    return (bool(equals) and name in _WITH_VALUE) or (word.startswith("-C") and len(word) > 2)

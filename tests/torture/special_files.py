"""What is no regular file, or no honest one, in every place that the program reads."""

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from recsys_cli.utils.errors import ExitCode
from tests.torture.case import Case, Family, some
from tests.torture.checks import intact, spoken
from tests.torture.lab import DAY, PUBLISHED, SCORE, Kit, Lab, in_workspace

_GIANT = 2**40


@dataclass(frozen=True)
class Place:
    """A file that is read: its name, the command that reads it, and how that may end.

    Attributes:
        harmless: the special files that may lie there: an empty one, or what is never read.
    """

    pattern: str
    command: tuple[str, ...]
    codes: frozenset[int]
    harmless: frozenset[str] = frozenset()


def _pipe(file: Path) -> None:
    os.mkfifo(file)


def _link_to_a_pipe(file: Path) -> None:
    pipe = file.with_name(f"{file.name}.pipe")
    os.mkfifo(pipe)
    file.symlink_to(pipe)


def _socket(file: Path) -> None:
    short = Path("/proc/self/fd") / str(folder := os.open(file.parent, os.O_RDONLY)) / file.name
    with socket.socket(socket.AF_UNIX) as bound:  # a name of 108 characters at most
        bound.bind(str(short))
    os.close(folder)


def _folder(file: Path) -> None:
    file.mkdir()


def _giant(file: Path) -> None:
    with file.open("wb") as opened:
        opened.truncate(_GIANT)


def _link(to: str) -> Callable[[Path], None]:
    return lambda file: file.symlink_to(to)


def _loop(file: Path) -> None:
    file.symlink_to(file)


_SPECIAL: dict[str, Callable[[Path], None]] = {
    "a pipe": _pipe,
    "a link to a pipe": _link_to_a_pipe,
    "a socket": _socket,
    "a device without end": _link("/dev/zero"),
    "an empty device": _link("/dev/null"),
    "a folder": _folder,
    "a link to nowhere": _link("nowhere"),
    "a link to itself": _loop,
    "a sparse giant": _giant,
    "an empty file": lambda file: file.touch(),
}
_OK = frozenset({ExitCode.OK})
_USAGE = frozenset({ExitCode.USAGE})
_INPUT = frozenset({ExitCode.INPUT})
_MODEL = frozenset({ExitCode.MODEL})
_CHECK = frozenset({ExitCode.CHECK})
_OUTPUT = frozenset({ExitCode.OUTPUT})
_BUILD = ("features", "--date", DAY)
_EMPTY = frozenset({"an empty file"})
_UNREAD = _EMPTY | {"a sparse giant"}
_FOLDER = ("--set", "data.interactions.path=data/many", *_BUILD)
_PLACES = (
    Place("settings/settings.toml", ("models", "list"), _USAGE, harmless=_EMPTY),
    Place("settings/settings.local.toml", ("models", "list"), _USAGE, harmless=_EMPTY),
    Place("settings/.secrets.toml", ("models", "list"), _USAGE, harmless=_EMPTY),
    Place("data/interactions.parquet", _BUILD, _INPUT),
    Place("data/users.parquet", ("check", "--date", DAY), _CHECK | _INPUT),
    Place("data/items.parquet", SCORE, _INPUT),
    Place("data/items.csv", ("--set", "data.items.path=data/items.csv", *_BUILD), _INPUT),
    Place("data/many/part-1.parquet", _FOLDER, _INPUT, frozenset({"a folder"})),
    Place("features/date=*/manifest.json", _BUILD, _OK),
    Place("features/date=*/users.parquet", _BUILD, _OK),
    Place("features/date=*/pairs.parquet", SCORE, _OK),
    Place("models/promoted.json", SCORE, _MODEL),
    Place("models/*/manifest.json", ("models", "show"), _MODEL),
    Place("models/*/ranker.json", SCORE, _MODEL),
    Place("models/*/items_encoder.json", ("explain", "--date", DAY), _MODEL),
    Place("models/*/lightfm_users_vectors.npy", SCORE, _MODEL),
    Place("models/*/lightfm_users_ids.parquet", ("models", "promote", "VERSION"), _MODEL),
    Place("runs/20260701T030000-score-0a1b2c/run.json", ("runs", "list"), _OK),
    Place(
        "runs/20260701T030000-score-0a1b2c/run.json", ("runs", "show", "20260701T030000-score-0a1b2c"), _USAGE
    ),
    Place(f"{PUBLISHED.parent}/manifest.json", ("verify", DAY), _CHECK),
    Place(f"{PUBLISHED.parent}/manifest.json", ("report", DAY), _USAGE),
    Place(f"{PUBLISHED.parent}/manifest.json", SCORE, _OK),
    Place(f"{PUBLISHED.parent}/_SUCCESS", ("verify", DAY), _CHECK, harmless=_UNREAD),
    Place(str(PUBLISHED), ("verify", DAY), _CHECK | _USAGE),
    Place(str(PUBLISHED), ("diff", DAY, DAY), _INPUT | _USAGE),
    Place(str(PUBLISHED), SCORE, _OK),
    Place(f"runs/.locks/date={DAY}.lock", SCORE, _OUTPUT, harmless=_UNREAD),
    Place(f"runs/.locks/date={DAY}.holder", SCORE, _OK | _OUTPUT, harmless=_EMPTY),
    Place(f"runs/.plans/date={DAY}.json", SCORE, _OK),
    Place(f".recommendations.staged/date={DAY}/work.json", SCORE, _OK | _OUTPUT),
    Place("users.txt", ("score", "--date", DAY, "--users", "FILE"), _USAGE | _INPUT),
    Place("report.html", ("report", DAY, "--html", "FILE"), _OK | _USAGE),
)


def special(_lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield each kind of file in each place."""
    cases = [
        Case(f"{name}: {place.pattern}, {place.command[0]}", partial(_met, place, name))
        for place in _PLACES
        for name in _SPECIAL
    ]
    yield from some(cases, quick, 12)


def _met(place: Place, name: str, kit: Kit) -> list[str]:
    workspace = kit.workspace(kit.lab.ready)
    many = workspace / "data/many"
    many.mkdir()
    os.link(workspace / "data/interactions.parquet", many / "part-0.parquet")
    (version,) = (path.parent.name for path in (workspace / "models").glob("*/manifest.json"))
    file = next(workspace.glob(place.pattern), workspace / place.pattern)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.unlink(missing_ok=True)
    _SPECIAL[name](file)
    words = [{"VERSION": version, "FILE": str(file)}.get(word, word) for word in place.command]
    outcome = kit.forked.run("-q", *in_workspace(workspace, *words))  # one that waits is ended
    codes = place.codes | (_OK if name in place.harmless else frozenset())
    problems = spoken(outcome, codes)
    if place.pattern.startswith("recommendations/") and outcome.code:
        return problems
    return problems + intact(workspace, None)


FAMILIES = (
    Family(
        "special-files",
        "pipes, sockets, devices, links, folders, giants in the place of each file that is read",
        "told, by the exit code of whose file it is; never waited for",
        special,
    ),
)

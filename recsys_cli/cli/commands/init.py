"""`recsys init`: a workspace, with generated data or on the user's own tables."""

import re
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recsys_cli.cli.display.safe_text import readable
from recsys_cli.cli.session import Session, session_of
from recsys_cli.utils.errors import UsageError

if TYPE_CHECKING:
    from recsys_cli.cli.display.terminal import Terminal
    from recsys_cli.data_preparation.column_guessing.column_mapping import Guess
    from recsys_cli.pipelines.init import InitReport

_LEAST_WIDTH = 30  # characters: a narrower terminal breaks the lines itself
_KION_SIZE = 50_000  # from so many users on, the demo is as sparse as KION


class Preset(StrEnum):
    """What a workspace starts from."""

    DEMO = "demo"
    RETAIL = "shop"
    GENERIC = "generic"
    MOVIELENS = "movielens"
    KION = "kion"


Target = Annotated[
    Path | None, typer.Argument(metavar="[DIR]", help="The new workspace. Default: -C, else this folder.")
]
Chosen = Annotated[
    Preset | None,
    typer.Option("--preset", help="Default: generic where --interactions is given, else demo."),
]
Interactions = Annotated[
    str | None,
    typer.Option(
        metavar="PATH",
        help="Events: a file, folder, glob, URI or database; movielens and kion: the archive's folder.",
    ),
]
Queries = Annotated[
    list[str] | None,
    typer.Option(
        "--query",
        metavar="NAME=SQL",
        help="Generic: what a database is asked for interactions, users or items; may be repeated.",
    ),
]
Users = Annotated[str | None, typer.Option(metavar="PATH|N", help="Table of users; demo: how many, 5000.")]
Items = Annotated[str | None, typer.Option(metavar="PATH|N", help="Table of items; demo: how many, 1000.")]
Days = Annotated[int | None, typer.Option(help="Demo: days of events up to 2026-06-30, 180.")]
Seed = Annotated[int | None, typer.Option(help="Demo: seed of the random numbers, 42.")]
EventsPerUser = Annotated[
    float | None, typer.Option(help="Demo: mean; 20, or KION's 5.7 from 50,000 users on; shop: 60.")
]
Mapping = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        metavar="NAME=COLUMN",
        help="Generic: the column that holds user_id, item_id, timestamp, title …; may be repeated.",
    ),
]


@dataclass(frozen=True)
class Given:
    """The options as they were given; what --users and --items mean is up to the preset."""

    interactions: str | None
    users: str | None
    items: str | None
    days: int | None
    seed: int | None
    events_per_user: float | None
    mapping: tuple[str, ...]
    queries: tuple[str, ...]

    def refuse_beyond(self, preset: Preset) -> None:
        """Refuse options that the preset does not use.

        Raises: UsageError.
        """
        sizes = {"--days": self.days, "--seed": self.seed, "--events-per-user": self.events_per_user}
        tables = {"--users": self.users, "--items": self.items}
        mapping = {"--map": self.mapping or None, "--query": self.queries or None}
        beyond: dict[Preset, dict[str, object]] = {
            Preset.DEMO: {"--interactions": self.interactions, **mapping},
            Preset.RETAIL: {"--interactions": self.interactions, **mapping},
            Preset.GENERIC: {**sizes},
            Preset.MOVIELENS: {**sizes, **tables, **mapping},
            Preset.KION: {**sizes, **tables, **mapping},
        }
        useless = [option for option, value in beyond[preset].items() if value is not None]
        if useless:
            raise UsageError(
                f"the {preset} preset takes no {', '.join(useless)}",
                where="recsys init",
                fix=f"leave it out, or choose another --preset: {', '.join(Preset)}",
            )


def init(
    ctx: typer.Context,
    directory: Target = None,
    preset: Chosen = None,
    interactions: Interactions = None,
    users: Users = None,
    items: Items = None,
    days: Days = None,
    seed: Seed = None,
    events_per_user: EventsPerUser = None,
    mapping: Mapping = None,
    query: Queries = None,
) -> None:
    """Set up a workspace: settings, and for the demo a generated data set.

    Example: recsys init shop --preset generic --interactions events.parquet --map user_id=customer
    """
    session = session_of(ctx)
    workspace = directory or session.options.directory or Path(".")
    readable(str(workspace.absolute()), "the workspace's folder")
    given = Given(
        interactions, users, items, days, seed, events_per_user, tuple(mapping or ()), tuple(query or ())
    )
    chosen = preset or (Preset.GENERIC if interactions else Preset.DEMO)
    given.refuse_beyond(chosen)
    if chosen in (Preset.DEMO, Preset.RETAIL):
        report = _init_demo(session, workspace, given, chosen)
    elif chosen is Preset.GENERIC:
        report = _init_generic(workspace, given)
    else:
        report = _init_archive(chosen, workspace, given)
    _show(session, report)


def _init_demo(session: Session, workspace: Path, given: Given, preset: Preset) -> "InitReport":
    from recsys_cli.data_preparation.demo_data.generate import DemoShape
    from recsys_cli.pipelines.init import init_demo

    users = _whole_number("--users", given.users, 5_000)
    usual = 5.7 if users >= _KION_SIZE else 20.0
    if preset is Preset.RETAIL:
        usual = 60.0  # most of them are looks
    shape = DemoShape(
        users=users,
        items=_whole_number("--items", given.items, 1_000),
        days=180 if given.days is None else given.days,
        seed=42 if given.seed is None else given.seed,
        events_per_user=usual if given.events_per_user is None else given.events_per_user,
        scene="shop" if preset is Preset.RETAIL else "demo",
    )
    with session.terminal.progress("Demo users") as progress:
        return init_demo(workspace, shape, progress)


def _init_generic(workspace: Path, given: Given) -> "InitReport":
    from recsys_cli.pipelines.init import init_generic

    paths = {"interactions": _required(given, "generic"), "users": given.users, "items": given.items}
    places = {name: path for name, path in paths.items() if path}
    return init_generic(workspace, places, _pairs(given.mapping), _queries(given.queries))


def _init_archive(preset: Preset, workspace: Path, given: Given) -> "InitReport":
    from recsys_cli.pipelines.init import init_kion, init_movielens

    source = _required(given, preset)
    return init_kion(workspace, source) if preset is Preset.KION else init_movielens(workspace, source)


def _whole_number(option: str, text: str | None, default: int) -> int:
    if text is None:
        return default
    if re.fullmatch("[0-9]{1,12}", text, re.ASCII) is None:
        raise UsageError(
            f"{text!r} is not a whole number; the demo preset takes its size from it",
            where=option,
            fix=f"write {option} {default}, or for your own tables add --interactions PATH",
        )
    return int(text)


def _required(given: Given, preset: str) -> str:
    if not given.interactions:
        raise UsageError(
            f"the {preset} preset needs a path",
            where="recsys init",
            fix=f"recsys init DIR --preset {preset} --interactions PATH",
        )
    return given.interactions


def _pairs(mapping: Sequence[str]) -> list[tuple[str, str]]:
    pairs = []
    for text in mapping:
        name, _, column = text.partition("=")
        if not name or not column:
            raise UsageError(
                f"{text!r} is not NAME=COLUMN", where="--map", fix="write it as --map user_id=customer"
            )
        pairs.append((name, column))
    return pairs


def _queries(asked: Sequence[str]) -> dict[str, str]:
    queries = {}
    for text in asked:
        name, _, query = text.partition("=")
        if name not in ("interactions", "users", "items") or not query.strip():
            raise UsageError(
                f"{name!r} is not interactions=SQL, users=SQL or items=SQL",
                where="--query",
                fix="write it as --query 'interactions=SELECT user_id, item_id, timestamp FROM orders'",
            )
        queries[name] = query.strip()
    return queries


def _show(session: Session, report: "InitReport") -> None:
    commands = _next_commands(report)
    if session.options.as_json:
        session.terminal.show_json(
            {
                "schema_version": 1,
                "workspace": str(report.workspace),
                "preset": report.preset,
                "settings": str(report.settings_file),
                "settings_kept": report.settings_kept,
                "data": report.data,
                "guesses": [_guess_facts(guess) for guess in report.guesses],
                "unused": [asdict(column) for column in report.unused],
                "next": commands,
            }
        )
        return
    say = session.terminal.say
    if report.guesses:
        say("guessed from the columns' names, types and values:")
        for guess in report.guesses:
            _say_row(session.terminal, f"  {guess.table:<13} {guess.setting:<18} ", _with_doubt(guess))
    if report.unused:
        say("not used:")
        for table, text in _unused_rows(report):
            _say_row(session.terminal, f"  {table:<13} ", text)
    say(f"{'kept' if report.settings_kept else 'wrote'} {report.settings_file}")
    if report.data != "none":
        say(f"{report.data} {report.workspace / 'data'}: interactions, users and items")
    say("next:")
    for command in commands:
        say(f"  {command}")


def _guess_facts(guess: "Guess") -> dict[str, str]:
    return {key: value for key, value in asdict(guess).items() if value or key != "doubt"}


def _with_doubt(guess: "Guess") -> str:
    return f"{guess.value} ({guess.doubt})" if guess.doubt else guess.value


def _unused_rows(report: "InitReport") -> Iterator[tuple[str, str]]:
    """Yield a row for all columns of the events together, and one for each column of users and items."""
    events = [column for column in report.unused if column.table == "interactions"]
    if events:
        names = (f"{one.column} ({one.reason}: {one.fix})" if one.fix else one.column for one in events)
        yield "interactions", ", ".join(names)
    for column in report.unused:
        if column not in events:
            yield column.table, f"{column.column}: {column.reason}; {column.fix}"


def _say_row(terminal: "Terminal", head: str, text: str) -> None:
    """Show one line; on a terminal it is wrapped between words, indented below `text`."""
    console, lines = terminal.messages, [text]
    if console.is_terminal:
        width = max(console.width - len(head), _LEAST_WIDTH)
        shown = terminal.fit_to_show(text)
        lines = textwrap.wrap(shown, width, break_long_words=False, break_on_hyphens=False)
    for line in lines:
        terminal.say(head + line)
        head = " " * len(head)


def _next_commands(report: "InitReport") -> list[str]:
    program = "recsys"
    if report.workspace != Path("."):
        program += f" -C {shlex.quote(str(report.workspace))}"
    day = f" --date {report.day}" if report.day else ""
    return [f"{program} train{day}", f"{program} score{day}", f"{program} explain{day}"]

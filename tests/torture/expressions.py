"""Generated SQL expressions: valid ones select the rows that Python selects, hostile ones open nothing."""

import os
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl

from recsys_cli.utils.errors import ExitCode
from tests.torture.case import Case, Family, some
from tests.torture.checks import intact, spoken
from tests.torture.lab import DAY, Kit, Lab, in_workspace

_SEED, _VALID = 21, 120
_NUMBERS = ("release_year", "age_rating", "item_id")
_TEXTS = ("title", "content_type")
_NO_ITEM_LEFT = "no item may be recommended"
_HOSTILE = (
    "item_id IN (SELECT x FROM {call})",
    "item_id IN (SELECT * FROM {call} AS t)",
    "EXISTS (SELECT 1 FROM {call})",
    "item_id = ANY(SELECT x FROM {call})",
    "(SELECT max(x) FROM {call}) > 1",
    "item_id IN (/* */ sElEcT x FROM {call})",
    "item_id IN (WITH t AS (SELECT x FROM {call}) SELECT x FROM t)",
    "item_id IN (TABLE {call})",
    "item_id IN (VALUES (1)) OR {call} = 1",
    "{call} = 1",
    "item_id IN ({call})",
    "title = '' OR item_id IN (SELECT x FROM {call}) -- '",
    "title = '\\' OR item_id IN (SELECT x FROM {call}) OR title = '",
    "item_id = 1 UNION SELECT x FROM {call}",
    "item_id = 1; SELECT x FROM {call}",
    "item_id IN (1) /* /* */ */ OR {call} = 1",
    "CASE WHEN item_id IN (SELECT x FROM {call}) THEN TRUE END",
    "title LIKE (SELECT x FROM {call})",
)
_CALLS = (
    "read_parquet('{address}')",
    "read_csv('{file}')",
    "READ_JSON('{address}')",
    "\"read_ipc\"('{file}')",
    "`read_csv` ('{file}')",
)


@dataclass(frozen=True)
class Generated:
    """A condition and what it is of an item: true, false or unknown, by Python's own work."""

    text: str
    value: Callable[[dict[str, Any]], bool | None]


def expressions(_lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield valid and hostile expressions, the same in every run."""
    chance = random.Random(_SEED)
    valid = [_condition(chance, chance.randint(0, 3)) for _ in range(_VALID)]
    hostile = [text.replace("{call}", call) for text in _HOSTILE for call in _CALLS][: 200 - _VALID]
    yield from some([Case(one.text, partial(_selects, one)) for one in valid], quick, 3)
    yield from some([Case(text, partial(_opens_nothing, text)) for text in hostile], quick, 3)


def _condition(chance: random.Random, depth: int) -> Generated:
    if depth == 0:
        return chance.choice((_compared, _listed, _between, _text, _pattern, _is_null, _computed))(chance)
    one, other = _condition(chance, depth - 1), _condition(chance, chance.randint(0, depth - 1))
    how = chance.choice(("AND", "OR", "NOT", "CASE"))
    if how == "NOT":
        return Generated(f"NOT ({one.text})", lambda row: _not(one.value(row)))
    if how == "CASE":
        text = f"CASE WHEN {one.text} THEN ({other.text}) ELSE FALSE END"
        return Generated(text, lambda row: other.value(row) if one.value(row) else False)
    join = {"AND": _and, "OR": _or}[how]
    between = chance.choice((" ", "\n", " /* AND ( */ ", " -- OR '\n"))
    text = f"({one.text}){between}{how.lower()} ({other.text})"
    return Generated(text, lambda row: join(one.value(row), other.value(row)))


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _and(one: bool | None, other: bool | None) -> bool | None:
    return False if False in (one, other) else None if None in (one, other) else True


def _or(one: bool | None, other: bool | None) -> bool | None:
    return True if True in (one, other) else None if None in (one, other) else False


def _number(chance: random.Random, column: str) -> int:
    return chance.choice(
        {"release_year": (1990, 2011, 2015), "age_rating": (0, 12, 16)}.get(column, (9_000,))
    )


def _name(chance: random.Random, column: str) -> str:
    return chance.choice((column, f'"{column}"', f"`{column}`"))


def _on(column: str, test: Callable[[Any], bool]) -> Callable[[dict[str, Any]], bool | None]:
    return lambda row: None if row[column] is None else test(row[column])


def _compared(chance: random.Random) -> Generated:
    column = chance.choice(_NUMBERS)
    bound = _number(chance, column)
    sign, test = chance.choice(
        (
            ("<", lambda value: value < bound),
            (">=", lambda value: value >= bound),
            ("=", lambda value: value == bound),
            ("<>", lambda value: value != bound),
        )
    )
    return Generated(f"{_name(chance, column)}{sign}{bound}", _on(column, test))


def _listed(chance: random.Random) -> Generated:
    column = chance.choice(("release_year", "age_rating"))
    values = [chance.randint(-20, 2030) for _ in range(chance.choice((1, 5, 3_000)))]
    members, negated = frozenset(values), chance.random() < 0.5
    text = f"{_name(chance, column)}{' NOT' if negated else ''} IN ({', '.join(map(str, values))})"
    return Generated(text, _on(column, lambda value: (value in members) != negated))


def _between(chance: random.Random) -> Generated:
    column = chance.choice(_NUMBERS)
    low = _number(chance, column)
    return Generated(
        f"{_name(chance, column)} BETWEEN {low} AND {low + 6}", _on(column, lambda v: low <= v <= low + 6)
    )


def _text(chance: random.Random) -> Generated:
    value = chance.choice(("film", "series", "it's -- no /* comment", 'a "quoted" SELECT'))
    quoted = value.replace("'", "''")
    return Generated(
        f"{_name(chance, 'content_type')} = '{quoted}'", _on("content_type", lambda text: text == value)
    )


def _pattern(chance: random.Random) -> Generated:
    column, piece = chance.choice(_TEXTS), chance.choice(("e", "film", "The ", "of"))
    start, end = chance.choice((("", "%"), ("%", ""), ("%", "%")))
    tests = {
        ("", "%"): lambda text: text.startswith(piece),
        ("%", ""): lambda text: text.endswith(piece),
        ("%", "%"): lambda text: piece in text,
    }
    return Generated(f"{column} LIKE '{start}{piece}{end}'", _on(column, tests[start, end]))


def _is_null(chance: random.Random) -> Generated:
    column = chance.choice((*_NUMBERS, *_TEXTS, "available_until"))
    if chance.random() < 0.5:
        return Generated(f"{column} IS NULL", lambda row: row[column] is None)
    return Generated(f"{column} is not null", lambda row: row[column] is not None)


def _computed(chance: random.Random) -> Generated:
    if chance.random() < 0.5:
        length = chance.randint(10, 25)
        return Generated(f"length(title) > {length}", _on("title", lambda text: len(text) > length))
    rest = chance.randint(0, 6)
    return Generated(f"release_year % 7 = {rest}", _on("release_year", lambda year: year % 7 == rest))


def _selects(condition: Generated, kit: Kit) -> list[str]:
    workspace = kit.workspace(kit.lab.ready)
    _with_exclude(workspace, condition.text)
    outcome = kit.in_place.run("-q", *in_workspace(workspace, "features", "--date", DAY))
    items = pl.read_parquet(workspace / "data/items.parquet")
    expected = {row["item_id"] for row in items.iter_rows(named=True) if condition.value(row)}
    if outcome.code == ExitCode.INPUT and _NO_ITEM_LEFT in outcome.err:
        return [] if len(expected) > len(items) // 2 else ["it excludes more than it should"]
    problems = spoken(outcome, {ExitCode.OK})
    if problems:
        return problems
    stored = pl.read_parquet(workspace / f"features/date={DAY}/items.parquet")
    found = set(stored.filter("excluded")["item_id"])
    wrong = (found ^ expected) & set(stored["item_id"])
    return [f"{len(wrong)} items are not as Python has them"] if wrong else []


def _opens_nothing(text: str, kit: Kit) -> list[str]:
    workspace = kit.workspace(kit.lab.ready)
    canary = workspace / "canary.csv"
    canary.write_text("x\n1\n")
    before = _unread(canary)
    with _Server() as server:
        address = f"http://127.0.0.1:{server.port}/stolen"
        _with_exclude(workspace, text.replace("{address}", address).replace("{file}", str(canary)))
        problems = []
        for command in ("check", "score"):
            outcome = kit.in_place.run("-q", *in_workspace(workspace, command, "--date", DAY))
            problems += [f"{command}: {one}" for one in spoken(outcome, {ExitCode.USAGE})]
            if "scoring.exclude" not in outcome.err:
                problems.append(f"{command}: the setting is not named")
    if server.asked:
        problems.append(f"it asks an address: {server.asked[0]}")
    if canary.stat().st_atime_ns != before:
        problems.append("it reads a file")
    return [*problems, *intact(workspace, kit.lab.old, b"")]


def _with_exclude(workspace: Path, text: str) -> None:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    with (workspace / "settings/.secrets.toml").open("w", encoding="utf-8") as file:
        file.write(f'[default.scoring]\nexclude = "{escaped}"\n')


def _unread(file: Path) -> int:
    """Set the time of the last read before that of the last write, so that a read changes it; return it."""
    written = file.stat().st_mtime_ns
    os.utime(file, ns=(written - 10**9, written))
    return file.stat().st_atime_ns


class _Server:
    """A web server that notes what is asked of it."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            """Notes each request."""

            def parse_request(self) -> bool:
                asked.append(self.raw_requestline.decode(errors="replace"))
                return False

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> "_Server":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


FAMILIES = (
    Family(
        "expressions",
        "generated SQL expressions, valid and hostile",
        "the rows that Python selects; or exit 2, and no file or address is opened",
        expressions,
    ),
)

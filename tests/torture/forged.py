"""Manifests and records that somebody has forged, with right hashes and seals: one field of them, or two.

A forged model is refused with 4, or harmless; forged publications and partitions are made anew; forged run
records are left out. None stops the commands that list, promote or report.
"""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from recsys_cli.utils.errors import ExitCode
from recsys_cli.utils.storage.hashing import sha256_of_json
from tests.torture.case import Case, Family
from tests.torture.checks import intact, spoken
from tests.torture.lab import DAY, SCORE, Kit, Lab, in_workspace

_RUN = "20260701T030000-score-0a1b2c"
_RECORD = {
    "schema_version": 1,
    "run_id": _RUN,
    "command": "score",
    "status": "failed",
    "date": DAY,
    "started": "2026-07-01T03:00:00+00:00",
    "ended": "2026-07-01T03:00:09+00:00",
    "process": {"host": "night", "pid": 4711},
    "stages": [{"name": "read", "seconds": 0.5, "peak_bytes": 1000}],
    "settings": {"gates": {"min_users": 1}, "scoring": {"top_k": 5, "filter_viewed": True}},
    "libraries": {"polars": "2.1.0"},
    "error": "InputError: no such file",
    "model_version": f"{DAY}-0123abcd",
    "users": 120,
    "rows": 600,
    "catalogue_coverage": 0.5,
    "sha256": "0" * 64,
}


def _nested(levels: int) -> list[Any]:
    return [_nested(levels - 1)] if levels else []


_VALUES: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    1.5,
    2**31,
    2**53 + 1,
    2**63,
    -(2**63) - 1,
    10**30,
    10**400,
    1e308,
    -1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    "../../x",
    "/etc/passwd",
    "a\0b",
    "\ud800",
    "\x1b[31mred\x1b[0m",
    "{0} [bold]",
    "x" * 100_000,
    "0001-01-01",
    "9999-12-31",
    "2026-13-01",
    "2026-W01-1",
    "20260701",
    "2026-07-01T00:00:00",
    "2026-07-01T00:00:00+23:59",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    [],
    [[]],
    [None],
    ["x", "x"],
    {},
    {"a": 1},
    {"": {}},
    _nested(150),
)
Way = tuple[str | int, ...]
Change = tuple[str, Way, Any]  # what becomes of the value at a way


@dataclass(frozen=True)
class Kind:
    """A kind of record: its file, the commands that meet it, each with its codes, and how many are forged."""

    name: str
    pattern: str
    commands: tuple[tuple[tuple[str, ...], frozenset[int]], ...]
    count: int
    sealed: bool = True


_OK = frozenset({ExitCode.OK})
_MODEL = frozenset({ExitCode.OK, ExitCode.CHECK, ExitCode.MODEL})
_SHOWN = frozenset({ExitCode.OK, ExitCode.USAGE})
_EXPLAIN = ("explain", "--date", DAY)
_KINDS = (
    Kind(
        "model",
        "models/*/manifest.json",
        (
            (("models", "list"), _OK),
            (("models", "list", "--json"), _OK),
            (("models", "show"), _MODEL),
            (("models", "show", "--json"), _MODEL),
            (("models", "promote", "VERSION"), _MODEL),
            (("models", "rollback"), _MODEL),
            (SCORE, _MODEL),
            (_EXPLAIN, _MODEL),
            (("report", DAY), _OK),
        ),
        800,
    ),
    Kind(
        "pointer",
        "models/promoted.json",
        (
            (("models", "list"), _MODEL),
            (("models", "promote", "VERSION", "--force"), _MODEL),
            (("models", "rollback"), _MODEL),
            (SCORE, _MODEL),
        ),
        150,
    ),
    Kind(
        "run",
        f"runs/{_RUN}/run.json",
        (
            (("runs", "list"), _OK),
            (("runs", "list", "--json"), _OK),
            (("runs", "show", _RUN), _SHOWN),
            (("runs", "show", _RUN, "--json"), _SHOWN),
            (("report", DAY), _OK),
            (("verify", _RUN), _SHOWN),
        ),
        500,
        sealed=False,
    ),
    Kind(
        "publication",
        f"recommendations/date={DAY}/manifest.json",
        (
            (("report", DAY), _SHOWN),
            (("report", DAY, "--json"), _SHOWN),
            (("verify", DAY), frozenset({ExitCode.OK, ExitCode.CHECK})),
            (("verify", DAY, "--repair"), frozenset({ExitCode.OK, ExitCode.CHECK})),
            (_EXPLAIN, frozenset({ExitCode.OK, ExitCode.USAGE, ExitCode.INPUT})),
            (("diff", DAY, DAY), _OK),
            (SCORE, _OK),
        ),
        350,
    ),
    Kind(
        "partition",
        f"features/date={DAY}/manifest.json",
        (
            (("features", "--date", DAY), _OK),
            (("report", DAY), _OK),
            (_EXPLAIN, _OK),
            (SCORE, _OK),
        ),
        200,
    ),
)
_THROUGH_A_PROCESS = 40  # each so many-th case is a process of its own


def forged(kind: Kind, lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield forged records of a kind, each the same in every run."""
    value = _sound(kind, lab.ready)
    for number, changes in enumerate(_examples(value, 4 if quick else kind.count)):
        words = "; ".join(f"{how} {'.'.join(map(str, way))} {new!r:.40}" for how, way, new in changes)
        command, codes = kind.commands[number % len(kind.commands)]
        yield Case(
            f"{number}: {' '.join(command[:2])}: {words}",
            partial(_met, kind, changes, command, codes, number % _THROUGH_A_PROCESS == 0),
        )


def _examples(value: Any, count: int) -> list[list[Change]]:
    ways = list(_ways(value))
    change = st.tuples(st.sampled_from(ways), st.integers(0, 9), st.sampled_from(_VALUES)).map(_change)
    found: list[list[Change]] = []

    @settings(
        max_examples=count,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(change, min_size=1, max_size=2))
    def collect(changes: list[Change]) -> None:
        found.append(changes)

    collect()  # pylint: disable=no-value-for-parameter
    return found[:count]


def _change(drawn: tuple[Way, int, Any]) -> Change:
    way, how, value = drawn
    return ("without" if how == 0 else "beside" if how == 1 else "set", way, value)


def _ways(value: Any, way: Way = ()) -> Iterator[Way]:
    """Yield the way to each value within a JSON value."""
    if way:
        yield way
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield from _ways(one, (*way, name))


def changed(value: Any, change: Change) -> Any:
    """Return a JSON value with one change; a way that an earlier change has removed changes nothing."""
    how, way, new = change
    root = deepcopy(value)
    place = root
    try:
        for name in way[:-1]:
            place = place[name]
        if how == "without":
            del place[way[-1]]
        elif how == "beside" and isinstance(place, dict):
            place["unknown to all"] = new
        else:
            place[way[-1]] = new
    except (KeyError, IndexError, TypeError):
        return value
    return root


def sealed_bytes(value: Any) -> bytes:
    """Return a record as the program would have sealed it."""
    return json.dumps({**value, "seal": sha256_of_json(value)}).encode()


def _sound(kind: Kind, workspace: Path) -> Any:
    if kind.name == "run":
        return _RECORD
    (file,) = workspace.glob(kind.pattern)
    value = json.loads(file.read_text())
    del value["seal"]
    return value


def _met(
    kind: Kind, changes: list[Change], command: tuple[str, ...], codes: frozenset[int], alone: bool, kit: Kit
) -> list[str]:
    workspace = kit.workspace(kit.lab.ready)
    (version,) = (path.parent.name for path in (workspace / "models").glob("*/manifest.json"))
    value = _sound(kind, workspace)
    for change in changes:
        value = changed(value, change)
    file = next(workspace.glob(kind.pattern), workspace / kind.pattern)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(sealed_bytes(value) if kind.sealed else json.dumps(value).encode())
    program = kit.forked if alone else kit.in_place
    words = [version if word == "VERSION" else word for word in command]
    outcome = program.run(*in_workspace(workspace, *words))
    return spoken(outcome, codes) + intact(workspace, kit.lab.old)


def _family(kind: Kind, what: str, promise: str) -> Family:
    return Family(f"forged-{kind.name}", f"{what} forged, its seal right", promise, partial(forged, kind))


_WORDS = {
    "model": ("a model's manifest", "exit 4, or harmless; it stops no list, report or other version"),
    "pointer": ("the pointer to the promoted model", "exit 4, or harmless"),
    "run": ("a run's record", "left out of the list; it stops no report"),
    "publication": (
        "a manifest of published lists",
        "not published, for every reader; the next run publishes again",
    ),
    "partition": ("a manifest of features", "the features are built again"),
}
FAMILIES = tuple(_family(kind, *_WORDS[kind.name]) for kind in _KINDS)

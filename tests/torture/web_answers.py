"""Generated answers of a web server: status, headers, body and pace, met by downloads and by the program."""

import gzip
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import pyarrow.parquet as pq
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from loguru import logger

from recsys_cli.configs.data_sections import TableSettings
from recsys_cli.data_preparation.readers.local_files import scan_source
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.utils.errors import ExitCode, InputError, OutputError
from tests.torture.case import Case, Family
from tests.torture.checks import spoken
from tests.torture.lab import DAY, Kit, Lab, in_workspace, listing
from tests.web_server import Answer, WebServer, answer, web_server

_ANSWERS = 500
_QUICK = 24
_RUNS = 20  # one case in so many is met by the program itself
_BUDGET = 1  # seconds
_PATIENCE = 25  # seconds until a case counts as too long, on a busy machine
_SETTING = f"storage.network.max_seconds={_BUDGET}"
_CODES = {"check": {ExitCode.OK, ExitCode.CHECK}, "features": {ExitCode.OK, ExitCode.INPUT, ExitCode.OUTPUT}}
_STATUS = st.sampled_from(
    ["200 OK"] * 8
    + ["100 Continue", "101 Switching Protocols", "201 Created", "204 No Content", "206 Partial Content"]
    + [
        "300 Multiple Choices",
        "301 Moved",
        "302 Found",
        "304 Not Modified",
        "307 Temporary Redirect",
        "308 Moved",
    ]
    + ["400 Bad", "401 Unauthorized", "403 Forbidden", "404 Not Found", "407 Proxy", "410 Gone", "416 Range"]
    + [
        "429 Too Many",
        "500 Error",
        "502 Bad",
        "503 Unavailable",
        "504 Timeout",
        "999",
        "20",
        "-1 x",
        "200",
        "abc",
    ]
    + ["200 " + "x" * 70_000, "200 \x1b[31mred", "200 \xff\xfe"]
)
_TEXTS = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=20)
_LENGTHS = st.sampled_from(
    ["0", "1", "-1", "abc", "5, 6", "²", "1e3", "99999", "9" * 15, "9" * 17, "9" * 5_000, " 7 "]
)
_NAMES = st.sampled_from(
    ["../../x.parquet", "a%00b.parquet", "a" * 300, ".", "/", "%ff", "x.csv", "CON", "a\x07b"]
)
_HEADERS: dict[str, st.SearchStrategy[str]] = {
    "Content-Length": _LENGTHS,
    "Transfer-Encoding": st.sampled_from(["chunked", "gzip, chunked", "identity", "CHUNKED", "x"]),
    "Content-Encoding": st.sampled_from(["gzip", "deflate", "br", "zstd", "identity", "", "gzip, gzip", "x"]),
    "Content-Type": st.sampled_from(
        ["text/html", "text/html; charset=no-such", "application/json", "", "text/html;;;", "\xff/\xfe"]
    ),
    "Content-Disposition": _NAMES.map(lambda name: f'attachment; filename="{name}"')
    | _NAMES.map(lambda name: f"attachment; filename*=UTF-8''{name}"),
    "X-Goog-Hash": st.sampled_from(
        ["md5=abc", "md5=", "md5=////", "crc32c=AAAA==", "md5=" + "A" * 22 + "=="]
    ),
    "Retry-After": st.sampled_from(
        ["0", "1", "20000", "-1", "soon", "9" * 5_000, "Wed, 01 Jul 2099 00:00:00 GMT"]
    ),
    "Location": st.sampled_from(
        [
            "/good.parquet",
            "",
            "http://[::1",
            "http://.example/",
            "//",
            "file:///etc/passwd",
            "http://localhost/x",
        ]
        + [
            "http://" + "a" * 300 + "/",
            "ftp://x/",
            "\xff",
            "http://127.0.0.1:1/",
            "?",
            "http://a:b@127.0.0.1:99999/",
        ]
    ),
    "ETag": _TEXTS,
    "Last-Modified": _TEXTS,
    "Set-Cookie": _TEXTS,
    "Connection": st.sampled_from(["keep-alive", "Upgrade", "close"]),
}
_MANY = [("X", "y")] * 200
_LONG = [("X", "y" * 70_000)]


@dataclass(frozen=True)
class Sent:
    """An answer, and whether it may be taken for the table."""

    words: str
    found: Answer


def generated(lab: Lab, quick: bool) -> Iterator[Case]:
    """Yield generated answers, each the same in every run."""
    table = (lab.ready / "data/interactions.parquet").read_bytes()
    for number, sent in enumerate(_examples(table, _QUICK if quick else _ANSWERS)):
        met = _met_by_program if number % _RUNS == _RUNS // 2 else _met
        yield Case(f"{number}: {sent.words}", partial(met, number, sent))


def _examples(table: bytes, count: int) -> list[Sent]:
    found: list[Sent] = []

    @settings(
        max_examples=count,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(_answers(table))
    def collect(sent: Sent) -> None:
        found.append(sent)

    collect()  # pylint: disable=no-value-for-parameter
    return found[:count]


def _answers(table: bytes) -> st.SearchStrategy[Sent]:
    header = st.sampled_from(sorted(_HEADERS)).flatmap(lambda name: st.tuples(st.just(name), _HEADERS[name]))
    headers = st.lists(header, max_size=4) | st.sampled_from([_MANY, _LONG])
    shape = st.tuples(_STATUS, headers, _bodies(table), st.booleans())
    return st.tuples(shape, _deliveries()).map(lambda told: _sent(*told[0], *told[1]))


def _bodies(table: bytes) -> st.SearchStrategy[tuple[str, bytes]]:
    chunk = f"{len(table):x}\r\n".encode() + table + b"\r\n"
    whole = {
        "table": table,
        "half a table": table[: len(table) // 2],
        "nothing": b"",
        "page": b"<!DOCTYPE html><html><title>Sign in \x1b[31m</title><form action='http://[::1'>",
        "strange page": b"<html><![foo bar]]><title>",
        "gzip": gzip.compress(table),
        "bomb": gzip.compress(bytes(10**7)),
        "broken gzip": gzip.compress(table)[:99] + b"xx",
        "chunks": chunk + b"0\r\n\r\n",
        "a chunk cut": chunk[:99],
        "no chunk": b"zz\r\n" + table,
        "a chunk of a negative size": b"-5\r\n" + table,
        "an endless chunk size": b"1" * 70_000,
    }
    return st.sampled_from(sorted(whole)).map(lambda name: (name, whole[name])) | st.binary(max_size=40).map(
        lambda some: (repr(some), some)
    )


def _deliveries() -> st.SearchStrategy[tuple[str, dict[str, object], int | None]]:
    """Return how an answer is sent: in words, for `Answer`, and after how many bytes it is cut."""
    plain: tuple[str, dict[str, object], int | None] = ("", {}, None)
    drip: dict[str, object] = {"again": b"x", "pace": 0.05}
    return st.sampled_from(
        [plain] * 8
        + [(f"cut at {at}", {}, at) for at in (0, 5, 17, 40)]
        + [
            ("reset", {"end": "reset"}, None),
            ("hangs", {"end": "hang"}, None),
            ("hangs at 30", {"end": "hang"}, 30),
        ]
        + [("drips", {"pace": 0.02}, None), ("endless", {"again": b"x" * 999}, None)]
        + [
            ("endless chunks", {"again": b"9\r\nxxxxxxxxx\r\n"}, None),
            ("endless drip", drip, None),
        ]
    )


def _sent(
    status: str,
    headers: list[tuple[str, str]],
    body: tuple[str, bytes],
    sized: bool,
    words: str,
    how: dict[str, object],
    cut: int | None,
) -> Sent:
    raw = answer(status, headers, body[1], sized=sized)[:cut]
    told = ", ".join(f"{name}: {value}"[:60] for name, value in headers[:4])
    return Sent(f"{status[:30]!r} {told!a} {body[0]} {words}", Answer(raw, **how))  # type: ignore[arg-type]


@cache
def _server() -> WebServer:
    """Return a server that runs until the process ends."""
    logger.disable("recsys_cli")  # what downloads log in this process
    return ExitStack().enter_context(web_server())


def _url(kit: Kit, number: int, sent: Sent) -> str:
    server = _server()
    server.put("/good.parquet", answer(body=(kit.lab.ready / "data/interactions.parquet").read_bytes()))
    return server.put(f"/{number}.parquet", sent.found)


def _met(number: int, sent: Sent, kit: Kit) -> list[str]:
    """Download the answer: the table comes whole, or an error says what is wrong."""
    root = kit.scratch / f"web-{number}"
    source = TableSettings(path=_url(kit, number, sent), format="parquet")
    folder = InputFolder(root, {"network": {"max_seconds": _BUDGET}})
    began, problems = time.monotonic(), list[str]()
    try:
        rows = scan_source(source, folder).collect().height
        if rows != pq.read_metadata(kit.lab.ready / "data/interactions.parquet").num_rows:
            problems.append(f"{rows} rows were taken for the table")
    except (InputError, OutputError) as error:
        problems += [] if error.where and error.fix else [f"an error without place or fix: {error.what}"]
    except Exception as error:  # pylint: disable=broad-exception-caught
        problems.append(f"{type(error).__name__}: {error}"[:200])
    seconds = time.monotonic() - began
    return problems + _too_long(seconds) + _strays(root)


def _met_by_program(number: int, sent: Sent, kit: Kit) -> list[str]:
    """Let `check` and `features` meet the answer."""
    workspace = kit.workspace(kit.lab.ready)
    before, url = listing(workspace), _url(kit, number, sent)
    kit.in_place.run("--version")  # its start-up is no part of the time
    args = ("--set", f"data.interactions.path={url}", "--set", _SETTING)
    problems = []
    for command, codes in _CODES.items():
        began = time.monotonic()
        outcome = kit.in_place.run("-q", *in_workspace(workspace, *args, command, "--date", DAY))
        problems += [f"{command}: {problem}" for problem in spoken(outcome, codes)]
        problems += _too_long(time.monotonic() - began)
        if command == "check":
            more = {one for one in listing(workspace) - before if not one.startswith(".remote")}
            problems += [f"check leaves {one}" for one in sorted(more)]
    return problems + _strays(workspace)


def _too_long(seconds: float) -> list[str]:
    return [f"it takes more than {_PATIENCE} s"] if seconds > _BUDGET + _PATIENCE else []


def _strays(root: Path) -> list[str]:
    """Return what lies in a workspace's copies beside complete ones and the lock."""
    problems = []
    for folder, _, files in os.walk(root / ".remote"):
        held = {one for one in files if one not in (".lock", ".holder")}
        if held and (".seen" not in held or len(held) != 2):
            problems.append(f"a copy is not complete: {', '.join(sorted(held))} in {Path(folder).name}")
    return problems


FAMILIES = (
    Family(
        "web-answers",
        "generated answers of a web server, some of them through check and features",
        "the whole table or exit 3, in time; nothing is left but complete copies",
        generated,
    ),
)

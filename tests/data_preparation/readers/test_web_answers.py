"""Answers of web servers that are no file, come too slowly, are too large or lead elsewhere."""

import base64
import gzip
import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import polars as pl
import pytest
from loguru import logger

from recsys_cli.configs.data_sections import TableSettings
from recsys_cli.data_preparation.readers import web_session
from recsys_cli.data_preparation.readers.local_files import scan_source
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.readers.web_route import Route, is_public
from recsys_cli.data_preparation.readers.web_session import asked_wait
from recsys_cli.utils.errors import InputError, OutputError, RecsysError
from recsys_cli.utils.storage import time_budget
from recsys_cli.utils.storage.network_limits import StoreError, check_room
from tests.web_server import Answer, WebServer, answer, web_server

PATH = "/x.parquet"
_PATIENCE = (
    25  # seconds that a busy machine may need for what takes one; without a bound all of it lasts longer
)
HTML = ("Content-Type", "text/html")


def table() -> bytes:
    held = io.BytesIO()
    pl.DataFrame({"user_id": [1, 2, 3]}).write_parquet(held)
    return held.getvalue()


FILE = table()
CHUNKED = ("Transfer-Encoding", "chunked")


@pytest.fixture(scope="module")
def running() -> Iterator[WebServer]:
    with web_server() as found:
        yield found


@pytest.fixture
def server(running: WebServer, monkeypatch: pytest.MonkeyPatch) -> WebServer:
    monkeypatch.setattr(web_session, "_PAUSES", (0.01, 0.01))
    running.answers.clear()
    running.asked.clear()
    return running


def read(url: str, root: Path, **network: object) -> list[int]:
    folder = InputFolder(root, {"network": {"max_seconds": 60, **network}})
    return scan_source(TableSettings(path=url), folder).collect()["user_id"].to_list()


def refused(url: str, root: Path, **network: object) -> RecsysError:
    with pytest.raises(InputError) as error:
        read(url, root, **network)
    assert not [one for one in root.rglob("*.parquet*") if one.is_file()]
    assert error.value.where and error.value.fix and "127.0.0.1:" in error.value.what
    return error.value


def header(name: str, value: str) -> bytes:
    return answer(headers=[(name, value)], body=FILE)


NO_FILES = {
    "204": (answer("204 No Content", sized=False), "the server answers 204 No Content and sends no file"),
    "304": (answer("304 Not Modified", sized=False), "the server answers 304 Not Modified"),
    "206": (answer("206 Partial Content", body=FILE[:9]), "the server answers 206 Partial Content"),
    "302 to nowhere": (answer("302 Found"), "the server answers 302 Found and sends no file"),
    "100 in the end": (answer("101 Switching Protocols", sized=False), "the server answers 101"),
    "long reason": (answer("418 " + "x" * 9_000, body=b""), "the server answers 418 xxxx"),
    "html": (
        answer(headers=[HTML], body=b"<html><title>Sign in</title>"),
        "a web page and not a file: 'Sign in'",
    ),
    "html cut": (
        answer(headers=[HTML, ("Content-Length", "10000")], body=b"<html><title>502"),
        "the answer is a web page, which breaks off",
    ),
    "html without gzip": (
        answer(headers=[HTML, ("Content-Encoding", "gzip")], body=b"no gzip"),
        "the answer is a web page, which breaks off",
    ),
    "html with strange marks": (
        answer(headers=[HTML], body=b"<html><![foo bar]]>"),
        "a web page and not a file: ''",
    ),
    "html, unknown charset": (
        answer(headers=[("Content-Type", "text/html; charset=no-such")], body=b"<title>\xff</title>"),
        r"a web page and not a file: '\ufffd'",
    ),
    "html as a file": (answer(body=b"\n<!DOCTYPE  html><html>"), "a web page and not a file, whatever"),
    "gzip": (
        answer(headers=[("Content-Encoding", "GZIP")], body=gzip.compress(FILE)),
        "in an encoding that was not asked for: 'gzip'",
    ),
    "an unknown encoding": (
        header("Content-Encoding", "ebcdic"),
        "an encoding that was not asked for: 'ebcdic'",
    ),
    "length too long": (header("Content-Length", "9" * 5_000), "Content-Length is no number of bytes: '9999"),
    "length of words": (header("Content-Length", "many"), "Content-Length is no number of bytes: 'many'"),
    "length below zero": (header("Content-Length", "-5"), "Content-Length is no number of bytes: '-5'"),
    "length in other digits": (header("Content-Length", "²"), "Content-Length is no number of bytes"),
    "two lengths": (
        answer(headers=[("Content-Length", "5"), ("Content-Length", "6")], body=FILE),
        "Content-Length",
    ),
    "cut": (header("Content-Length", "100000"), "the download broke off"),
    "a broken hash": (header("X-Goog-Hash", "md5=abc"), "X-Goog-Hash holds no MD5"),
    "another hash": (
        header("X-Goog-Hash", f"md5={base64.b64encode(bytes(16)).decode()}"),
        "the file does not match the hash",
    ),
    "a name with a zero byte": (
        header("Content-Disposition", 'attachment; filename="a%00b.parquet"'),
        "no file can have the name",
    ),
    "a long name": (
        header("Content-Disposition", f'attachment; filename="{"a" * 300}.parquet"'),
        "no file can have the name",
    ),
    "no status line": (b"hello\r\n\r\n" + FILE, "it does not answer"),
    "nothing": (b"", "it does not answer"),
    "a line without end": (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n", "it does not answer"),
    "9,000 headers": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9_000 + b"\r\n", "it does not answer"),
    "no chunk": (answer(headers=[CHUNKED], body=b"zz\r\nxx\r\n"), "the download broke off"),
    "a chunk's endless size": (answer(headers=[CHUNKED], body=b"1" * 70_000), "the download broke off"),
    "headers cut": (b"HTTP/1.1 200 OK\r\nETag: x\r\nConte", "the file is empty, or its headers were cut"),
    "an empty file": (answer(), "the file is empty"),
    "a chunk cut": (answer(headers=[CHUNKED], body=b"ff\r\nshort"), "the download broke off"),
}


@pytest.mark.parametrize("name", NO_FILES)
def test_an_answer_that_is_no_file_is_refused_with_what_came(
    server: WebServer, tmp_path: Path, name: str
) -> None:
    raw, words = NO_FILES[name]
    assert words in refused(server.put(PATH, raw), tmp_path).what


@pytest.mark.parametrize("headers", [[CHUNKED], [CHUNKED, ("Content-Length", "7")], []])
def test_a_file_whose_size_is_unknown_comes_whole(
    server: WebServer, tmp_path: Path, headers: list[tuple[str, str]]
) -> None:
    body = f"{len(FILE):x};extension\r\n".encode() + FILE + b"\r\n0\r\n\r\n" if headers else FILE
    assert read(server.put(PATH, answer(headers=headers, body=body, sized=False)), tmp_path) == [1, 2, 3]


@pytest.mark.parametrize("address", ["http://[::1", "http://.example/x.parquet", "http://a:99999/x.parquet"])
def test_an_address_that_no_library_takes_is_an_input_error(tmp_path: Path, address: str) -> None:
    with pytest.raises(InputError):
        read(address, tmp_path)


# Time


def test_a_busy_server_is_asked_again_when_it_says(server: WebServer, tmp_path: Path) -> None:
    busy = answer("503 Service Unavailable", [("Retry-After", "1")])
    began, lines = time.monotonic(), list[str]()
    sink = logger.add(lambda line: lines.append(str(line)), level="INFO", format="{message}")
    try:
        assert read(server.put(PATH, busy, answer(body=FILE)), tmp_path) == [1, 2, 3]
    finally:
        logger.remove(sink)
    assert 1 <= time.monotonic() - began < _PATIENCE
    assert any(f"127.0.0.1:{server.port}: waits 1 s, answer 503" in line for line in lines)


def test_a_wait_beyond_the_budget_is_refused_at_once(server: WebServer, tmp_path: Path) -> None:
    busy = answer("503 Service Unavailable", [("Retry-After", "20000")])
    began = time.monotonic()
    error = refused(server.put(PATH, busy), tmp_path, max_seconds=1_800)
    assert time.monotonic() - began < _PATIENCE
    assert "answer 503, and a next try in 20,000 s is too late" in error.what
    assert "storage.network.max_seconds" in error.fix


NOW = datetime(2026, 7, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        (format_datetime(NOW + timedelta(seconds=30), usegmt=True), 30.0),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0.0),
        ("Wed, 01 Jul 2026 00:00:09 -0000", 9.0),
        ("", None),
        ("-5", None),
        ("1e9", None),
        ("9" * 5_000, None),
        ("²", None),
        ("soon", None),
        ("Wed, 99 Foo 99999 99:99:99 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert asked_wait(text, NOW) == seconds


SLOW = {
    "no word": Answer(b"", end="hang"),
    "a header that drips": Answer(answer(headers=[("X", "y" * 5_000)], body=FILE), pace=0.01),
    "a body that drips": Answer(answer(headers=[("Content-Length", "99999")]), again=b"x", pace=0.05),
    "a body that stalls": Answer(answer(headers=[("Content-Length", "99999")], body=b"x"), end="hang"),
    "endless early answers": Answer(b"", again=b"HTTP/1.1 100 Continue\r\n\r\n", pace=0.001),
    "an endless trailer": Answer(answer(headers=[CHUNKED], body=b"0\r\n"), again=b"X: y\r\n", pace=0.01),
    "an endless page": Answer(answer(headers=[HTML], sized=False), again=b"<p>", pace=0.01),
}


@pytest.mark.parametrize("name", SLOW)
def test_what_comes_too_slowly_ends_with_the_budget(server: WebServer, tmp_path: Path, name: str) -> None:
    began = time.monotonic()
    error = refused(server.put(PATH, SLOW[name]), tmp_path, max_seconds=1)
    assert time.monotonic() - began < _PATIENCE
    assert "storage.network.max_seconds = 1" in error.what, error.what


def test_a_drip_ends_long_before_a_large_budget(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time_budget, "_SILENT_SECONDS", 0.5)
    monkeypatch.setattr(time_budget, "_SECONDS_BETWEEN_LINES", 0.2)
    began = time.monotonic()
    error = refused(server.put(PATH, SLOW["a body that drips"]), tmp_path, max_seconds=1_800)
    assert "next to nothing has come" in error.what and time.monotonic() - began < _PATIENCE


# Size


def test_a_size_beyond_the_limit_is_refused_before_a_byte_is_read(server: WebServer, tmp_path: Path) -> None:
    huge = Answer(answer(headers=[("Content-Length", "9" * 15)]), end="hang")
    error = refused(server.put(PATH, huge), tmp_path)
    assert "more than storage.network.max_gigabytes = 100" in error.what


def test_a_body_without_an_end_stops_at_the_limit(server: WebServer, tmp_path: Path) -> None:
    endless = Answer(answer(headers=[CHUNKED]), again=b"10000\r\n" + bytes(65_536) + b"\r\n")
    error = refused(server.put(PATH, endless), tmp_path, max_gigabytes=0.001)
    assert "more than storage.network.max_gigabytes = 0.001" in error.what


def test_a_file_that_does_not_fit_the_disk_is_refused_before_it_comes(
    server: WebServer, tmp_path: Path
) -> None:
    huge = Answer(answer(headers=[("Content-Length", "9" * 17)]), end="hang")
    with pytest.raises(OutputError, match="the disk has no room for a download"):
        read(server.put(PATH, huge), tmp_path, max_gigabytes=1e12)
    check_room(0, tmp_path)


# Redirects


def moved(location: str, status: str = "302 Found") -> bytes:
    return answer(status, [("Location", location)])


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"]
)
def test_a_redirect_on_the_host_is_followed(server: WebServer, tmp_path: Path, status: str) -> None:
    server.put("/file", answer(body=FILE))
    assert read(server.put(PATH, moved("/file", status)), tmp_path) == [1, 2, 3]


LEADING_ELSEWHERE = {
    "another host": ("http://localhost/x", "redirects to another host, 'localhost'"),
    "a local file": ("file:///etc/passwd", "an address that is none of the web: 'file'"),
    "no address": ("http://[::1", "it does not answer: Invalid IPv6 URL"),
    "a host with a dot": ("http://.example/", "it redirects to another host, '.example'"),
    "itself": (PATH, "it redirects more than 10 times"),
}


@pytest.mark.parametrize("name", LEADING_ELSEWHERE)
def test_a_redirect_elsewhere_is_refused(server: WebServer, tmp_path: Path, name: str) -> None:
    location, words = LEADING_ELSEWHERE[name]
    assert words in refused(server.put(PATH, moved(location)), tmp_path).what


def test_another_host_gets_the_request_but_no_credentials_where_the_setting_allows_it(
    server: WebServer, tmp_path: Path
) -> None:
    server.put("/file", answer(body=FILE))
    server.put("/there", moved("/file"))
    server.put(PATH, moved("/there"))
    own = f"http://me:geheim@127.0.0.1:{server.port}"
    assert read(own + PATH, tmp_path / "a") == [1, 2, 3]
    assert ["Authorization: Basic" in one for one in server.asked] == [True, True, True]
    server.asked.clear()
    server.put("/there", moved(server.url("/file", "localhost")))
    assert read(own + PATH, tmp_path / "b", redirect_hosts=["localhost"]) == [1, 2, 3]
    assert ["Authorization: Basic" in one for one in server.asked] == [True, True, False]
    server.asked.clear()
    assert read(server.url(PATH), tmp_path / "c", redirect_hosts=["localhost"]) == [1, 2, 3]
    assert not [one for one in server.asked if "Authorization" in one]


def test_the_body_of_a_redirect_is_not_read(server: WebServer, tmp_path: Path) -> None:
    server.put("/file", answer(body=FILE))
    head = answer("302 Found", [("Location", "/file")], sized=False)
    assert read(server.put(PATH, Answer(head, again=bytes(65_536))), tmp_path) == [1, 2, 3]


def test_behind_a_proxy_names_count_and_a_name_of_nowhere_is_a_public_one(
    server: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url(""))
    monkeypatch.setenv("no_proxy", "")
    server.put("http://shop.invalid/x.parquet", answer(body=FILE))
    assert read("http://shop.invalid/x.parquet", tmp_path) == [1, 2, 3]
    server.put("http://shop.invalid/y.parquet", moved("http://127.0.0.1/x"))
    with pytest.raises(InputError, match="shop.invalid: a public host redirects to an address of a private"):
        read("http://shop.invalid/y.parquet", tmp_path, redirect_hosts=["127.0.0.1"])


PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "::1",
    "::",
    "fe80::1%eth0",
    "fd00::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_public_host_may_not_redirect_to_a_private_address(address: str) -> None:
    assert not is_public(address)
    route = Route("https://example.org/x", ["*"])
    route.validate(["93.184.216.34"])
    route.redirect("https://example.org/y")
    with pytest.raises(StoreError, match="a public host redirects to an address of a private network"):
        route.validate(["93.184.216.34", address])


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_a_private_host_may_redirect_to_a_public_one_but_not_from_there_back(address: str) -> None:
    assert is_public(address)
    route = Route("https://files.example.org/x", [])
    route.validate(["10.0.0.1"])
    route.redirect("/y")
    route.validate(["10.0.0.2"])
    route.redirect("/z")
    route.validate([address])
    route.redirect("/w")
    with pytest.raises(StoreError, match="private network"):
        route.validate(["10.0.0.1"])


def test_a_redirect_to_a_private_address_by_number_is_refused_even_where_the_host_is_allowed() -> None:
    route = Route("https://example.org/x", ["127.0.0.1"])
    route.validate(["93.184.216.34"])
    route.redirect("https://127.0.0.1/x")
    with pytest.raises(StoreError, match="private network"):
        route.look_up()


@pytest.mark.parametrize(
    ("allowed", "host", "follows"),
    [
        (["*.googleusercontent.com"], "doc-0k.googleusercontent.com", True),
        (["*.googleusercontent.com"], "evilgoogleusercontent.com", False),
        (["Files.Example.Net"], "files.example.net", True),
        (["example.net"], "files.example.net", False),
        ([], "example.org", True),
        ([], "www.example.org", False),
    ],
)
def test_hosts_of_the_setting_are_matched_whole(allowed: list[str], host: str, follows: bool) -> None:
    route = Route("https://example.org/x", allowed)
    if follows:
        route.redirect(f"https://{host}/x")
        assert route.address == f"https://{host}/x"
    else:
        with pytest.raises(StoreError, match="another host"):
            route.redirect(f"https://{host}/x")


def test_https_is_never_left_for_http_and_a_user_in_a_redirect_is_dropped() -> None:
    route = Route("http://me:geheim@example.org/x", [])
    route.redirect("https://other:word@example.org/y")
    assert route.address == "https://example.org/y" and not route.is_at_origin()
    with pytest.raises(StoreError, match="from https to http"):
        route.redirect("http://example.org/x")

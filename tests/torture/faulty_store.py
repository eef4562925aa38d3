"""A proxy in front of an S3 server that answers some requests wrongly: errors, resets, cut bodies.

with s3_server() as s3, faulty_proxy(s3.address) as proxy:
    proxy.fault = Fault("reset", "GET", after=3)
"""

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import parse_qs, unquote, urlsplit

KINDS = ("500", "503", "403", "404", "reset", "cut", "empty", "etag", "stale", "listing", "html", "garbled")
POINTER = "_current.json"
_SECONDS = 20  # patience with the server behind it
_HOP = {"connection", "transfer-encoding", "content-length", "date", "server"}


@dataclass(frozen=True)
class Fault:
    """What goes wrong, at which requests.

    Attributes:
        kind: one of KINDS.
        method: of the requests that it may meet.
        after: so many of these are answered well before it.
        times: so many are then answered wrongly; 0: all.
        where: a text that their path contains; of the kind "listing", their query.
    """

    kind: str
    method: str
    after: int = 0
    times: int = 0
    where: str = ""

    def meets(self, number: int) -> bool:
        """Return whether the request of this number, counted from 0, is answered wrongly."""
        return number >= self.after and (not self.times or number < self.after + self.times)


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        stale: bodies of pointers that the kind "stale" answers with, by path.
        met: how many requests the fault has met.
    """

    address: str
    behind: tuple[str, int]
    fault: Fault | None = None
    stale: dict[str, bytes] = field(default_factory=dict)
    met: int = 0
    _seen: int = 0
    _lock: Lock = field(default_factory=Lock)

    def begin(self, fault: Fault | None) -> None:
        """Let a fault meet the requests from now on; None: answer all of them well."""
        with self._lock:
            self.fault, self.met, self._seen = fault, 0, 0

    def fault_of(self, method: str, path: str) -> str:
        """Return the kind of fault that meets a request; empty where none does."""
        with self._lock:
            fault = self.fault
            if fault is None or method != fault.method or fault.where not in _searched(fault, path):
                return ""
            self._seen += 1
            if not fault.meets(self._seen - 1):
                return ""
            self.met += 1
            return fault.kind


@contextmanager
def faulty_proxy(address: str) -> Iterator[Proxy]:
    """Run a proxy to a server's address for a block."""
    host, port = urlsplit(address).hostname, urlsplit(address).port
    assert host is not None and port is not None
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}", (host, port))
    setattr(server, "proxy", proxy)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Passes a request on, and answers it well or wrongly."""

    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        proxy: Proxy = getattr(self.server, "proxy")
        kind = proxy.fault_of(self.command, self.path)
        asked = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if kind in ("500", "503", "403", "404"):
            return self._refuse(int(kind))
        if kind == "reset":
            return self._reset()
        status, headers, body = self._passed_on(proxy, asked)
        self._send(status, *_spoilt(kind, self.path, proxy, headers, body))
        return None

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _answer

    def _passed_on(self, proxy: Proxy, asked: bytes) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection(*proxy.behind, timeout=_SECONDS)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            connection.request(self.command, self.path, asked, headers)
            answer = connection.getresponse()
            kept = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP}
            if self.command == "HEAD" and answer.headers.get("Content-Length"):
                kept["Content-Length"] = answer.headers["Content-Length"]
            return answer.status, kept, answer.read()
        finally:
            connection.close()

    def _send(self, status: int, headers: dict[str, str], body: bytes, length: int) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("Content-Length", str(length))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(b"" if self.command == "HEAD" else body)
        if len(body) < length:
            self._reset()

    def _refuse(self, status: int) -> None:
        codes = {500: "InternalError", 503: "SlowDown", 403: "AccessDenied", 404: "NoSuchKey"}
        text = f"<Error><Code>{codes[status]}</Code><Message>a fault of the test</Message></Error>"
        self._send(status, {"Content-Type": "application/xml"}, text.encode(), len(text))

    def _reset(self) -> None:
        self.close_connection = True
        with suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: object) -> None:  # pylint: disable=redefined-builtin
        """Say nothing."""


def _searched(fault: Fault, path: str) -> str:
    url = urlsplit(path)
    return url.query if fault.kind == "listing" else unquote(url.path)


def _spoilt(
    kind: str, path: str, proxy: Proxy, headers: dict[str, str], body: bytes
) -> tuple[dict[str, str], bytes, int]:
    """Return headers, body and the length that is promised for it."""
    if kind == "cut":
        return headers, body[: len(body) // 2], len(body)
    if kind == "empty":
        body = b""
    if kind == "etag":
        headers |= {"ETag": '"00000000000000000000000000000000"'}
    if kind == "stale":
        body = proxy.stale.get(unquote(urlsplit(path).path), body)
    if kind == "listing" and "list-type" in parse_qs(urlsplit(path).query, keep_blank_values=True):
        body = re.sub(rb"<Contents>.*?</Contents>", b"", body, count=1, flags=re.DOTALL)
    if kind == "html":
        headers, body = {"Content-Type": "text/html"}, b"<html>sign in first</html>"
    if kind == "garbled" and body:
        middle = len(body) // 2
        body = body[:middle] + bytes([body[middle] ^ 1]) + body[middle + 1 :]
    return headers, body, len(body)

"""A web server on loopback that sends exactly the bytes it is given, for tests of bad answers."""

import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread
from typing import Literal


@dataclass(frozen=True)
class Answer:
    """What a server sends for a path.

    Attributes:
        again: repeats this after `raw`, until the client has gone.
        pace: seconds between two repeats, or without them between two bytes; 0: all at once.
        end: how it ends the connection; "hang": it says nothing more for a long time.
    """

    raw: bytes
    again: bytes = b""
    pace: float = 0.0
    end: Literal["close", "reset", "hang"] = "close"


def answer(
    status: str = "200 OK", headers: Sequence[tuple[str, str]] = (), body: bytes = b"", *, sized: bool = True
) -> bytes:
    """Return the bytes of an answer.

    Args:
        sized: whether it has the right Content-Length, unless the headers have one or are chunked.
    """
    given = list(headers)
    names = {name.lower() for name, _ in given}
    if sized and not names & {"content-length", "transfer-encoding"}:
        given.append(("Content-Length", str(len(body))))
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in given)]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1", "replace") + body


@dataclass
class WebServer:
    """Answers by path; of several the last one is repeated."""

    port: int
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Return the address of a path."""
        return f"http://{host}:{self.port}{path}"

    def put(self, path: str, *answers: Answer | bytes) -> str:
        """Let a path have these answers, one after the other; return its address."""
        self.answers[path] = [one if isinstance(one, Answer) else Answer(one) for one in answers]
        return self.url(path)

    def next_answer(self, request: bytes) -> Answer:
        """Return what comes next for the path of a request."""
        self.asked.append(request.decode("latin-1"))
        path = (request.split(b" ") + [b""])[1].decode("latin-1").partition("?")[0]
        waiting = self.answers.get(path, [Answer(answer("404 Not Found"))])
        return waiting.pop(0) if len(waiting) > 1 else waiting[0]


@contextmanager
def web_server() -> Iterator[WebServer]:
    """Run a server for a block."""

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                _send(self.connection, found.next_answer(_request(self.connection)))

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        found = WebServer(server.server_address[1])
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield found
        finally:
            server.shutdown()


def _request(connection: socket.socket) -> bytes:
    read = b""
    while b"\r\n\r\n" not in read and (more := connection.recv(65_536)):
        read += more
    return read


def _send(connection: socket.socket, found: Answer) -> None:
    for part in (
        [found.raw]
        if found.again or not found.pace
        else [found.raw[at : at + 1] for at in range(len(found.raw))]
    ):
        connection.sendall(part)
        time.sleep(found.pace)
    while found.again:
        connection.sendall(found.again)
        time.sleep(found.pace)
    if found.end == "hang":
        connection.settimeout(60)
        connection.recv(1)
    if found.end == "reset":
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    if found.end == "close":
        connection.shutdown(socket.SHUT_WR)

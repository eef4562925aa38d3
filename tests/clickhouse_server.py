"""ClickHouse's engine, chdb, behind as much of its HTTP interface as its driver needs: a program."""

import base64
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Lock
from urllib.parse import parse_qsl, urlsplit

from chdb.session import Session

_ONE_AT_A_TIME = Lock()


class _Handler(BaseHTTPRequestHandler):
    """Answers a query in the format that is asked for."""

    session: Session
    password: str

    def do_POST(self) -> None:  # pylint: disable=invalid-name
        """Answer a query."""
        options = dict(parse_qsl(urlsplit(self.path).query))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        if not self._is_known():
            return self._answer(
                403, b"Code: 516. DB::Exception: Authentication failed: password is incorrect"
            )
        query = options.get("query", "") + body
        named = {key: value for key, value in options.items() if key.startswith("param_")}
        given = {key.removeprefix("param_"): value for key, value in named.items()}
        query, _, asked = query.strip().partition(" FORMAT ")
        form = options.get("default_format") or asked.strip() or "TabSeparated"
        try:
            with _ONE_AT_A_TIME:
                settings = f" SETTINGS session_timezone = '{options.get('session_timezone', 'UTC')}'"
                found = self.session.query(query + settings, form, params=given).bytes()
        except Exception as error:  # pylint: disable=broad-exception-caught
            return self._answer(500, str(error).encode())
        return self._answer(200, found)

    do_GET = do_POST

    def _is_known(self) -> bool:
        scheme, _, text = self.headers.get("Authorization", "").partition(" ")
        return scheme == "Basic" and base64.b64decode(text).decode().partition(":")[2] == self.password

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        if status != 200:
            self.send_header("X-ClickHouse-Exception-Code", "1")
        self.send_header("X-ClickHouse-Timezone", "UTC")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # pylint: disable=redefined-builtin
        """Say nothing."""


if __name__ == "__main__":
    _Handler.session = Session()
    _Handler.password = sys.argv[1]
    for statement in sys.argv[2:]:
        _Handler.session.query(statement)
    server = HTTPServer(("127.0.0.1", 0), _Handler)
    print(server.server_port, flush=True)
    server.serve_forever()

"""Requests to web servers: tries, waits and redirects within bounds; library errors become StoreError."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from recsys_cli.data_preparation.readers.web_route import Route
from recsys_cli.utils.errors import RecsysError, first_line
from recsys_cli.utils.storage.network_limits import NetworkLimits, StoreError
from recsys_cli.utils.storage.time_budget import TimeBudget

if TYPE_CHECKING:
    from socket import socket

    from requests import Response, Session
    from requests.adapters import HTTPAdapter

_CONNECT_SECONDS, _READ_SECONDS = 10.0, 30.0  # of one address, and from one byte to the next
_PAUSES = (0.2, 1.0, 2.0)  # seconds before the tries after the first
_BUSY = {429, 500, 502, 503, 504}
_REDIRECTS = {301, 302, 303, 307, 308}
_BLOCK = 2**16  # bytes: a server that sends fewer in a minute is one that drips
_LONGEST_REASON = 200
_LONGEST_WAIT = 10  # digits


class NoAnswerError(StoreError):
    """A server did not answer; it may the next time."""


class WebSession:
    """A session with one web server, closed by `close`.

    Args:
        budget: of everything that the session does.
        redirects: hosts that the server may redirect to, beside those of the limits.
    """

    def __init__(self, limits: NetworkLimits, budget: TimeBudget, redirects: tuple[str, ...] = ()) -> None:
        self.limits = limits
        self._budget = budget
        self._redirects = (*limits.redirect_hosts, *redirects)
        self._session = _plain_session()

    def close(self) -> None:
        """Close its connections."""
        self._session.close()

    def get(
        self, address: str, query: Mapping[str, str] | None = None, action: str | None = None
    ) -> "Response":
        """Return a server's answer, behind all redirects, with its body unread; a busy server is asked again.

        Args:
            action: of a form on the page at `address`, which gets the query instead.

        Raises: StoreError if there is none, or a redirect must not be followed.
        """
        for pause in _PAUSES:
            try:
                response = self._follow(address, query, action)
            except NoAnswerError as error:
                self._budget.wait(pause, str(error))
                continue
            if response.status_code not in _BUSY:
                return response
            response.close()
            asked = asked_wait(response.headers.get("Retry-After", ""), datetime.now(UTC))
            self._budget.wait(pause if asked is None else asked, f"answer {response.status_code}")
        return self._follow(address, query, action)

    def blocks(self, response: "Response") -> Iterator[bytes]:
        """Yield an answer's body, as it is sent.

        Raises: StoreError if it breaks off.
        """
        self._budget.begin("downloads")
        while True:
            with self._as_store_error("the download broke off"):
                block = response.raw.read(_BLOCK, decode_content=False)
            if not block:
                self._budget.left()  # so may a body
                return
            self._budget.arrived(len(block))
            yield block

    def page(self, response: "Response", size: int) -> str:
        """Return the first bytes of a web page.

        Raises: StoreError if they cannot be read.
        """
        with self._as_store_error("the answer is a web page, which breaks off"):
            found = bytes(response.raw.read(size, decode_content=True))
            self._budget.left()
            return found.decode("utf-8", "replace")

    def _follow(self, address: str, query: Mapping[str, str] | None, action: str | None) -> "Response":
        with self._as_store_error("it does not answer"):
            route = Route(address, self._redirects)
            if action is not None:
                route.look_up()
                route.redirect(action)
            response = self._ask(route, address, query)
            while response.status_code in _REDIRECTS and "Location" in response.headers:
                response.close()
                route.redirect(response.headers["Location"])
                response = self._ask(route, address, None)
            return response

    def _ask(self, route: Route, address: str, query: Mapping[str, str] | None) -> "Response":
        from requests.utils import get_auth_from_url

        self._session.close()  # what a route has validated is the connection that it uses
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _adapter(lambda given: self._connect(given, route)))
        route.look_up()
        left = self._budget.left()
        self._budget.begin("waits for an answer")
        user = get_auth_from_url(address) if route.is_at_origin() else ("", "")
        response = self._session.get(
            route.address,
            params=query,
            auth=user if any(user) else None,
            stream=True,
            allow_redirects=False,
            timeout=(min(_CONNECT_SECONDS, left), min(_READ_SECONDS, left)),
        )
        self._budget.left()  # headers that were cut short look complete
        return response

    def _connect(self, connection: Any, route: Route) -> "socket":
        """Return a connection to one of the host's addresses, which are validated first."""
        import socket

        from urllib3.exceptions import NameResolutionError, NewConnectionError
        from urllib3.util.connection import create_connection

        try:
            found = socket.getaddrinfo(connection.host.strip("[]"), connection.port, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            raise NameResolutionError(connection.host, connection, error) from error
        addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
        if not connection.proxy:
            route.validate(addresses)
        failure: OSError | None = None
        for one in addresses:
            seconds = min(connection.timeout, self._budget.left())
            try:
                made = create_connection(
                    (one, connection.port), seconds, socket_options=connection.socket_options
                )
            except OSError as error:
                failure = error
                continue
            made.settimeout(connection.timeout)
            self._budget.watch(made)
            return made
        raise NewConnectionError(connection, f"no connection: {failure}")

    @contextmanager
    def _as_store_error(self, what: str) -> Iterator[None]:
        """Turn whatever requests, urllib3 and the modules below them raise into a StoreError, here alone."""
        import requests

        try:
            yield
        except (StoreError, RecsysError, MemoryError) as error:
            raise self._budget.exceeded or error
        except Exception as error:  # pylint: disable=broad-exception-caught
            may_pass = isinstance(error, requests.ConnectionError | requests.Timeout)
            kind = NoAnswerError if may_pass else StoreError
            raise self._budget.exceeded or kind(f"{what}: {reason_of(error)}") from error


def asked_wait(text: str, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` asks to wait, given as such or as a date; None: neither."""
    if re.fullmatch(rf"\d{{1,{_LONGEST_WAIT}}}", text.strip(), re.ASCII):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def reason_of(error: BaseException) -> str:
    """Return the reason of a failed request, without its address, which may hold a signature."""
    cause = error.args[0] if error.args else error
    cause = getattr(cause, "reason", cause)
    reason = cause.args[0] if isinstance(cause, BaseException) and cause.args else cause
    text = first_line(ValueError(reason)) if str(reason).strip() else type(error).__name__
    return re.sub(r"(?i)https?:/\S+|url: \S+|for url\S* \S+", "…", text)[:_LONGEST_REASON]


def _plain_session() -> "Session":
    """Return a session that asks for plain bytes and reads no body on its own."""
    from requests import Session

    class Plain(Session):
        """Without redirects of its own: those read whole bodies."""

        def get_redirect_target(self, resp: "Response") -> None:
            return None

    session = Plain()
    session.headers["Accept-Encoding"] = "identity"
    return session


def _adapter(connect: "Callable[[Any], socket]") -> "HTTPAdapter":
    """Return an adapter whose connections, to servers and proxies, are made by `connect`."""
    from requests.adapters import HTTPAdapter
    from urllib3.connection import HTTPConnection, HTTPSConnection
    from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

    class Connection(HTTPConnection):
        def _new_conn(self) -> "socket":
            return connect(self)

    class SecureConnection(HTTPSConnection):
        def _new_conn(self) -> "socket":
            return connect(self)

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs)
            self.poolmanager.pool_classes_by_scheme = {"http": Pool, "https": SecurePool}

        def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
            manager = super().proxy_manager_for(proxy, **kwargs)
            manager.pool_classes_by_scheme = {"http": Pool, "https": SecurePool}
            return manager

    return Adapter()

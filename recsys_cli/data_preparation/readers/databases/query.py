"""A query for a database, with all that its session needs."""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit
from zoneinfo import ZoneInfo

from recsys_cli.utils.credentials import MASK, SHORTEST_SECRET, secrets_in, without_credentials
from recsys_cli.utils.query_text import has_date, with_parameter
from recsys_cli.utils.storage.network_limits import NetworkLimits
from recsys_cli.utils.storage.uris import shown

BATCH_ROWS = 65_536
_CONNECT_SECONDS = 30.0


@dataclass(frozen=True)
class Query:
    """What is asked, and of which database.

    Attributes:
        connection: the address, as scheme://user@host:port/database?option=value.
        password: of its user; empty: that of the address, if it has one.
        text: one SELECT, in which {date} stands for the moment of `cut`.
        cut: the first moment of the run's date, in UTC.
        zone: of times without one; the session's where the database has such a thing.
        folder: where the path of a database that is a file starts.
    """

    connection: str = field(repr=False)
    password: str = field(repr=False)
    text: str
    cut: datetime
    zone: str
    folder: Path
    limits: NetworkLimits = NetworkLimits()

    @property
    def where(self) -> str:
        """The address for messages, without user and password."""
        return shown(self.connection)

    @cached_property
    def address(self) -> SplitResult:
        """The address in its components."""
        return urlsplit(self.connection)

    @property
    def scheme(self) -> str:
        """The database's kind, as `postgresql` of postgresql+psycopg."""
        return self.address.scheme.partition("+")[0]

    @property
    def options(self) -> dict[str, str]:
        """The options of the address."""
        return dict(parse_qsl(self.address.query))

    @property
    def file(self) -> Path:
        """The file of a database that is one: sqlite:///shop.db lies in the workspace, //// is the root."""
        return self.folder / unquote(self.address.path.removeprefix("/"))

    @property
    def secret(self) -> str:
        """The password, from its own setting or the address."""
        return self.password or unquote(self.address.password or "")

    @property
    def has_date(self) -> bool:
        """Whether the query depends on the run's date."""
        return has_date(self.text)

    @property
    def local_cut(self) -> datetime:
        """The first moment of the run's date, in the query's zone."""
        return self.cut.astimezone(ZoneInfo(self.zone))

    @property
    def connect_seconds(self) -> int:
        """How long a connection may take."""
        return max(1, int(min(_CONNECT_SECONDS, self.limits.max_seconds)))

    def marked(self, sign: str) -> str:
        """Return the text with a driver's sign for its parameter."""
        return with_parameter(self.text, sign)

    def without_secrets(self, text: str) -> str:
        """Return a driver's words with the password masked."""
        known = {*secrets_in(self.connection), self.secret}
        for one in sorted(known, key=len, reverse=True):
            if len(one) >= SHORTEST_SECRET:
                text = text.replace(one, MASK)
        return without_credentials(text)

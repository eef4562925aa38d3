"""Download files from the web and from Google Drive, by their address or share link."""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from recsys_cli.data_preparation.readers.web_session import WebSession
from recsys_cli.utils.storage.network_limits import (
    NO_OPTIONS,
    NetworkLimits,
    StorageOptions,
    StoreError,
    check_room,
)
from recsys_cli.utils.storage.time_budget import TimeBudget
from recsys_cli.utils.storage.uris import drive_id, shown

if TYPE_CHECKING:
    from requests import Response

_DRIVE = "https://drive.google.com/uc"
_DRIVE_HOSTS = ("*.google.com", "*.googleusercontent.com")  # where Drive redirects to
_LONGEST_PAGE = 2**20
_LONGEST_TITLE = 100
_LONGEST_NAME = 200  # bytes: most file systems allow 255
_ROOM_CHECKED = 2**24  # bytes between two looks at the free space
_NAME = re.compile(r"filename\*=UTF-8''([^;]+)|filename=\"?([^\";]+)", re.IGNORECASE)
_CHANGING = ("ETag", "Last-Modified", "X-Goog-Hash")  # headers that change when the file does
_PAGE = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html)\b", re.IGNORECASE)  # the start of one


@dataclass(frozen=True)
class Answer:
    """A server's answer whose body, a file, has not been read yet."""

    response: "Response"
    link: str
    session: WebSession

    @property
    def identity(self) -> str | None:
        """A text that changes whenever the file does; None if the server sends no such header."""
        headers = self.response.headers
        found = [f"{name}={headers[name]}" for name in _CHANGING if name in headers]
        return "|".join([*found, f"size={self.size}"]) if found else None

    @property
    def size(self) -> int | None:
        """The file's size in bytes; None if the server does not report it.

        Raises: StoreError if it reports something else.
        """
        length = self.response.headers.get("Content-Length")
        if length is None or "Transfer-Encoding" in self.response.headers:
            return None
        if re.fullmatch(r"\d{1,18}", length, re.ASCII) is None:
            raise StoreError(f"its header Content-Length is no number of bytes: {length[:30]!a}")
        return int(length)

    @property
    def name(self) -> str:
        """The file's name, from the server or the address.

        Raises: StoreError if no file can be called so.
        """
        found = _NAME.search(self.response.headers.get("Content-Disposition", ""))
        path = "" if drive_id(self.link) else urlsplit(self.link).path
        name = Path(unquote(found[1] or found[2] if found else path)).name.lstrip("._") or "file"
        if not name.isprintable() or len(name.encode("utf-8", "replace")) > _LONGEST_NAME:
            raise StoreError(f"no file can have the name that the server gives it: {name[:_LONGEST_TITLE]!a}")
        return name

    def save(self, target: Path) -> None:
        """Write the file.

        Raises: StoreError if it is a web page or too large, or if size or hash differ from those that the
            server reported; OutputError if the disk has no room for it.
        """
        expected, md5 = self.size, self._md5()
        self.session.limits.check_size(expected or 0)
        check_room(expected or 0, target.parent)
        digest, size = hashlib.md5(usedforsecurity=False), 0
        with target.open("wb") as file:
            for block in self.session.blocks(self.response):
                if not size and _PAGE.match(block):
                    raise StoreError("the answer is a web page and not a file, whatever its header says")
                if size // _ROOM_CHECKED != (size + len(block)) // _ROOM_CHECKED:
                    check_room(0, target.parent)
                file.write(block)
                digest.update(block)
                size += len(block)
                self.session.limits.check_size(size)
        if expected not in (None, size):
            raise StoreError(f"the download broke off: {size:,} of {expected:,} bytes arrived")
        if not size:
            raise StoreError("the file is empty, or its headers were cut")
        if md5 not in (None, digest.digest()):
            raise StoreError("the file does not match the hash that the server sent")

    def _md5(self) -> bytes | None:
        """Return the file's MD5 as the server reports it; None if it does not."""
        header = self.response.headers.get("X-Goog-Hash", "")
        found = re.search(r"md5=([\w+/=]+)", header)
        try:
            return base64.b64decode(found[1], validate=True) if found else None
        except (binascii.Error, ValueError):
            raise StoreError(f"its header X-Goog-Hash holds no MD5: {header[:_LONGEST_TITLE]!a}") from None


@contextmanager
def open_answer(link: str, options: StorageOptions = NO_OPTIONS) -> Iterator[Answer]:
    """Request a file; its body is not read before `save`.

    Args:
        options: `url` of the scheme "drive": the address to use instead of Google Drive's.

    Raises: StoreError, which names the host, if the server does not answer or answers with something else.
    """
    limits, key = NetworkLimits.of(options), drive_id(link)
    address = link if key is None else str(options.get("drive", {}).get("url", _DRIVE))
    host = _host_of(address)
    with TimeBudget(limits.max_seconds, host) as budget:
        session = WebSession(limits, budget, () if key is None else _DRIVE_HOSTS)
        try:
            response = session.get(address) if key is None else _of_drive(session, address, key)
            with response:
                yield Answer(_checked(response, session), link, session)
        except StoreError as error:
            raise StoreError(f"{host}: {error}", error.fix) from error
        finally:
            session.close()


def _host_of(address: str) -> str:
    """Return the host and port of an address for messages."""
    return shown(address).partition("://")[2].partition("/")[0] or "the server"


def _of_drive(session: WebSession, address: str, key: str) -> "Response":
    """Return the answer with a file of Drive; for a large one Drive first asks for a confirmation."""
    response = session.get(address, {"export": "download", "id": key})
    if response.ok and _is_page(response) and not _asks_to_sign_in(response):
        page = _Page.of(response, session)
        if page.action is None:
            raise page.error()
        response.close()
        return session.get(response.url, page.fields, page.action)
    return response


def _checked(response: "Response", session: WebSession) -> "Response":
    """Return the answer if it is a file.

    Raises: StoreError otherwise.
    """
    if _asks_to_sign_in(response):
        raise StoreError("the file is private: share it with everyone who has the link")
    if response.status_code in (404, 410):
        raise StoreError("there is no such file")
    if response.status_code != 200:
        answer = f"{response.status_code} {response.reason or ''}".strip()
        raise StoreError(f"the server answers {answer:.60} and sends no file")
    if _is_page(response):
        raise _Page.of(response, session).error()
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise StoreError(
            f"it sends the file in an encoding that was not asked for: {encoding[:30]!a}",
            "let the server send the file as it is",
        )
    return response


def _asks_to_sign_in(response: "Response") -> bool:
    host, path = urlsplit(response.url).hostname or "", urlsplit(response.url).path
    return response.status_code in (401, 403) or host == "accounts.google.com" or "ServiceLogin" in path


def _is_page(response: "Response") -> bool:
    kind = response.headers.get("Content-Type", "")
    return kind.startswith("text/html") and "attachment" not in response.headers.get(
        "Content-Disposition", ""
    )


class _Page(HTMLParser):
    """The title of a web page, and its first form."""

    def __init__(self) -> None:
        super().__init__()
        self.title, self.action, self.fields = "", None, {}  # type: str, str | None, dict[str, str]
        self._in_title = False

    @classmethod
    def of(cls, response: "Response", session: WebSession) -> "_Page":
        """Parse a page that a server has sent, as far as it can be parsed."""
        page = cls()
        with suppress(AssertionError, ValueError):  # how the parser refuses broken markup
            page.feed(session.page(response, _LONGEST_PAGE))
        return page

    def error(self) -> StoreError:
        """Return the error of a web page instead of a file."""
        return StoreError(f"the answer is a web page and not a file: {self.title[:_LONGEST_TITLE]!a}")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._in_title = tag == "title"
        if tag == "form" and self.action is None:
            self.action = values.get("action", "")
        if tag == "input" and self.action is not None and "name" in values:
            self.fields[values["name"]] = values.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        self._in_title = False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data.strip()

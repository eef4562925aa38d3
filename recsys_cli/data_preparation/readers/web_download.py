"""Download files from the web and from Google Drive, by their address or share link."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urljoin, urlsplit

from recsys_cli.utils.storage.object_store import NO_OPTIONS, StorageOptions, StoreError
from recsys_cli.utils.storage.uris import drive_id, shown

if TYPE_CHECKING:
    from requests import Response, Session

_DRIVE = "https://drive.google.com/uc"
_SECONDS = 30  # timeout of a silent server
_TRIES = 3
_BLOCK = 2**20
_LONGEST_PAGE = 2**20
_NAME = re.compile(r"filename\*=UTF-8''([^;]+)|filename=\"?([^\";]+)", re.IGNORECASE)
_CHANGING = ("ETag", "Last-Modified", "X-Goog-Hash")  # headers that change when the file does


@dataclass(frozen=True)
class Answer:
    """A server's answer whose body, a file, has not been read yet."""

    response: "Response"
    link: str

    @property
    def identity(self) -> str | None:
        """A text that changes whenever the file does; None if the server sends no such header."""
        headers = self.response.headers
        found = [f"{name}={headers[name]}" for name in _CHANGING if name in headers]
        return "|".join([*found, f"size={self.size}"]) if found else None

    @property
    def size(self) -> int | None:
        """The file's size in bytes; None if the server does not report it."""
        length = self.response.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() else None

    @property
    def name(self) -> str:
        """The file's name, from the server or the address."""
        found = _NAME.search(self.response.headers.get("Content-Disposition", ""))
        path = "" if drive_id(self.link) else urlsplit(self.link).path
        name = found[1] or found[2] if found else path
        return Path(unquote(name)).name.lstrip("._") or "file"

    def save(self, target: Path) -> None:
        """Write the file.

        Raises: StoreError if size or hash differ from those that the server reported.
        """
        from requests import RequestException

        digest, size = hashlib.md5(usedforsecurity=False), 0
        try:
            with target.open("wb") as file:
                for block in self.response.iter_content(_BLOCK):
                    file.write(block)
                    digest.update(block)
                    size += len(block)
        except RequestException as error:
            raise StoreError(f"the download broke off: {_reason(error)}") from error
        if self.size not in (None, size):
            raise StoreError(f"the download broke off: {size:,} of {self.size:,} bytes arrived")
        md5 = re.search(r"md5=([\w+/=]+)", self.response.headers.get("X-Goog-Hash", ""))
        if md5 and base64.b64decode(md5[1]) != digest.digest():
            raise StoreError("the file does not match the hash that the server sent")


@contextmanager
def open_answer(link: str, options: StorageOptions = NO_OPTIONS) -> Iterator[Answer]:
    """Request a file; its body is not read before `save`.

    Args:
        options: `url` of the scheme "drive": the address to use instead of Google Drive's.

    Raises: StoreError if the server does not answer, or answers with a web page.
    """
    from requests import RequestException, Session
    from requests.adapters import HTTPAdapter, Retry

    key = drive_id(link)
    with Session() as session:
        retries = Retry(
            _TRIES, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), raise_on_status=False
        )
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=retries))
        session.headers["Accept-Encoding"] = "identity"
        try:
            if key is None:
                response = _checked(_get(session, link))
            else:
                response = _of_drive(session, options.get("drive", {}).get("url", _DRIVE), key)
        except RequestException as error:
            raise StoreError(f"{shown(link)} does not answer: {_reason(error)}") from error
        with response:
            yield Answer(response, link)


def _get(session: "Session", address: str, query: Mapping[str, str] | None = None) -> "Response":
    return session.get(address, params=query, stream=True, timeout=_SECONDS)


def _of_drive(session: "Session", address: str, key: str) -> "Response":
    """Return the answer with a file of Drive; for a large one Drive first asks for a confirmation."""
    response = _get(session, address, {"export": "download", "id": key})
    if response.ok and _is_page(response) and not _asks_to_sign_in(response):
        page = _Page.of(response)
        if page.action is None:
            raise page.error()
        response = _get(session, urljoin(response.url, page.action), page.fields)
    return _checked(response)


def _checked(response: "Response") -> "Response":
    """Return the answer if it is a file.

    Raises: StoreError otherwise.
    """
    if _asks_to_sign_in(response):
        raise StoreError("the file is private: share it with everyone who has the link")
    if response.status_code == 404:
        raise StoreError("there is no such file")
    if not response.ok:
        raise StoreError(f"the server answers {response.status_code} {response.reason}")
    if _is_page(response):
        raise _Page.of(response).error()
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
    def of(cls, response: "Response") -> "_Page":
        """Parse a page that a server has sent."""
        page = cls()
        page.feed(response.raw.read(_LONGEST_PAGE, decode_content=True).decode("utf-8", "replace"))
        return page

    def error(self) -> StoreError:
        """Return the error of a web page instead of a file."""
        return StoreError(f"the answer is a web page and not a file: {self.title!a}")

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


def _reason(error: BaseException) -> str:
    """Return the reason of a failed request, without its address, which may hold a signature."""
    cause = error.args[0] if error.args else error
    cause = getattr(cause, "reason", cause)
    reason = cause.args[0] if isinstance(cause, BaseException) and cause.args else cause
    return re.sub(r"https?://\S+|url: \S+", "…", str(reason))

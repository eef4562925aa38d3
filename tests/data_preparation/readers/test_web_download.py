"""Sources of the web and of Google Drive, against a server on loopback that answers as these do."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import polars as pl
import pytest

from recsys_cli.configs.data_sections import TableSettings
from recsys_cli.data_preparation.readers.local_files import scan_source, source_files
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.utils.errors import InputError

SMALL, LARGE, PRIVATE, CUT, OTHER, GONE, BUSY = (
    f"{name:_<25}" for name in ("small", "large", "private", "cut", "other", "gone", "busy")
)
WARNING = """<!DOCTYPE html><html><head><title>Google Drive - Virus scan warning</title></head><body>
<form id="download-form" action="/download" method="get"><input type="submit" value="Download anyway"/>
<input type="hidden" name="id" value="{key}"><input type="hidden" name="export" value="download">
<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="5d2e">
</form></body></html>"""


@dataclass
class Drive:
    """What the stub has, and what was asked of it."""

    url: str = ""
    table: bytes = b""
    modified: str = "Wed, 25 Nov 2026 06:00:00 GMT"
    asked: list[str] = field(default_factory=list)
    cut: int | None = None  # bytes after which every file breaks off

    def link(self, key: str) -> str:
        return f"https://drive.google.com/file/d/{key}/view?usp=sharing"


class Handler(BaseHTTPRequestHandler):
    """Answers as Drive does."""

    drive: Drive

    def do_GET(self) -> None:  # pylint: disable=invalid-name
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.drive.asked.append(self.path)
        key = query.get("id", "")
        answers: dict[str, Callable[[], None]] = {
            SMALL: self._file,
            LARGE: self._file if query.get("confirm") == "t" and query.get("uuid") else self._warning,
            PRIVATE: lambda: self._page("Google Drive: Sign-in", 302, "/ServiceLogin?continue=x"),
            CUT: lambda: self._file(cut=1_000),
            OTHER: lambda: self._file(md5=hashlib.md5(b"another").digest()),
            BUSY: lambda: self._page("Google Drive - Quota exceeded"),
        }
        if parts.path.endswith(".parquet"):
            self._file()
        elif "ServiceLogin" in parts.path:
            self._page("Sign in")
        else:
            answers.get(key, lambda: self._page("Not found", 404))()

    def _warning(self) -> None:
        self._page("", content=WARNING.format(key=LARGE))

    def _page(self, title: str, status: int = 200, location: str = "", content: str = "") -> None:
        body = (content or f"<html><head><title>{title}</title></head></html>").encode()
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _file(self, cut: int | None = None, md5: bytes | None = None) -> None:
        body = self.drive.table
        output = base64.b64encode(md5 or hashlib.md5(body).digest()).decode()
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Disposition", 'attachment; filename="views 2026.parquet"')
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", self.drive.modified)
        self.send_header("X-Goog-Hash", f"crc32c=AAAAAA==,md5={output}")
        self.end_headers()
        try:
            self.wfile.write(body[: cut or self.drive.cut])
        except (BrokenPipeError, ConnectionResetError):  # the client has what it has
            pass
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # pylint: disable=redefined-builtin
        pass


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Drive]:
    """A stub of Drive, and a table in it that is larger than what a socket holds back."""
    found = Drive(table=table_of(range(40_000), tmp_path))
    handler = type("Bound", (Handler,), {"drive": found})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        found.url = f"http://127.0.0.1:{server.server_address[1]}"
        yield found
        server.shutdown()


def table_of(numbers: range, folder: Path) -> bytes:
    file = folder / "made.parquet"
    pl.DataFrame({"user_id": list(numbers)}).write_parquet(file, compression="uncompressed")
    return file.read_bytes()


def folder(drive: Drive, path: Path) -> InputFolder:
    return InputFolder(path, {"drive": {"url": f"{drive.url}/uc"}})


def read(link: str, drive: Drive, path: Path) -> list[int]:
    return scan_source(TableSettings(path=link), folder(drive, path)).collect()["user_id"].to_list()


def copies(root: Path) -> list[Path]:
    return [
        file for file in (root / ".remote").rglob("*") if file.is_file() and not file.name.startswith(".")
    ]


def test_a_small_file_of_drive_comes_once_and_is_kept_by_its_id(drive: Drive, tmp_path: Path) -> None:
    (file,) = source_files(TableSettings(path=drive.link(SMALL)), folder(drive, tmp_path))
    assert file == tmp_path / f".remote/drive/{SMALL}/views 2026.parquet"
    assert file.read_bytes() == drive.table
    before = file.stat().st_mtime_ns
    assert read(drive.link(SMALL), drive, tmp_path) == list(range(40_000))
    assert file.stat().st_mtime_ns == before  # the inputs are the same: features are not built again
    assert len({one for one in drive.asked if "confirm" in one}) == 0


def test_a_large_file_of_drive_is_confirmed(drive: Drive, tmp_path: Path) -> None:
    assert read(drive.link(LARGE), drive, tmp_path) == list(range(40_000))
    assert drive.asked[0] == f"/uc?export=download&id={LARGE}"
    assert drive.asked[1] == f"/download?id={LARGE}&export=download&confirm=t&uuid=5d2e"


def test_a_file_that_was_replaced_comes_again_and_the_old_copy_goes(drive: Drive, tmp_path: Path) -> None:
    read(drive.link(SMALL), drive, tmp_path)
    drive.table, drive.modified = table_of(range(7), tmp_path), "Thu, 26 Nov 2026 06:00:00 GMT"
    assert read(drive.link(SMALL), drive, tmp_path) == list(range(7))
    assert len(copies(tmp_path)) == 1


@pytest.mark.parametrize("damage", ["flipped", "cut"])
def test_a_damaged_copy_comes_again(drive: Drive, tmp_path: Path, damage: str) -> None:
    (file,) = source_files(TableSettings(path=drive.link(SMALL)), folder(drive, tmp_path))
    held = bytearray(file.read_bytes())
    held[100] ^= 1
    file.write_bytes(bytes(held) if damage == "flipped" else bytes(held[:-1]))
    (again,) = source_files(TableSettings(path=drive.link(SMALL)), folder(drive, tmp_path))
    assert again.read_bytes() == drive.table


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (PRIVATE, "the file is private: share it with everyone who has the link"),
        (GONE, "there is no such file"),
        (BUSY, "the answer is a web page and not a file: 'Google Drive - Quota exceeded'"),
        (OTHER, "the file does not match the hash that the server sent"),
        (CUT, "the download broke off: Connection broken: IncompleteRead(1000 bytes read"),
    ],
)
def test_what_is_no_whole_file_is_told_and_nothing_is_kept(
    drive: Drive, tmp_path: Path, key: str, reason: str
) -> None:
    with pytest.raises(InputError) as refused:
        source_files(TableSettings(path=drive.link(key)), folder(drive, tmp_path))
    assert reason in refused.value.what
    assert refused.value.where == f"https://drive.google.com/file/d/{key}/view"
    assert refused.value.fix == "check the link and who may read it"
    assert not copies(tmp_path)


def test_a_truncated_replacement_leaves_the_old_copy(drive: Drive, tmp_path: Path) -> None:
    (file,) = source_files(TableSettings(path=drive.link(SMALL)), folder(drive, tmp_path))
    old = file.read_bytes()
    drive.table, drive.modified, drive.cut = (
        table_of(range(90_000), tmp_path),
        "Thu, 26 Nov 2026 06:00:00 GMT",
        999,
    )
    with pytest.raises(InputError, match="the download broke off"):
        read(drive.link(SMALL), drive, tmp_path)
    assert file.read_bytes() == old and len(copies(tmp_path)) == 1


def test_a_file_of_the_web_comes_by_its_address_and_no_message_holds_its_signature(
    drive: Drive, tmp_path: Path
) -> None:
    signed = f"{drive.url}/views.parquet?signature=geheim"
    assert read(signed, drive, tmp_path) == list(range(40_000))
    (file,) = copies(tmp_path)
    assert "geheim" not in str(file)
    with pytest.raises(InputError) as refused:
        read(f"{drive.url}/gone?signature=geheim", drive, tmp_path)
    output = f"{refused.value.what}{refused.value.where}{refused.value.fix}"
    assert "no such file" in output and "geheim" not in output


def test_a_server_that_is_away_is_told_with_its_address(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        scan_source(TableSettings(path="http://user:geheim@127.0.0.1:1/views.parquet"), InputFolder(tmp_path))
    assert (
        "does not answer" in refused.value.what and refused.value.where == "http://127.0.0.1:1/views.parquet"
    )
    assert "geheim" not in refused.value.what

"""Calls of an object store against a server that answers too slowly or with too much."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.storage.network_limits import StoreError
from recsys_cli.utils.storage.object_store import Store
from tests.web_server import Answer, WebServer, answer, web_server

OBJECT = "/shop/x.parquet"
_PATIENCE = 40  # seconds: the first call imports the store's library


@pytest.fixture
def server() -> Iterator[WebServer]:
    with web_server() as found:
        yield found


def store(server: WebServer, **network: float) -> Store:
    access = {"endpoint_url": server.url(""), "key": "shop-key", "secret": "geheim"}
    return Store("s3://shop", {"s3": access, "network": network})


CALLS: dict[str, Callable[[Store, Path], object]] = {
    "list": lambda one, _: one.found("a"),
    "names": lambda one, _: one.names(),
    "read": lambda one, _: one.read("x.parquet"),
    "write": lambda one, _: one.write("x.parquet", b"x"),
    "remove": lambda one, _: one.remove("x.parquet"),
    "download": lambda one, root: one.download("x.parquet", root / "x"),
    "hash": lambda one, _: one.sha256_of("x.parquet"),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_call_ends_with_its_budget(server: WebServer, tmp_path: Path, name: str) -> None:
    for path in (OBJECT, "/shop", "/shop/"):
        server.put(path, Answer(b"", end="hang"))
    began = time.monotonic()
    with pytest.raises(StoreError) as refused:
        CALLS[name](store(server, max_seconds=1), tmp_path)
    assert time.monotonic() - began < _PATIENCE
    assert "s3://shop" in str(refused.value)
    assert "it took longer than storage.network.max_seconds = 1" in str(refused.value)
    assert "storage.network.max_seconds" in refused.value.fix


def test_calls_of_one_source_share_its_time(server: WebServer) -> None:
    with pytest.raises(StoreError, match="took longer"):
        Store("s3://shop", store(server, max_seconds=60).options, time.monotonic() - 1).names()
    assert not server.asked


def test_an_object_that_drips_ends_with_the_budget(server: WebServer, tmp_path: Path) -> None:
    server.put(OBJECT, Answer(answer(headers=[("Content-Length", "99999")]), again=b"x", pace=0.05))
    began = time.monotonic()
    with pytest.raises(StoreError, match="took longer"):
        store(server, max_seconds=1).download("x.parquet", tmp_path / "x")
    assert time.monotonic() - began < _PATIENCE


@pytest.mark.parametrize("headers", [[("Content-Length", "2000000")], [("Transfer-Encoding", "chunked")]])
def test_an_object_that_is_too_large_is_refused(
    server: WebServer, tmp_path: Path, headers: list[tuple[str, str]]
) -> None:
    block = b"10000\r\n" + bytes(65_536) + b"\r\n"
    server.put(OBJECT, Answer(answer(headers=headers), again=block))
    with pytest.raises(StoreError, match="more than storage.network.max_gigabytes = 0.001"):
        store(server, max_gigabytes=0.001, max_seconds=60).download("x.parquet", tmp_path / "x")


def test_an_object_that_the_disk_has_no_room_for_is_refused(server: WebServer, tmp_path: Path) -> None:
    server.put(OBJECT, Answer(answer(headers=[("Content-Length", "9" * 17)]), end="hang"))
    with pytest.raises(OutputError, match="the disk has no room"):
        store(server, max_gigabytes=1e12, max_seconds=60).download("x.parquet", tmp_path / "x")

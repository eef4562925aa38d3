"""Generate the demo data, a streaming service shaped like KION or a retailer: same arguments, same bytes."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recsys_cli.data_preparation.demo_data.catalogue import invent_catalogue
from recsys_cli.data_preparation.demo_data.events import (
    Audience,
    events_table,
    invent_audience,
    users_table,
)
from recsys_cli.data_preparation.demo_data.goods import invent_goods
from recsys_cli.data_preparation.demo_data.purchases import purchases_table
from recsys_cli.data_preparation.demo_data.weighted_draws import Integers
from recsys_cli.utils.errors import UsageError
from recsys_cli.utils.progress import Progress, no_progress
from recsys_cli.utils.storage.atomic_writes import staging_folder, sync
from recsys_cli.utils.storage.regular_files import require_readable

TABLES = ("interactions", "users", "items")
_EventsOf = Callable[[Audience, np.random.Generator], pa.Table]

_CHUNK_USERS = 50_000
_VERSION = 1  # of the generator: increased when the same arguments give other data
_SHAPE_KEY = b"recsys_demo"


@dataclass(frozen=True)
class DemoShape:
    """The size of the demo data; KION has 962,179 users, 15,706 items and 5.7 events a user.

    Attributes:
        scene: as the preset is called: "demo", a streaming service, or "shop", a retailer.
    """

    users: int
    items: int
    days: int
    seed: int
    events_per_user: float = 5.7
    scene: Literal["demo", "shop"] = "demo"

    def __post_init__(self) -> None:
        """Raise: UsageError for a size out of bounds."""
        for name, least, most in (
            ("users", 1, 100_000_000),
            ("items", 10, 1_000_000),
            ("days", 2, 3_650),
            ("seed", 0, 2**63 - 1),
            ("events_per_user", 1, 1_000),
        ):
            if not least <= getattr(self, name) <= most:
                raise UsageError(
                    f"the demo cannot have {name} = {getattr(self, name)}",
                    where=f"--{name.replace('_', '-')}",
                    fix=f"give a number from {least} to {most}",
                )


def generate(shape: DemoShape, folder: Path, progress: Progress = no_progress) -> None:
    """Write interactions.parquet, users.parquet and items.parquet into `folder`; progress counts users.

    The files appear when all of them are complete.
    Raises: OutputError if the folder cannot be written.
    """
    with staging_folder(folder.parent) as staged:
        _write_tables(shape, staged, progress)
        folder.mkdir(exist_ok=True)
        for file in _files(staged):
            sync(file)
            os.replace(file, folder / file.name)
        sync(folder)


def has_demo(shape: DemoShape, folder: Path) -> bool:
    """Return whether the folder contains all tables of exactly this shape."""
    return all(_recorded(file) == _record(shape) for file in _files(folder))


def foreign_tables(folder: Path) -> list[Path]:
    """Return files with the names of the demo's tables that `generate` did not make."""
    return [file for file in _files(folder) if file.exists() and _recorded(file) is None]


def _write_tables(shape: DemoShape, folder: Path, progress: Progress) -> None:
    """Generate users and events chunk by chunk, each chunk with its own random stream."""
    chunks = range(0, shape.users, _CHUNK_USERS)
    for_items, for_ids, *for_chunks = np.random.SeedSequence(shape.seed).spawn(2 + len(chunks))
    items, events_of = _scene(shape, np.random.default_rng(for_items))
    ids = _user_ids(shape.users, np.random.default_rng(for_ids))
    with _TableWriter(folder, _record(shape)) as writer:
        writer.write("items", items)
        for start, stream in zip(chunks, for_chunks, strict=True):
            rng = np.random.default_rng(stream)
            audience = invent_audience(ids[start : start + _CHUNK_USERS], rng)
            writer.write("users", users_table(audience, rng))
            writer.write("interactions", events_of(audience, rng))
            progress(min(start + _CHUNK_USERS, shape.users), shape.users)


def _scene(shape: DemoShape, rng: np.random.Generator) -> tuple[pa.Table, _EventsOf]:
    """Return the items, and what gives the events of a chunk of users."""
    if shape.scene == "shop":
        goods = invent_goods(shape.items, rng)
        return goods.table, lambda audience, own: purchases_table(
            audience, goods, shape.days, shape.events_per_user, own
        )
    catalogue = invent_catalogue(shape.items, shape.days, rng)
    return catalogue.table, lambda audience, own: events_table(
        audience, catalogue, shape.days, shape.events_per_user, own
    )


def _user_ids(users: int, rng: np.random.Generator) -> Integers:
    return rng.choice(max(1_100_000, users * 23 // 20), size=users, replace=False).astype(np.int64)


class _TableWriter:
    """Appends to one parquet file per table; every file records the shape it was made for."""

    def __init__(self, folder: Path, record: bytes) -> None:
        self._folder = folder
        self._record = record
        self._writers: dict[str, Any] = {}

    def __enter__(self) -> "_TableWriter":
        return self

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            writer.close()

    def write(self, name: str, table: pa.Table) -> None:
        if name not in self._writers:
            schema = table.schema.with_metadata({_SHAPE_KEY: self._record})
            path = self._folder / f"{name}.parquet"
            self._writers[name] = pq.ParquetWriter(path, schema, compression="zstd")
        self._writers[name].write_table(table.replace_schema_metadata({_SHAPE_KEY: self._record}))


def _files(folder: Path) -> list[Path]:
    return [folder / f"{name}.parquet" for name in TABLES]


def _record(shape: DemoShape) -> bytes:
    sizes = asdict(shape)
    if shape.scene == "demo":
        del sizes["scene"]  # older files do not name it
    return json.dumps({"version": _VERSION, **sizes}, sort_keys=True).encode()


def _recorded(file: Path) -> bytes | None:
    """Return the shape that a demo file records; None if it is missing or not a demo file."""
    try:
        require_readable(file)
        metadata: dict[bytes, bytes] = pq.read_schema(file).metadata or {}
    except (OSError, pa.ArrowInvalid):
        return None
    return metadata.get(_SHAPE_KEY)

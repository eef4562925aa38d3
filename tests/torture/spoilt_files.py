"""Interactions in every format but parquet, with bytes cut off, changed, lost or from elsewhere."""

import gzip
from collections.abc import Callable, Iterator
from functools import partial
from io import BytesIO
from pathlib import Path

import polars as pl
import pyarrow as pa

from recsys_cli.utils.errors import ExitCode
from tests.torture.case import Case, Family, some
from tests.torture.checks import intact, spoken
from tests.torture.lab import DAY, SCORE, Kit, Lab, in_workspace

_TABLE = "data/interactions.parquet"
_PLACES = 5
_ALIENS = (
    b"SQLite format 3\0",
    b"PK\x03\x04",
    b"\xff\xfe",
    b"\0" * 64,
    b'{"user_id": [',
    b"PAR1",
)
_CODES = {ExitCode.OK, ExitCode.CHECK, ExitCode.USAGE, ExitCode.INPUT, ExitCode.MODEL}
Damage = Callable[[bytes], bytes]


def _csv(frame: pl.DataFrame) -> bytes:
    return frame.write_csv().encode()


def _arrow(frame: pl.DataFrame) -> bytes:
    file = BytesIO()
    frame.write_ipc(file)
    return file.getvalue()


def _stream(frame: pl.DataFrame) -> bytes:
    file = BytesIO()
    frame.write_ipc_stream(file)
    return file.getvalue()


_FORMATS: dict[str, Callable[[pl.DataFrame], bytes]] = {
    "csv": _csv,
    "csv.gz": lambda frame: gzip.compress(_csv(frame)),
    "csv.zst": lambda frame: bytes(pa.compress(_csv(frame), "zstd", asbytes=True)),
    "jsonl": lambda frame: frame.write_ndjson().encode(),
    "jsonl.gz": lambda frame: gzip.compress(frame.write_ndjson().encode()),
    "arrow": _arrow,
    "arrows": _stream,
}


def _damages() -> Iterator[tuple[str, Damage]]:
    for number in range(_PLACES):
        share = (number + 0.5) / _PLACES
        yield f"cut at {share:.0%}", lambda content, s=share: content[: int(len(content) * s)]
        yield f"a byte changed at {share:.0%}", partial(_changed, share=share)
        yield f"100 bytes lost at {share:.0%}", partial(_lost, share=share)
    for alien in _ALIENS:
        yield f"{alien!r:.24} at the start", lambda content, a=alien: a + content
        yield f"{alien!r:.24} inside", lambda content, a=alien: content[:500] + a + content[500:]
    yield "empty", lambda _: b""
    yield "twice", lambda content: content + content


def _changed(content: bytes, *, share: float) -> bytes:
    place = int(len(content) * share)
    return content[:place] + bytes([content[place] ^ 0xA5]) + content[place + 1 :]


def _lost(content: bytes, *, share: float) -> bytes:
    place = int(len(content) * share)
    return content[:place] + content[place + 100 :]


def spoilt(_: Lab, quick: bool) -> Iterator[Case]:
    """Yield every format with every damage."""
    cases = [
        Case(f"{ending}: {words}", partial(_met, ending, damage))
        for ending in _FORMATS
        for words, damage in _damages()
    ]
    yield from some(cases, quick, 2)


def _met(ending: str, damage: Damage, kit: Kit) -> list[str]:
    workspace = kit.workspace(kit.lab.ready)
    content = _FORMATS[ending](pl.read_parquet(workspace / _TABLE))
    (workspace / f"data/interactions.{ending}").write_bytes(damage(content))
    _resettle(workspace, ending)
    checked = kit.in_place.run("-q", *in_workspace(workspace, "check", "--date", DAY))
    scored = kit.in_place.run("-q", *in_workspace(workspace, *SCORE))
    problems = [f"check: {problem}" for problem in spoken(checked, _CODES - {ExitCode.INPUT, ExitCode.MODEL})]
    problems += [f"score: {problem}" for problem in spoken(scored, _CODES)]
    is_new = scored.code == ExitCode.OK
    return problems + (intact(workspace, kit.lab.old) if is_new else intact(workspace, kit.lab.old, b""))


def _resettle(workspace: Path, ending: str) -> None:
    """Let the settings name the file; ids are read as the model knows them."""
    file = workspace / "settings/settings.toml"
    text = file.read_text(encoding="utf-8").replace(_TABLE, f"data/interactions.{ending}")
    kinds = '[default.data]\nuser_id_type = "integer"\nitem_id_type = "integer"\n\n'
    file.write_text(
        text.replace("[default.data.interactions]", f"{kinds}[default.data.interactions]"), encoding="utf-8"
    )


FAMILIES = (
    Family(
        "spoilt-files",
        "CSV, JSON lines and Arrow, cut, changed, mixed",
        "a documented exit code, no traceback; old lists, or new ones that are whole",
        spoilt,
    ),
)

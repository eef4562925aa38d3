"""The recommendations file: one parquet whose bytes depend on day, model and what came before alone."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recsys_cli.pipelines.workspace import RECOMMENDATIONS, SUCCESS
from recsys_cli.utils.columns import ITEM, ITEM_ID, RANK, SCORE, SOURCES, USER, USER_ID
from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.files import read_sealed_json, replacing, sha256_of, write_sealed_json

_ROW_GROUP = 131_072


@dataclass
class RecommendationsWriter:
    """Writes chunks of recommendations as row groups of equal size, however large the chunks are."""

    path: Path
    user_ids: pl.Series
    item_ids: pl.Series
    metadata: Mapping[str, str]
    rows: int = 0
    _waiting: list[pa.Table] = field(default_factory=list)
    _writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        self._writer = pq.ParquetWriter(self.path, self._schema(), compression="zstd")
        return self

    def __exit__(self, *error: object) -> None:
        assert self._writer is not None
        try:
            if error[0] is None and self._waiting:
                self._writer.write_table(pa.concat_tables(self._waiting).combine_chunks())
        finally:
            self._writer.close()

    def write(self, top: pl.DataFrame) -> None:
        """Add user, item, rank, score and sources of the next users; ids come back here."""
        frame = top.select(
            pl.lit(self.user_ids).gather(pl.col(USER)).alias(USER_ID),
            pl.lit(self.item_ids).gather(pl.col(ITEM)).alias(ITEM_ID),
            pl.col(RANK),
            pl.col(SCORE),
            pl.col(SOURCES),
        )
        self._waiting.append(frame.to_arrow().cast(self._schema()))
        self.rows += len(frame)
        if sum(len(table) for table in self._waiting) >= _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        assert self._writer is not None
        waiting = pa.concat_tables(self._waiting).combine_chunks()
        whole = len(waiting) - len(waiting) % _ROW_GROUP
        self._writer.write_table(waiting.slice(0, whole), row_group_size=_ROW_GROUP)
        self._waiting = [waiting.slice(whole)]

    def _schema(self) -> pa.Schema:
        id_types = {pl.Int64: pa.int64(), pl.String: pa.string()}
        fields = [
            pa.field(USER_ID, id_types[type(self.user_ids.dtype)], nullable=False),
            pa.field(ITEM_ID, id_types[type(self.item_ids.dtype)], nullable=False),
            pa.field(RANK, pa.uint16(), nullable=False),
            pa.field(SCORE, pa.float32(), nullable=False),
            pa.field(SOURCES, pa.string(), nullable=False),
        ]
        return pa.schema(fields, metadata=dict(self.metadata))


def published_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest of a complete publication, or None where there is none."""
    try:
        manifest = read_sealed_json(folder / "manifest.json")
        complete = (folder / SUCCESS).exists() and sha256_of(folder / RECOMMENDATIONS) == manifest["sha256"]
    except (OSError, ValueError):
        return None
    return manifest if complete else None


def publish(staged: Path, folder: Path, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Check the staged file and move it to its published name; the manifest and _SUCCESS follow.

    Returns: the manifest: the facts and the file's hash.

    Raises: OutputError if the file does not hold what was written, or cannot be moved.
    """
    _check_staged(staged, int(facts["rows"]))
    manifest = {**facts, "sha256": sha256_of(staged)}
    with replacing(folder / RECOMMENDATIONS) as part:
        shutil.move(staged, part)  # the folders may lie on two file systems
    write_sealed_json(folder / "manifest.json", manifest)
    with replacing(folder / SUCCESS) as part:
        part.touch()
    return manifest


def _check_staged(staged: Path, rows: int) -> None:
    scores = pl.scan_parquet(staged).select(
        rows=pl.len(), bad=(~pl.col(SCORE).is_finite()).sum(), first=(pl.col(RANK) == 1).sum()
    )
    told = scores.collect(engine="streaming").row(0, named=True)
    if told["rows"] == rows and told["bad"] == 0:
        return
    raise OutputError(
        f"the staged file holds {told['rows']:,} rows, {told['bad']:,} of them without a finite score; "
        f"{rows:,} were written",
        where=str(staged),
        fix="check the disk, and the model (recsys models verify); nothing was published",
    )

"""The recommendations file: one parquet file; only day, model and the data before decide its bytes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from recsys_cli.pipelines.publication.list_columns import ListColumns
from recsys_cli.pipelines.publication.manifest import FileFacts, PublicationManifest, RunFacts
from recsys_cli.pipelines.publication.validation import FACTS, file_problems
from recsys_cli.pipelines.workspace.layout import MANIFEST, RECOMMENDATIONS, SUCCESS
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import ITEM, ITEM_ID, RANK, SCORE, SOURCES, USER, USER_ID
from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.storage.atomic_writes import as_output_error, replacing
from recsys_cli.utils.storage.hashing import sha256_of
from recsys_cli.utils.storage.json_files import read_sealed_json, write_sealed_json
from recsys_cli.utils.storage.regular_files import is_regular
from recsys_cli.utils.storage.result_store import Results
from recsys_cli.utils.storage.safe_paths import path_below
from recsys_cli.utils.storage.steady_reads import read_steadily

_ROW_GROUP = 131_072


@dataclass
class RecommendationsWriter:
    """Writes chunks of recommendations as row groups of equal size, however large the chunks are.

    Raises: OutputError where the file cannot be written.
    """

    path: Path
    user_ids: pl.Series
    item_ids: pl.Series
    metadata: Mapping[str, str]
    columns: ListColumns = ListColumns()
    rows: int = 0
    _waiting: list[pa.Table] = field(default_factory=list)
    _writer: pq.ParquetWriter | None = None

    def __enter__(self) -> Self:
        with as_output_error(self.path):
            self._writer = pq.ParquetWriter(
                self.path, self._schema(), compression="zstd", write_page_checksum=True
            )
        return self

    def __exit__(self, *error: object) -> None:
        assert self._writer is not None
        with as_output_error(self.path):
            try:
                if error[0] is None and self._waiting:
                    self._writer.write_table(pa.concat_tables(self._waiting).combine_chunks())
            finally:
                self._writer.close()

    def describe(self, facts: FileFacts) -> None:
        """Add facts to the file's metadata: a lost manifest can be rebuilt from them."""
        assert self._writer is not None
        self._writer.add_key_value_metadata({FACTS: json.dumps(facts.as_json(), sort_keys=True)})

    def write(self, top: pl.DataFrame) -> None:
        """Add user, item, rank, score and sources of the next users, with external ids."""
        frame = top.select(
            pl.lit(self.user_ids).gather(pl.col(USER)).alias(USER_ID),
            pl.lit(self.item_ids).gather(pl.col(ITEM)).alias(ITEM_ID),
            pl.col(RANK),
            pl.col(SCORE),
            pl.col(SOURCES),
            *self.columns.expressions(),
        )
        self._waiting.append(frame.to_arrow().cast(self._schema()))
        self.rows += len(frame)
        if sum(len(table) for table in self._waiting) >= _ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        assert self._writer is not None
        waiting = pa.concat_tables(self._waiting).combine_chunks()
        whole = len(waiting) - len(waiting) % _ROW_GROUP
        with as_output_error(self.path):
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
            *self.columns.fields(),
        ]
        return pa.schema(fields, metadata=dict(self.metadata))


def published_manifest(day: ScoringDay) -> PublicationManifest | None:
    """Return the manifest of a day's complete publication, or None where there is none."""
    manifest = manifest_in(day.recommendations)
    return manifest if manifest is not None and manifest.day == day.date else None


def manifest_in(folder: Path) -> PublicationManifest | None:
    """Return the manifest of the complete publication in a folder, or None where there is none."""
    return read_steadily(folder, lambda: _manifest_in(folder))


def _manifest_in(folder: Path) -> PublicationManifest | None:
    try:
        manifest = PublicationManifest.read(read_sealed_json(folder / MANIFEST))
        complete = is_regular(folder / SUCCESS) and all(
            sha256_of(path_below(folder, name)) == sha256 for name, sha256 in _hashes(manifest).items()
        )
    except (OSError, ValueError):
        return None
    return manifest if complete else None


def _hashes(manifest: PublicationManifest) -> dict[str, str]:
    """Return the SHA-256 of each file of the publication, by name."""
    return {RECOMMENDATIONS: manifest.sha256, **(manifest.lists.files if manifest.lists else {})}


def check_file(staged: Path, facts: FileFacts) -> None:
    """Read a staged file again.

    Raises: OutputError if it does not hold what was written.
    """
    problems = file_problems(staged, facts, repeats=False)
    if problems:
        raise OutputError(
            f"the staged file is not what was written: {'; '.join(problems)}",
            where=str(staged),
            fix="check the disk, and run it again; if the error remains, train another model",
        )


def publish(staged: Path, published: Results, facts: FileFacts, run: RunFacts) -> PublicationManifest:
    """Publish the folder of a checked file as its date's, with a manifest and _SUCCESS, in one step.

    Args:
        facts: equal for every run of the same work, as in the file's own metadata.
        run: what differs between two runs of the same work.

    Raises: OutputError if it cannot be published.
    """
    manifest = write_sidecars(staged, facts, run)
    published.put(staged.parent, f"date={facts.day}", run.run_id)
    return manifest


def write_sidecars(file: Path, facts: FileFacts, run: RunFacts) -> PublicationManifest:
    """Write the manifest and _SUCCESS beside a file of recommendations, and return the manifest.

    Raises: OutputError.
    """
    manifest = PublicationManifest.read({**facts.as_json(), **run.as_json(), "sha256": sha256_of(file)})
    write_sealed_json(file.with_name(MANIFEST), manifest.as_json())
    with replacing(file.with_name(SUCCESS)) as temporary:
        temporary.touch()
    return manifest

"""What every file of recommendations must hold, read again from the disk."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic_core import from_json

from recsys_cli.pipelines.publication.list_columns import OPTIONAL
from recsys_cli.pipelines.publication.manifest import FileFacts
from recsys_cli.utils.columns import ITEM_ID, RANK, SCORE, SOURCES, USER_ID
from recsys_cli.utils.storage.regular_files import require_readable

FACTS = "recsys.facts"  # in the file's metadata
_COLUMNS = {RANK: pa.uint16(), SCORE: pa.float32(), SOURCES: pa.string()}
_DISORDER = "stand behind a larger user_id"
_UNSORTED = "have a better score than the row before"  # no fault where rules choose the order
_ROWS = 131_072  # that are looked at together


def read_facts(file: Path) -> FileFacts | None:
    """Return the facts stored in a file of recommendations; None where it stores none.

    Raises: OSError, pa.ArrowInvalid or ValueError for a file that cannot be read.
    """
    require_readable(file)
    stored = (pq.read_metadata(file).metadata or {}).get(FACTS.encode())
    if stored is None:
        return None
    try:
        return FileFacts.read(from_json(stored, allow_inf_nan=False))
    except ValueError as error:
        raise ValueError(f"the facts stored in it are damaged: {error}") from None


def file_problems(file: Path, facts: FileFacts, *, repeats: bool = True) -> list[str]:
    """Return, a line each, how a file breaks its contract or differs from its facts; memory stays flat.

    Args:
        repeats: whether to look for items that stand twice in a list, which takes longer than all the rest.
    """
    try:
        parquet = pq.ParquetFile(file, page_checksum_verification=True)
        wrong = _schema_problems(parquet.schema_arrow)
        bad = {name: one for name, one in _BAD.items() if name != _UNSORTED or facts.lists is None}
        return wrong or _list_problems(parquet, facts, bad | _REPEATS if repeats else bad)
    except (OSError, pa.ArrowException, pl.exceptions.PolarsError) as error:
        return [f"it cannot be read: {error}"]


def _schema_problems(schema: pa.Schema) -> list[str]:
    names = [USER_ID, ITEM_ID, *_COLUMNS]
    more = [name for name in OPTIONAL if name in schema.names]
    if schema.names != names + more:
        return [f"its columns are {', '.join(schema.names)}, not {', '.join(names)}"]
    return [
        f"{name} is {schema.field(name).type}, not {kind}"
        for name, kind in {**_COLUMNS, **{one: OPTIONAL[one] for one in more}}.items()
        if schema.field(name).type != kind
    ]


def _list_problems(parquet: pq.ParquetFile, facts: FileFacts, bad: Mapping[str, pl.Expr]) -> list[str]:
    rows, lists, counts = 0, 0, dict.fromkeys(bad, 0)
    before: int | str | None = None
    for frame in _whole_lists(parquet):
        rows += len(frame)
        if before is not None and len(frame) and frame[USER_ID][0] <= before:
            counts[_DISORDER] += 1
        before = frame[USER_ID][-1] if len(frame) else before
        counted = frame.select(
            lists=pl.col(USER_ID).n_unique(), **{name: one.sum() for name, one in bad.items()}
        )
        found = counted.row(0, named=True)
        lists += found.pop("lists")
        counts = {name: count + found[name] for name, count in counts.items()}
    wrong = [f"{count:,} rows {name}" for name, count in counts.items() if count]
    if rows != facts.rows:
        wrong.append(f"it holds {rows:,} rows; {facts.rows:,} were written")
    if lists != facts.users - facts.empty_lists:
        wrong.append(f"it holds {lists:,} lists; {facts.users - facts.empty_lists:,} were written")
    return wrong


def _whole_lists(parquet: pq.ParquetFile) -> Iterator[pl.DataFrame]:
    """Yield the rows some at a time, all of a user together."""
    rest: list[pl.DataFrame] = []
    for batch in parquet.iter_batches(_ROWS):
        plain = batch.replace_schema_metadata(None)  # polars panics where that is no UTF-8
        frame = pl.concat([*rest, pl.DataFrame(pl.from_arrow(plain))])
        is_last = frame[USER_ID].eq_missing(frame[USER_ID][-1])
        rest = [frame.filter(is_last)]
        yield frame.filter(~is_last)
    yield from rest


_NEW = (pl.col(USER_ID) != pl.col(USER_ID).shift()).fill_null(True)
_BAD = {
    "have a null": pl.any_horizontal(pl.col(USER_ID, ITEM_ID, *_COLUMNS).is_null()),
    "have no finite score": ~pl.col(SCORE).is_finite(),
    "are out of the order of ranks": pl.col(RANK)
    != pl.when(_NEW).then(1).otherwise(pl.col(RANK).shift() + 1),
    _UNSORTED: ~_NEW & (pl.col(SCORE) > pl.col(SCORE).shift()),
    _DISORDER: _NEW & (pl.col(USER_ID) < pl.col(USER_ID).shift()),
    "name no source": pl.col(SOURCES) == "",
}
_REPEATS = {"repeat an item of the list": pl.struct(USER_ID, ITEM_ID).is_duplicated()}
